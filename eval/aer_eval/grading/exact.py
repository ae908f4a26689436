"""Verdicts for the demo tasks: the whole response is the answer, and the task's checker says whether it is right."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from aer_eval.grading import countdown3, make_n, swap_sort
from aer_eval.records import AnswerType, Grade, Problem, Verdict


class Checker(NamedTuple):
    """How the answers of a task look, and which are right."""

    form: re.Pattern[str]
    is_correct: Callable[[str, str], bool]


CHECKERS: dict[AnswerType, Checker] = {
    "countdown3": Checker(countdown3.EXPRESSION, countdown3.is_correct),
    "make_n": Checker(make_n.SUM, make_n.is_correct),
    "swap_sort": Checker(swap_sort.ROWS, swap_sort.is_correct),
}


def grade_exact(problem: Problem, text: str, finish_reason: str | None) -> Grade:
    """The verdict on a response without special tokens.

    A response that was cut at the token limit is not finished and so not right, as in the training reward. The answer
    class is the answer itself: every distinct right answer is one more that the model has found.
    """
    checker = CHECKERS[problem.answer_type]
    right = checker.is_correct(text, problem.answer)
    found = checker.form.match(text)
    extracted = found[0] if found else None
    if finish_reason == "length":
        verdict = Verdict.TRUNCATED
    elif found is None:
        verdict = Verdict.NO_ANSWER
    else:
        verdict = Verdict.CORRECT if right else Verdict.WRONG
    return Grade(verdict, extracted, text if found else None)
