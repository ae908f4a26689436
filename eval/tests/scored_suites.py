"""Graded samples written as strings, one character a sample, for the tests of metrics, comparison and report."""

from collections.abc import Mapping

import pandas as pd

from aer_eval.records import GRADE_COLUMNS, SAMPLE_COLUMNS, Problem, ScoredSuite, Verdict

SUITE = {"name": "tiny", "version": 1, "checksum": "c0ffee"}
VERDICTS = {"R": Verdict.CORRECT, "-": Verdict.NO_ANSWER, "t": Verdict.TRUNCATED}
"""R is right, - has no answer, t is truncated, any other letter is the class of a wrong answer."""


def scored(outcomes: Mapping[str, str], label="A", unsampled=(), texts=None, settings=None, **columns) -> ScoredSuite:
    """A suite with a problem for each key of ``outcomes``, whose samples are the characters of its value."""
    rows = []
    for problem, samples in outcomes.items():
        for index, outcome in enumerate(samples):
            answer = None if outcome in "-t" else outcome
            row = {
                "problem_id": problem,
                "sample_index": index,
                "seed": index,
                "text": (texts or {}).get(problem, [""] * len(samples))[index],
                "finish_reason": "length" if outcome == "t" else "stop",
                "verdict": VERDICTS.get(outcome, Verdict.WRONG).value,
                "extracted": answer,
                "answer_class": answer,
            }
            rows.append(row | {name: values[len(rows)] for name, values in columns.items()})
    kinds = {**SAMPLE_COLUMNS, **GRADE_COLUMNS}
    names = [*outcomes, *unsampled]
    return ScoredSuite(
        label=label,
        suite=SUITE["name"],
        suite_version=SUITE["version"],
        problems={name: Problem(name, "?", "R", "integer") for name in names},
        samples=pd.DataFrame(rows, columns=list(kinds)).astype(kinds),
        manifest={"suite": SUITE, "sampling": {"temperature": 1.0, "run_seed": 0}, **(settings or {})},
    )
