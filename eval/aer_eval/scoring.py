"""Grade what a store holds: apart from sampling, as often as wanted, with whatever grader is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from aer_eval.errors import UserError
from aer_eval.grading.grader import GRADER_ID, grade_samples
from aer_eval.records import GRADE_COLUMNS, Grade, Problem, Verdict
from aer_eval.sampling.store import read_problems, read_samples, write_grades
from aer_eval.sampling.units import Completion


def score_store(store: Path) -> list[tuple[Problem, Grade]]:
    """Grade every sample of a store and write the grades; return them with their problems, in the samples' order.

    Raises:
        UserError: there are no samples.
    """
    samples = read_samples(store)
    if samples.empty:
        raise UserError(f"{store}: no samples in it; run `aer-eval run` first")
    problems = read_problems(store)
    rows = [
        (problems[row.problem_id], row.text, None if pd.isna(row.finish_reason) else row.finish_reason)
        for row in samples.itertuples()
    ]
    grades = grade_samples(rows)
    frame = pd.DataFrame(
        {
            "problem_id": samples["problem_id"],
            "sample_index": samples["sample_index"],
            "verdict": [grade.verdict.value for grade in grades],
            "extracted": [grade.extracted for grade in grades],
            "answer_class": [grade.answer_class for grade in grades],
        },
        columns=list(GRADE_COLUMNS),
    )
    write_grades(store, GRADER_ID, frame)
    return [(problem, grade) for (problem, _, _), grade in zip(rows, grades, strict=True)]


def grade_completions(problems: Mapping[str, Problem], samples: Sequence[Completion]) -> list[bool]:
    """Whether each of some fresh samples is right."""
    grades = grade_samples([(problems[sample.problem_id], sample.text, sample.finish_reason) for sample in samples])
    return [grade.verdict is Verdict.CORRECT for grade in grades]
