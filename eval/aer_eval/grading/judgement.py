"""One answer against one reference: the same code where text decides, in the grader's process, and in its workers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aer_eval.grading.comparison import SameExpression, same_answer
from aer_eval.grading.numbers import read_number
from aer_eval.grading.reading import Answer, Based, Collection, Equation, Residue, Words, read
from aer_eval.records import Verdict

MAX_ANSWER_CHARS = 2000
"""Longer answers are not read. The longest reference of MATH, OlympiadBench and Minerva has 210."""


_DEGREE = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\^?\{?\\degree\}?|\u00b0)")


class Unreadable(Exception):
    """A text is not mathematics that the parser knows."""


class Judgement(NamedTuple):
    """What came of one comparison."""

    verdict: Verdict
    key: str
    """Equal for answers with equal values, whatever the reference."""


def judge(gold: str, answer: str, same: SameExpression, key: Callable[[str], str]) -> Judgement:
    """Compare an answer with a reference.

    Args:
        gold: the reference, LaTeX or plain, without its box.
        answer: the text inside the response's box.
        same: whether two expressions are equal. May raise Unreadable; all else that it raises is passed on.
        key: a text that is equal for equal expressions. May raise Unreadable.

    Raises:
        ValueError: the reference is blank.
    """
    if not _squeezed(gold):
        raise ValueError("the reference answer is blank")
    if len(answer) > MAX_ANSWER_CHARS:
        return Judgement(Verdict.UNPARSED, hashlib.sha256(answer.encode(errors="replace")).hexdigest())
    if _squeezed(gold) == _squeezed(answer):
        return Judgement(Verdict.CORRECT, _key_or_text(answer, key))
    try:
        right = any(same_answer(read(one), read(other), same) for one, other in _readings(gold, answer))
        verdict = Verdict.CORRECT if right else Verdict.WRONG
    except Unreadable:
        verdict = Verdict.UNPARSED
    return Judgement(verdict, _key_or_text(answer, key))


def _readings(gold: str, answer: str) -> Iterator[tuple[str, str]]:
    """The two texts, and what they also may mean where the one shows how the other is meant."""
    yield gold, answer
    if re.fullmatch(r"[-+]?\d*\.\d+", gold) and re.fullmatch(r"[-+]?\d+,\d+", answer):
        yield gold, answer.replace(",", ".")  # decimal comma
    if bool(_DEGREE.search(gold)) != bool(_DEGREE.search(answer)):
        yield _DEGREE.sub("", gold), _DEGREE.sub("", answer)  # the sign is optional, even for a cosine


def _squeezed(text: str) -> str:
    """Without dollars and spaces, except between digits: `1 0` is not `10`."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text.replace("$", ""))


def _key_or_text(answer: str, key: Callable[[str], str]) -> str:
    try:
        return _key(read(answer), key)
    except Unreadable:
        return _squeezed(answer)


def _key(answer: Answer, key: Callable[[str], str]) -> str:
    if isinstance(answer, Words):
        return f"'{answer.text}'"
    if isinstance(answer, Based):
        return f"{answer.digits}_{answer.base}"
    if isinstance(answer, Residue):
        return f"{_key(answer.value, key)} mod {_key(answer.modulus, key)}"
    if isinstance(answer, Equation):
        return key(answer.text) if isinstance(answer.right, Equation) else _key(answer.right, key)
    if isinstance(answer, Collection):
        items = [_key(item, key) for item in answer.items]
        if answer.kind in ("list", "set", "union"):
            return "{" + "; ".join(sorted(items)) + "}"
        return f"{answer.kind}({'; '.join(items)})"
    number = read_number(answer.text)
    return key(answer.text) if number is None else str(number.value)
