r"""Grade responses to mathematical problems.

1. ``extraction`` finds the answer: the last balanced ``\boxed{}`` after the reasoning. What is a formula of the
   ``question`` is right only where it is the reference as it stands, not by being equal to it;
2. ``normalisation`` and ``reading`` tell what kind of thing it is, and ``comparison`` decides numbers, words, lists
   and tuples of them in microseconds: this covers AIME, GSM8K and most of MATH;
3. expressions go to ``algebra``, in a pool of worker processes with a deadline and a memory limit.

No text of an answer is ever evaluated as Python.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from aer_eval import __version__
from aer_eval.errors import UserError
from aer_eval.grading.exact import CHECKERS, grade_exact
from aer_eval.grading.extraction import extract_answer
from aer_eval.grading.judgement import MAX_ANSWER_CHARS, Judgement, judge
from aer_eval.grading.pool import Lost, run_all
from aer_eval.grading.question import is_copied
from aer_eval.grading.reading import NAME, Collection, Equation, read
from aer_eval.grading.worker import judge_all
from aer_eval.records import Grade, Problem, Verdict
from aer_eval.versions import versions_of

DEADLINE_S = 5.0
"""Seconds a worker may spend on one comparison; a usual one takes a few milliseconds."""
CHUNK = 16
"""Answers to one problem that a worker gets at once. Where one of them hangs, each is tried alone."""
MAX_REMEMBERED = 2**16

Pair = tuple[str, str]
"""A reference and an answer."""


_LIBRARIES = ("math-verify", "latex2sympy2-extended", "sympy", "antlr4-python3-runtime")
GRADER_VERSIONS = {"aer-eval": __version__} | dict.fromkeys(_LIBRARIES, "none") | versions_of(_LIBRARIES)
"""What decides a grade."""


def _grader_id() -> str:
    """Readable versions, and a hash over all of them and this package's code: any other grader has another name."""
    digest = hashlib.sha256(repr(sorted(GRADER_VERSIONS.items())).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return f"aer{__version__}-mv{GRADER_VERSIONS['math-verify']}-{digest.hexdigest()[:8]}"


GRADER_ID = _grader_id()
"""Names the file of grades."""


def check_parser() -> None:
    """Refuse a parser runtime that would misread answers silently.

    Raises:
        UserError: antlr is not 4.13. math-verify carries parsers for older ones too, which misread percentages.
    """
    found = GRADER_VERSIONS["antlr4-python3-runtime"]
    if not found.startswith("4.13"):
        raise UserError(f"the grader needs antlr4 runtime 4.13, found {found}: pip install 'math-verify[antlr4_13_2]'")


# --- samples ------------------------------------------------------------------------------------------------------


def grade_samples(samples: Iterable[tuple[Problem, str, str | None]]) -> list[Grade]:
    """Grade responses; callable from any thread.

    Args:
        samples: the problem, the response without special tokens, and why it ended (``length``: the token limit).

    Returns:
        A grade for each sample, in order. Equal answers to one problem are compared once.

    Raises:
        UserError: the installed parser would misread answers.
        ValueError: a reference is blank.
    """
    return grade_answers(
        (problem, text if problem.answer_type in CHECKERS else _extract(text), finish_reason)
        for problem, text, finish_reason in samples
    )


def grade_answers(answers: Iterable[tuple[Problem, str | None, str | None]]) -> list[Grade]:
    """Grade answers that are already found: the text in the box, None without one; else as ``grade_samples``."""
    answers = list(answers)
    boxed = [(problem, answer) for problem, answer, _ in answers if answer and problem.answer_type not in CHECKERS]
    judgements = iter(_judge([(problem.problem, answer, _pair(problem, answer)) for problem, answer in boxed]))
    return [
        grade_exact(problem, answer or "", finish_reason)
        if problem.answer_type in CHECKERS
        else _grade(problem, answer, next(judgements) if answer else None, finish_reason)
        for problem, answer, finish_reason in answers
    ]


def _judge(boxed: Sequence[tuple[str, str, Pair]]) -> list[Judgement]:
    """A judgement for each question, text in the box and what is compared of it.

    Of a formula of the question (see ``is_copied``) nothing is computed: it is right where it is written like the
    reference, or is the same number.
    """
    copied = [is_copied(question, answer) for question, answer, _ in boxed]
    computed = iter(compare([pair for (*_, pair), copy in zip(boxed, copied, strict=True) if not copy]))
    return [
        judge(*pair, same=lambda one, other: False, key=lambda expression: expression) if copy else next(computed)
        for (*_, pair), copy in zip(boxed, copied, strict=True)
    ]


def _extract(text: str) -> str | None:
    found = extract_answer(text)
    return found.answer if found else None


def _pair(problem: Problem, answer: str) -> Pair:
    """What is compared."""
    return problem.answer, _last_side(answer) if problem.answer_type == "integer" else answer


def _last_side(answer: str) -> str:
    """What stands behind the last equals sign, ``m+n = 64+9 = 73``, or in front of it where that is a name.

    Lists, inequalities and what else is no equation stay as they are.
    """
    if "=" not in answer or len(answer) > MAX_ANSWER_CHARS:
        return answer
    found = read(re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", answer))  # 11,345+1,000 = 12,345 is no list
    if not isinstance(found, Equation) or isinstance(found.right, Collection):
        return answer
    left, _, right = found.text.rpartition("=")
    return left if NAME.fullmatch(right.strip()) else right


def _grade(problem: Problem, answer: str | None, judgement: Judgement | None, finish_reason: str | None) -> Grade:
    if judgement is None:
        return Grade(Verdict.TRUNCATED if finish_reason == "length" else Verdict.NO_ANSWER, None, None)
    if judgement.verdict is Verdict.CORRECT:
        return Grade(judgement.verdict, answer, problem.answer)
    other = judgement.key != problem.answer  # a wrong answer is not of the reference's class: 5 cm where 5 m is right
    return Grade(judgement.verdict, answer, judgement.key if other else f"not {judgement.key}")


# --- pairs --------------------------------------------------------------------------------------------------------

_remembered: dict[Pair, Judgement] = {}


class _Undecided(Exception):
    """Text alone does not tell."""


def _undecided(one: str, other: str) -> bool:
    raise _Undecided


def grade(gold: str, answer: str, question: str = "") -> Verdict:
    """The verdict on one answer; see ``compare``, and ``is_copied`` for what a question does."""
    return _judge([(question, answer, (gold, answer))])[0].verdict


def compare(pairs: Sequence[Pair], timeout: float = DEADLINE_S) -> list[Judgement]:
    """Compare answers with their references; callable from any thread.

    Args:
        pairs: references, LaTeX or plain, without their box, and the texts inside the responses' boxes.
        timeout: seconds a worker may spend on a pair before it is killed; waiting for a free worker not counted.

    Returns:
        For each pair, in order, CORRECT, WRONG, UNPARSED, TIMEOUT or CRASH. Equal pairs are compared once, and
        remembered: a group of samples often holds the same answer many times.

    Raises:
        UserError: the installed parser would misread answers.
        ValueError: a reference is blank.
    """
    check_parser()
    known = {pair: found for pair in set(pairs) if (found := _remembered.get(pair))}
    hard: list[Pair] = []
    for pair in dict.fromkeys(pairs):
        if pair not in known:
            try:
                known[pair] = judge(*pair, same=_undecided, key=lambda expression: expression)
            except _Undecided:
                hard.append(pair)
    known |= _compare_in_workers(hard, timeout)
    _remember(known)
    return [known[pair] for pair in pairs]


def _remember(judgements: dict[Pair, Judgement]) -> None:
    """All but crashes, which may have had another cause, and answers that nobody read."""
    if len(_remembered) > MAX_REMEMBERED:
        _remembered.clear()
    for (gold, answer), judgement in judgements.items():
        if judgement.verdict is not Verdict.CRASH and len(answer) <= MAX_ANSWER_CHARS:
            _remembered[gold, answer] = judgement


def _compare_in_workers(pairs: Sequence[Pair], timeout: float) -> dict[Pair, Judgement]:
    """Several answers to a problem at once; each alone where that took too long or cost the worker its life."""
    chunks = _chunks(pairs)
    done: dict[Pair, Judgement] = {}
    again: list[Pair] = []
    for (gold, answers), found in zip(chunks, run_all(judge_all, chunks, timeout), strict=True):
        if isinstance(found, list):
            done |= {(gold, answer): judgement for answer, judgement in zip(answers, found, strict=True)}
        elif len(answers) == 1:
            done[gold, answers[0]] = _lost(found, answers[0])
        else:
            again += [(gold, answer) for answer in answers]
    alone = [(gold, (answer,)) for gold, answer in again]
    for (gold, (answer,)), found in zip(alone, run_all(judge_all, alone, timeout), strict=True):
        done[gold, answer] = found[0] if isinstance(found, list) else _lost(found, answer)
    return done


def _chunks(pairs: Sequence[Pair]) -> list[tuple[str, tuple[str, ...]]]:
    by_gold = defaultdict(list)
    for gold, answer in pairs:
        by_gold[gold].append(answer)
    return [
        (gold, tuple(answers[start : start + CHUNK]))
        for gold, answers in by_gold.items()
        for start in range(0, len(answers), CHUNK)
    ]


def _lost(reason: TimeoutError | Lost, answer: str) -> Judgement:
    return Judgement(Verdict.TIMEOUT if isinstance(reason, TimeoutError) else Verdict.CRASH, answer)
