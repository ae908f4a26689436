r"""Grade a mathematical answer against its reference, in worker processes that can be killed.

``extract_answer`` finds the last ``\boxed{...}`` of a response and ``grade`` compares it with the reference:

1. a small normalisation of typography (trailing period, dollars, thousands separators, percent and degree signs);
2. equal strings and plain integers are decided here, in microseconds: this covers AIME;
3. all else goes to math-verify in a pool of worker processes with a deadline. Its own timeouts are signals, which
   do not work in threads, count whole seconds and cannot stop a computation inside C code: a process can be killed.

math-verify reads LaTeX with a grammar; no text of an answer is ever evaluated as Python. Percent and degree signs,
units in ``\text{}`` and an ``x =`` in front make no difference, as in the MATH data set's own normalisation.

This module needs only the standard library, math-verify and pebble: no torch, and nothing else of this package.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import re
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from enum import StrEnum
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from pebble import ProcessExpired, ProcessPool

try:
    _ANTLR = version("antlr4-python3-runtime")
except PackageNotFoundError:
    _ANTLR = "none"
if not _ANTLR.startswith("4.13"):  # math-verify carries parsers for older ones, which misread percentages silently
    raise ImportError(
        f"the math grader needs antlr4 runtime 4.13, found {_ANTLR}: pip install 'math-verify[antlr4_13_2]'"
    )

from math_verify import LatexExtractionConfig, parse, verify

logger = logging.getLogger(__name__)

DEADLINE_S = 5.0
"""Seconds a worker may spend on one pair. math-verify's 99th percentile is about 0.2 s."""
MAX_ANSWER_CHARS = 2000
"""Longer answers are not read. The longest reference of MATH, OlympiadBench and Minerva has 210."""
MAX_WORKERS = 4
"""Most workers in a pool, unless the environment variable AER_GRADER_WORKERS says otherwise."""
MEMORY_BYTES = 2 * 2**30
"""Address space a worker may take beyond what it has when it starts."""
TASKS_PER_WORKER = 1000
"""A worker is replaced after this many pairs: sympy's caches only grow."""
CACHED_PAIRS = 2**16
RELATIVE_TOLERANCE = 1e-4
"""Most two numbers may differ, relative to the larger, on top of math-verify's own rounding to 6 decimals."""


class Verdict(StrEnum):
    """What came of comparing an answer with the reference."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    """Not the same text, and at least one side could not be read as mathematics."""
    TIMEOUT = "timeout"
    CRASH = "crash"
    """The worker died or raised: out of memory, stack overflow, killed from outside."""


class Extracted(NamedTuple):
    """An answer found in a text."""

    answer: str
    end: int
    """Offset in the text of the first character after the box's closing brace."""


# --- finding the answer ------------------------------------------------------------------------------------------

_BRACES = re.compile(r"(?P<box>\\boxed\s*\{)|\\.|(?P<open>\{)|(?P<close>\})", re.DOTALL)


def extract_answer(text: str) -> Extracted | None:
    r"""The last balanced, non-blank ``\boxed{...}`` after the last ``</think>``, or None.

    A box inside reasoning that never closed (``<think>`` without ``</think>``) is a draft, not an answer.
    Of nested boxes the inner one counts. Takes time linear in the text's length.
    """
    start = text.rfind("</think>") + len("</think>") if "</think>" in text else 0
    if "<think>" in text[start:]:
        return None
    opened: list[tuple[bool, int]] = []
    best: tuple[int, int] | None = None
    for token in _BRACES.finditer(text, start):
        if token["box"] or token["open"]:
            opened.append((token["box"] is not None, token.end()))
        elif token["close"] and opened:
            is_box, content = opened.pop()
            if is_box and (best is None or content > best[0]) and text[content : token.start()].strip():
                best = (content, token.start())
    return Extracted(text[best[0] : best[1]].strip(), best[1] + 1) if best else None


# --- normalisation -----------------------------------------------------------------------------------------------

