"""COUNTDOWN-3: reach a target with three digits.

The prompt is ``"abc ttt="`` (three digits 1-9, the target zero-padded), the label the JSON text ``[[a, b, c], ttt]``.
Right is any expression ``x*y+z`` of ``+ - *`` with the usual precedence that uses the three digits once each and has
the target's value, and then the end-of-sequence token and nothing else. An unfinished response is wrong: were it not,
a policy held at a target entropy could put all of it into the tokens after the answer, where it costs nothing.

As a reward: ``--reward.remote_url path/to/countdown.py``.
"""

from __future__ import annotations

import json
import operator
import re

from aer_openrlhf.rewards.scoring import EOS, Outcome, exact_outcome, finished_answer, make_reward_func

__all__ = ["EOS", "EXPRESSION", "canonical_answer", "evaluate", "is_correct", "reward_func", "score"]

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


def canonical_answer(response: str) -> str | None:
    """The expression of a finished, well-formed response, to count distinct answers by; None for any other."""
    return finished_answer(response, EXPRESSION)


def is_correct(response: str, label: str) -> bool:
    """Whether a response is right. Raises ValueError or TypeError for a label of another form."""
    digits, target = json.loads(label)
    answer = canonical_answer(response)
    if answer is None:
        return False
    return sorted(map(int, answer[::2])) == sorted(digits) and evaluate(answer) == target


def score(response: str, label: str) -> Outcome:
    """1 for a right response, else 0; an expression at the start is an answer even where the response is wrong."""
    return exact_outcome(response, EXPRESSION, is_correct(response, label))


reward_func = make_reward_func(score)
