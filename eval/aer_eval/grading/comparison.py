r"""Whether two answers are the same, as far as their kinds go; expressions are compared by a function given.

The rules, with the reference on the left:

* numbers are exact; a decimal of six places and more may stand for what it rounds to;
* percent and degree signs, known units and currency make no difference where only one side has them;
* a list and a set have no order, a tuple has one; a list may stand for either, a set never for a tuple;
* a column or row of a matrix may be written as a tuple;
* an interval may be an inequality, a union several of them; ``(a,b)`` is a point as well as an open interval;
* ``x = 5`` answers ``5``, and ``5`` answers ``x = 5``; but an equation is not answered by its right-hand side;
* a modulus is optional where the reference has none, and has to be the reference's where it has one;
* a number in a base is that string of digits in that base.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from aer_eval.grading.numbers import Number, equal_numbers, read_number
from aer_eval.grading.reading import NAME, Answer, Based, Collection, Equation, Residue, Value, Words, letters_of

SameExpression = Callable[[str, str], bool]
"""Whether two expressions in LaTeX are equal; may raise."""

_UNORDERED = ("list", "set", "union")
_FUNCTION = re.compile(r"([a-zA-Z])\s*\(([a-z])\)")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_SINGLE_LETTER = re.compile(r"[a-zA-Z]")
_INSIDE = r"\{[^{}]*[a-zA-Z]"
_AWAY_FROM_SOLVED = re.compile(
    rf"\^\s*[a-zA-Z]|[a-zA-Z)|]\s*\^|\^{_INSIDE}|\\sqrt(?:\[[^][]*\])?{_INSIDE}|\}}\s*{_INSIDE}|/[^<>]*[a-zA-Z]"
    r"|\\(?:log|ln|exp|sin|cos|tan|cot|sec|csc|arc(?:sin|cos|tan))(?![a-zA-Z])"
)
"""A variable in a power, under a root, below a fraction, in a function."""
_ARGUMENTS = re.compile(r"_(?:\w|\{[^{}]*\})|\([^()]*\)")


def same_answer(gold: Answer, answer: Answer, same: SameExpression) -> bool:
    """Whether an answer is the reference, by the rules above. Raises what ``same`` raises."""
    if gold == answer:
        return True
    if isinstance(gold, Residue) or isinstance(answer, Residue):
        return _same_residue(gold, answer, same)
    if isinstance(gold, Equation) or isinstance(answer, Equation):
        return _same_equation(gold, answer, same)
    if isinstance(gold, Words) or isinstance(answer, Words):
        return (
            not isinstance(gold, Collection | Based)
            and not isinstance(answer, Collection | Based)
            and (letters_of(gold.text) == letters_of(answer.text))
        )
    if isinstance(gold, Value) and isinstance(answer, Value):
        return _same_value(gold, answer, same)
    if isinstance(gold, Collection) and isinstance(answer, Collection):
        return _same_collection(gold, answer, same)
    return False


def _same_residue(gold: Answer, answer: Answer, same: SameExpression) -> bool:
    if not isinstance(answer, Residue):
        return False
    if not isinstance(gold, Residue):
        return same_answer(gold, answer.value, same)
    return same_answer(gold.modulus, answer.modulus, same) and same_answer(gold.value, answer.value, same)


def _same_value(gold: Value, answer: Value, same: SameExpression) -> bool:
    if gold.unit and answer.unit and gold.unit != answer.unit:
        return False
    one, other = read_number(gold.text), read_number(answer.text)
    if one and other:
        if equal_numbers(one, other):
            return True
        return gold.percent != answer.percent and equal_numbers(_fraction(gold, one), _fraction(answer, other))
    if gold.text == answer.text:
        return True
    if r"\infty" in (gold.text.lstrip("-"), answer.text.lstrip("-")):
        return False
    return same(gold.text, answer.text)


def _fraction(value: Value, number: Number) -> Number:
    return Number(number.value / 100, number.places and number.places + 2) if value.percent else number


def _same_collection(gold: Collection, answer: Collection, same: SameExpression) -> bool:
    kinds = {gold.kind, answer.kind}
    if "matrix" in kinds and "()" in kinds:
        gold, answer = _flat(gold), _flat(answer)
    elif any(kind.startswith("chain") for kind in kinds) and gold.kind != answer.kind:
        solved = not answer.kind.startswith("chain") or _is_nearly_solved(answer.text)
        return solved and same(gold.text, answer.text)  # -x > -1 and x < 1
    elif len(kinds) > 1 and kinds != {"list", "()"} and not kinds <= set(_UNORDERED):
        return False
    if len(gold.items) != len(answer.items):
        return False
    if "()" not in kinds and kinds <= set(_UNORDERED):
        return _same_set(gold.items, answer.items, same)
    return all(same_answer(one, other, same) for one, other in zip(gold.items, answer.items, strict=True))


def _is_nearly_solved(inequality: str) -> bool:
    """Whether what is left to do is one step, as in ``-x > -1`` and ``|x-2| < 3``: the problem itself is no answer."""
    variables = _SINGLE_LETTER.findall(_COMMAND.sub(" ", inequality))
    return len(variables) == len(set(variables)) and not _AWAY_FROM_SOLVED.search(inequality)


def _flat(collection: Collection) -> Collection:
    """The entries of a matrix with one column or one row; anything else as it is."""
    rows = [row.items for row in collection.items if isinstance(row, Collection) and row.kind == "row"]
    if collection.kind == "matrix" and (len(rows) == 1 or all(len(row) == 1 for row in rows)):
        return Collection("()", tuple(entry for row in rows for entry in row))
    return collection


def _same_set(gold: Sequence[Answer], answer: Sequence[Answer], same: SameExpression) -> bool:
    """Whether every item of either has one of its own in the other."""
    left = list(answer)
    for item in sorted(gold, key=lambda item: item not in left):  # equal texts first: they cost nothing
        match = next((index for index, other in enumerate(left) if same_answer(item, other, same)), None)
        if match is None:
            return False
        del left[match]
    return True


def _same_equation(gold: Answer, answer: Answer, same: SameExpression) -> bool:
    if not isinstance(gold, Equation):
        assert isinstance(answer, Equation)
        return _announces_result(answer.left) and same_answer(gold, answer.right, same)
    if not isinstance(answer, Equation):
        return NAME.fullmatch(gold.left) is not None and same_answer(gold.right, answer, same)
    if _same_name(gold.left, answer.left):
        return same_answer(gold.right, answer.right, same)
    return same(gold.text, answer.text)


def _announces_result(left: str) -> bool:
    """Whether a left-hand side leads to a result: ``m + n``, ``f(3)`` and ``2 + 3`` do, ``2x`` and ``x^2`` do not."""
    bare = _ARGUMENTS.sub("", left)
    return not re.search(r"[a-zA-Z]", left) or not (re.search(r"\d", bare) or bare.startswith("-"))


def _same_name(gold: str, answer: str) -> bool:
    """``f(x)`` may be called ``y``, or another function of x."""
    if gold.replace(" ", "") == answer.replace(" ", ""):
        return NAME.fullmatch(gold) is not None
    names = [_FUNCTION.fullmatch(name) for name in (gold, answer)]
    if all(names):
        return names[0][2] == names[1][2]  # type: ignore[index]
    return any(names) and "y" in (gold, answer)