_TEXT = r"^\\(?:text|textbf|textit|textrm|mbox|mathrm|mathbf)\s*\{"
_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[\u2212\u2013]", "-"),  # minus sign and en dash
        (r"\u00b0", r"^\\circ"),
        (r"\\?\$", ""),  # maths delimiters and currency
        (r"\\varnothing", r"\\emptyset"),
        (r"^\s+|(?:(?<!\\right)[.,;:\\]|\s)+$", ""),  # `12.` is unreadable to math-verify; `\right.` is a delimiter
        (_TEXT + r"((?:(?![a-zA-Z]{2})[^{}])*)\}$", r"\1"),  # \text{12} and \text{(C)}; words stay: see _WORDS
        (r"\s*\\?%$", r"\\%"),
        (r"\s*\^\s*\{?\s*\\circ\s*\}?$", ""),
        (r"(?<=\d)(?:,?\\!|\{,\}|\\[,;: ]),?\s*(?=\d{3}(?!\d))", ""),  # 12,\!345  12{,}345  12\,345
        (r"^([-+]?\d+(?:\.\d+)?)[eE]([-+]?\d+)$", r"\1 \\times 10^{\2}"),  # 1.6e-19; math-verify takes e for 2.718
    )
)
_THOUSANDS = re.compile(r"((?:[a-zA-Z]\s*=\s*)?[-+]?)([1-9]\d{0,2}(?:(?:,\d{3})+|(?: \d{3})+))(?![\d,])")
_INTEGER = re.compile(r"([-+]?)\s*0*(\d+)(?:\.0*)?(?:\\%)?")
_WORDS = re.compile(rf"(?:{_TEXT})?([a-zA-Z][a-zA-Z .'-]+)\}}?")
_BASE = re.compile(r"[-+]?[\d.]+_\{?(\d+)\}?")
_CLOSED_AT_INFINITY = re.compile(r"\\infty\s*(?:\\right)?\s*\]|\[\s*[-+]?\s*\\infty")


def normalise(answer: str) -> str:
    """One spelling for what differs only in typography; idempotent on ordinary answers, never fails."""
    for pattern, replacement in _REWRITES:
        answer = pattern.sub(replacement, answer)
    grouped = _THOUSANDS.match(answer)
    if grouped:
        answer = grouped[1] + re.sub("[, ]", "", grouped[2]) + answer[grouped.end() :]
    return answer


def _as_integer(answer: str) -> int | None:
    r"""The value of a normal form like ``-007``, ``12.0`` or ``12\%``; None for anything else."""
    match = _INTEGER.fullmatch(answer)
    return int(match[1] + match[2]) if match else None


def _same_text(gold: str, answer: str) -> bool:
    """Whether two normal forms are the same string, words or integer."""
    words_gold, words_answer = _WORDS.fullmatch(gold), _WORDS.fullmatch(answer)
    if words_gold and words_answer and words_gold[1].casefold() == words_answer[1].casefold():
        return True  # to math-verify a bare word is a product of its letters
    return gold == answer or (_as_integer(gold) is not None and _as_integer(gold) == _as_integer(answer))


def _visibly_different(gold: str, answer: str) -> bool:
    """Whether the text alone shows that two normal forms differ, or that math-verify would miss the difference."""
    if None not in (_as_integer(gold), _as_integer(answer)) and "%" not in gold + answer:  # 100% may still be 1
        return _as_integer(gold) != _as_integer(answer)
    base_gold, base_answer = _BASE.fullmatch(gold), _BASE.fullmatch(answer)
    if base_gold and base_answer and base_gold[1] != base_answer[1]:
        return True  # math-verify drops the base
    # sympy silently opens `[0, \infty]`
    return bool(_CLOSED_AT_INFINITY.search(gold)) != bool(_CLOSED_AT_INFINITY.search(answer))


# --- comparison, run in a worker -----------------------------------------------------------------------------------

# The box as a whole or nothing: without an anchor, a fraction in a box that does not parse would be taken for it.
_LATEX = (LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=False),)


def _parse(answer: str) -> list[Any]:
    # Without the box math-verify searches for an anchor, and reads bare `\sqrt{2}` as nothing. Only its LaTeX reader
    # is used: the plain-expression one picks a number out of prose and calls sympy's parse_expr, which is an eval.
    return parse(f"\\boxed{{{answer}}}", _LATEX, parsing_timeout=None)


def _far_apart(gold: Any, answer: Any) -> bool:
    """True for two numbers that math-verify calls equal only because it rounds to 6 decimals: 1.6e-19 and 0.0."""
    try:
        x, y = complex(gold.doit().evalf()), complex(answer.doit().evalf())
    except (AttributeError, TypeError, ValueError, OverflowError):
        return False  # not numbers
    return abs(x - y) > RELATIVE_TOLERANCE * max(abs(x), abs(y))


def _readings(gold: str, answer: str) -> Iterator[tuple[str, str]]:
    """The pairs of texts of which one must agree."""
    if re.fullmatch(r"[-+]?\d+\.\d+", gold) and re.fullmatch(r"[-+]?\d+,\d+", answer):
        answer = answer.replace(",", ".")  # decimal comma, only where the reference shows that a decimal is meant
    yield gold, answer
    if gold.endswith("\\%") != answer.endswith("\\%"):
        yield gold.removesuffix("\\%"), answer.removesuffix("\\%")


