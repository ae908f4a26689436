"""What the grader's workers run. Importing this costs nothing: sympy is imported where it is used."""

from __future__ import annotations

from collections.abc import Sequence

from aer_eval.grading.judgement import Judgement, judge


def judge_all(gold: str, answers: Sequence[str]) -> list[Judgement]:
    """Compare some answers with one reference; see ``judge``."""
    from aer_eval.grading.algebra import key, same_expression

    return [judge(gold, answer, same_expression, key) for answer in answers]
