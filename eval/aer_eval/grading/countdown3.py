"""COUNTDOWN-3: reach a target with three digits.

The prompt is ``"abc ttt="`` (three digits 1-9, the target zero-padded), the reference the JSON text
``[[a, b, c], ttt]``. Right is any expression ``x*y+z`` of ``+ - *`` with the usual precedence that uses the three
digits once each and has the target's value, and nothing else.
"""

from __future__ import annotations

import json
import operator
import re

EXPRESSION = re.compile("([0-9])([-+*])([0-9])([-+*])([0-9])")
_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def evaluate(expression: str) -> int:
    """The value of ``digit op digit op digit``. Raises ValueError for any other text."""
    match = EXPRESSION.fullmatch(expression)
    if match is None:
        raise ValueError(f"not an expression of three digits: {expression!r}")
    a, b, c = (int(match[group]) for group in (1, 3, 5))
    first, second = _OPERATORS[match[2]], _OPERATORS[match[4]]
    if match[4] == "*" and match[2] != "*":
        return first(a, second(b, c))
    return second(first(a, b), c)


def is_correct(answer: str, reference: str) -> bool:
    """Whether a text is a right expression. Raises ValueError or TypeError for a reference of another form."""
    digits, target = json.loads(reference)
    if not EXPRESSION.fullmatch(answer):
        return False
    return sorted(map(int, answer[::2])) == sorted(digits) and evaluate(answer) == target