def _compare(gold: str, answer: str) -> Verdict:
    """math-verify's verdict on two normal forms.

    Only ``verify(gold, answer)``: the other order takes the right-hand side of an equation in the reference for the
    whole of it, so that a bare ``0`` would pass for ``x^2+y=0``, and an unordered ``1,3`` for the point ``(3,1)``.
    """
    unreadable = False
    for gold_text, answer_text in _readings(gold, answer):
        golds, answers = _parse(gold_text), _parse(answer_text)
        same = verify(golds, answers, allow_set_relation_comp=True, timeout_seconds=None)
        if same and not (golds and answers and _far_apart(golds[0], answers[0])):
            return Verdict.CORRECT
        # A reading that failed to parse leaves nothing, or the text alone.
        unreadable |= any(all(isinstance(item, str) for item in side) for side in (golds, answers))
    return Verdict.UNPARSED if unreadable else Verdict.WRONG


# --- the pool ------------------------------------------------------------------------------------------------------

_pools: dict[int, ProcessPool] = {}  # by process id: a forked child must not use its parent's pool
_pools_lock = threading.Lock()


def _start_worker() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # pebble's handler is Python: it would wait for a C call to end
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its timeouts are off
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit <= hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _run_in_worker(compare: Callable[[str, str], Verdict], gold: str, answer: str, timeout: float) -> Verdict:
    # The pool enforces the deadline. The alarm, left to its default action, ends a stuck worker whose parent is gone.
    signal.alarm(int(timeout) + 30)
    try:
        return compare(gold, answer)
    finally:
        signal.alarm(0)


def _pool() -> ProcessPool:
    """This process's pool; a new one where none runs or the last one broke."""
    with _pools_lock:
        pool = _pools.get(os.getpid())
        if pool is not None and pool.active:
            return pool
        if pool is None:
            atexit.register(_close_pool)
        else:
            pool.join()
        # forkserver: a fork of this process could copy locks that its threads hold, and a spawned worker imports
        # sympy anew, a second of CPU after each kill. The server imports it once, and has one thread.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["__main__", __name__])
        cores = len(os.sched_getaffinity(0))
        workers = int(os.environ.get("AER_GRADER_WORKERS", min(MAX_WORKERS, cores)))
        pool = ProcessPool(workers, max_tasks=TASKS_PER_WORKER, initializer=_start_worker, context=context)
        _pools[os.getpid()] = pool
        return pool


def _close_pool() -> None:
    pool = _pools.pop(os.getpid(), None)
    if pool is not None:
        pool.stop()
        pool.join()


@lru_cache(maxsize=CACHED_PAIRS)
def _verdict_from_pool(gold: str, answer: str, timeout: float) -> Verdict:
    """CORRECT, WRONG, UNPARSED or TIMEOUT, cached: a group of samples often holds the same answer many times.

    Raises what a dead or raising worker leaves behind; lru_cache does not keep exceptions, so a crash is tried again.
    """
    pool = _pool()
    future = pool.schedule(_run_in_worker, args=(_compare, gold, answer, timeout), timeout=timeout)
    while not wait([future], timeout=1.0).done:
        if not pool.active:  # pebble forgets what is queued in the moment a pool breaks
            raise BrokenProcessPool("the grader's worker pool broke")
    try:
        return future.result()
    except TimeoutError:
        return Verdict.TIMEOUT


def grade(gold: str, answer: str, timeout: float = DEADLINE_S) -> Verdict:
    """Compare an answer with the reference; callable from any thread.

    Args:
        gold: the reference answer, LaTeX or plain, without its box.
        answer: the text inside the response's box.
        timeout: seconds a worker may spend on the pair before it is killed; waiting for a free worker not counted.

    Raises:
        ValueError: the reference is blank.
    """
    wanted = normalise(gold)
    if not wanted:
        raise ValueError("the reference answer is blank")
    given = normalise(answer) if len(answer) <= MAX_ANSWER_CHARS else ""
    if not given:
        return Verdict.UNPARSED
    if _same_text(wanted, given):
        return Verdict.CORRECT
    if _visibly_different(wanted, given):
        return Verdict.WRONG
    try:
        return _verdict_from_pool(wanted, given, timeout)
    except Exception as error:  # whatever a worker raised: the pair is lost, the batch goes on
        reason = "died" if isinstance(error, ProcessExpired) else f"raised {error!r}"
        logger.warning("grader worker %s on %.80r against %.80r", reason, given, wanted, exc_info=True)
        return Verdict.CRASH
