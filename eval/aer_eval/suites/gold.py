"""References as they are graded against: cut out of their field, in one spelling, and summed up over a suite."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

from aer_eval.grading.extraction import extract_answer
from aer_eval.grading.normalisation import normalise
from aer_eval.records import AnswerType, Problem, compact
from aer_eval.suites.schema import AnswerCut

_DOLLARS = re.compile(r"(?<!\\)\$")
_INTEGER = re.compile(r"([+-]?\d+)(?:\.0*)?")


def cut_answer(text: str, cut: AnswerCut) -> str | None:
    """The reference in the text of an answer field; None where ``last_box`` finds no box.

    Text without ``####`` is the reference itself: local copies of such sets often have it cut already.
    """
    if cut == "last_box":
        found = extract_answer(text)
        return found.answer if found else None
    return text.rpartition("####")[2] if cut == "after_hashes" else text


def normalise_gold(text: str, answer_type: AnswerType) -> str:
    r"""A reference in the one spelling that problems carry: ``025``, ``25.0`` and ``25^\circ`` are ``25``.

    Raises:
        ValueError: empty, or not what the answer type says.
    """
    if answer_type == "countdown3":
        return _countdown_label(text.strip())
    text = _DOLLARS.sub("", text).strip()
    if not text:
        raise ValueError("empty")
    if answer_type == "math":
        return text
    integer = _INTEGER.fullmatch(normalise(text))
    if integer is None:
        raise ValueError(f"{text!r} is not an integer")
    return str(int(integer[1]))


def _countdown_label(text: str) -> str:
    """``[[a, b, c], target]`` as JSON."""
    try:
        digits, target = json.loads(text)
        numbers = [*digits, target]
    except (ValueError, TypeError):
        numbers = []
    if len(numbers) != 4 or not all(type(number) is int for number in numbers):
        raise ValueError(f"{text!r} is not [[a, b, c], target]")
    return json.dumps([digits, target])


def checksum(problems: Iterable[Problem]) -> str:
    """SHA-256, in hexadecimal, of the problems' texts and references without white space, whatever their order.

    Ids and metadata do not count, so that the hub's rows and a local copy of them agree.
    """
    pairs = sorted([compact(problem.problem), compact(problem.answer)] for problem in problems)
    return hashlib.sha256(json.dumps(pairs, ensure_ascii=False).encode()).hexdigest()
