"""Where two graders disagree: an error of one of them, or an answer that people would argue about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from aer_eval.grading.exact import CHECKERS
from aer_eval.grading.pool import run_all
from aer_eval.grading.question import is_copied
from aer_eval.grading.second_reader import NotRead, same
from aer_eval.records import Grade, Problem, ScoredSuite, Verdict

PAIRS_AT_ONCE = 500
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Disagreement:
    """One answer that the two graders see differently."""

    problem_id: str
    gold: str
    answer: str
    verdict: Verdict
    """The grader's."""
    second: Verdict
    """CORRECT or WRONG, by the second reader."""


def audit(problems: Sequence[Problem], grades: Sequence[Grade]) -> list[Disagreement]:
    """Ask the second reader about every distinct answer that was graded.

    Answers that it cannot read are passed over: it has no opinion on them. Tasks with exact checkers are too, and
    formulas of the question, which are wrong however equal.

    Args:
        problems: of each grade.
        grades: what the grader said.
    """
    asked = {
        (problem.id, problem.answer, grade.extracted): grade.verdict
        for problem, grade in zip(problems, grades, strict=True)
        if grade.extracted is not None
        and problem.answer_type not in CHECKERS
        and not is_copied(problem.problem, grade.extracted)
    }
    questions = list(asked)
    chunks = [
        ([(gold, answer) for _, gold, answer in questions[start : start + PAIRS_AT_ONCE]],)
        for start in range(0, len(questions), PAIRS_AT_ONCE)
    ]
    opinions: list[bool | None] = []
    for (pairs,), found in zip(chunks, run_all(second_opinions, chunks, TIMEOUT_S), strict=True):
        opinions += found if isinstance(found, list) else [None] * len(pairs)
    return [
        Disagreement(*question, verdict=asked[question], second=Verdict.CORRECT if opinion else Verdict.WRONG)
        for question, opinion in zip(questions, opinions, strict=True)
        if opinion is not None and opinion != (asked[question] is Verdict.CORRECT)
    ]


def audit_suite(scored: ScoredSuite) -> list[Disagreement]:
    """Ask the second reader about a suite's graded samples; see ``audit``."""
    rows = scored.samples[["problem_id", "verdict", "extracted"]].drop_duplicates()
    problems = [scored.problems[row.problem_id] for row in rows.itertuples()]
    grades = [
        Grade(Verdict(row.verdict), None if pd.isna(row.extracted) else row.extracted, answer_class=None)
        for row in rows.itertuples()
    ]
    return audit(problems, grades)


def second_opinions(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    """Whether each answer is its reference; None where the second reader cannot tell. Run in a worker."""
    return [_opinion(gold, answer) for gold, answer in pairs]


def _opinion(gold: str, answer: str) -> bool | None:
    try:
        return same(gold, answer)
    except NotRead:
        return None


def as_lines(disagreements: Sequence[Disagreement]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(asdict(found)) + "\n" for found in disagreements)
