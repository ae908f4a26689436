"""Grade what a store holds: apart from sampling, as often as wanted, with whatever grader is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from aer_eval.errors import UserError
from aer_eval.grading.grader import GRADER_ID, grade_samples
from aer_eval.records import Problem, ScoredSuite, Verdict
from aer_eval.sampling.store import MANIFEST, SAMPLE_KEY, join_grades, read_problems, read_samples, write_grades
from aer_eval.sampling.units import Completion


def score_store(store: Path, label: str | None = None) -> ScoredSuite:
    """Grade every sample of a store and write the grades; return both. See ``score_samples``."""
    return score_samples(store, read_samples(store), label)


def score_samples(store: Path, samples: pd.DataFrame, label: str | None = None) -> ScoredSuite:
    """Grade the samples of a store, which have been read, and write the grades; return both.

    Args:
        store: the store's folder.
        samples: all of its samples.
        label: the name to show; the model's name without one.

    Raises:
        UserError: there are no samples, or some of a problem that the store does not know.
    """
    if samples.empty:
        raise UserError(f"{store}: no samples in it; run `aer-eval run` first")
    problems = read_problems(store)
    if unknown := sorted(set(samples["problem_id"]) - problems.keys()):
        raise UserError(
            f"{store}: samples of {unknown[0]!r}, which is no problem of its {MANIFEST}; "
            "give another --out and sample again"
        )
    grades = grade_samples(
        (problems[row.problem_id], row.text, None if pd.isna(row.finish_reason) else row.finish_reason)
        for row in samples.itertuples()
    )
    frame = samples[list(SAMPLE_KEY)].assign(
        verdict=[grade.verdict.value for grade in grades],
        extracted=[grade.extracted for grade in grades],
        answer_class=[grade.answer_class for grade in grades],
    )
    write_grades(store, GRADER_ID, frame)
    return join_grades(store, samples, frame, GRADER_ID, label)


def grade_completions(problems: Mapping[str, Problem], samples: Sequence[Completion]) -> list[bool]:
    """Whether each of some fresh samples is right."""
    grades = grade_samples([(problems[sample.problem_id], sample.text, sample.finish_reason) for sample in samples])
    return [grade.verdict is Verdict.CORRECT for grade in grades]
