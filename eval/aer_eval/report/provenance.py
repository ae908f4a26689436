"""What was run: the settings of every run as a table, and what a reader must know before comparing runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from aer_eval.compare import FREE
from aer_eval.metrics.markdown import ABSENT
from aer_eval.report.canvas import PALETTE
from aer_eval.report.page import Row
from aer_eval.report.results import Result, by_suite

HIDDEN = ("format", "label", "problems")
"""Keys of the manifest that the rest of the page shows."""
EXPECTED = {*FREE, "engine"} - {"suite"}
"""What runs that are compared may differ in; anything else, the suite's version included, changes what is measured."""


def settings(result: Result) -> dict[str, str]:
    """The store's manifest under dotted names, such as `sampling.temperature`, and the engines that sampled."""
    shown = {key: value for key, value in result.scored.manifest.items() if key not in HIDDEN}
    engines = sorted(result.scored.samples["engine"].dropna().unique())
    (flat,) = pd.json_normalize({**shown, "engine": engines}).to_dict(orient="records")
    return {str(name): _text(value) for name, value in flat.items()}


def setting_rows(results: Sequence[Result]) -> list[Row]:
    """Every setting of the runs on one suite, one cell a run."""
    runs = [settings(result) for result in results]
    rows = []
    for name in dict.fromkeys(name for run in runs for name in run):
        cells = tuple(run.get(name, ABSENT) for run in runs)
        rows.append(Row(name, cells, differs=len(set(cells)) > 1))
    return rows


def notes(results: Sequence[Result]) -> list[str]:
    """What makes the numbers incomplete or the runs not comparable, one sentence each."""
    found = []
    labels = {result.label for result in results}
    if len(labels) > len(PALETTE):
        found.append(f"There are {len(labels)} runs and {len(PALETTE)} colours: colours repeat.")
    found += [note for result in results for note in _incomplete(result)]
    where: dict[str, list[str]] = {}
    for suite, group in by_suite(results).items():
        for note in _not_comparable(group):
            where.setdefault(note, []).append(suite)
    return found + [f"{', '.join(suites)}: {note}" for note, suites in where.items()]


def _incomplete(result: Result) -> Iterable[str]:
    summary = result.summary
    where = f"{result.suite}, {result.label}"
    if summary.missing_problems:
        total = summary.num_problems + summary.missing_problems
        yield (
            f"{where}: {summary.missing_problems} of {total} problems have no sample; "
            f"its numbers are about the other {summary.num_problems}."
        )
    if summary.min_samples < summary.max_samples:
        yield (
            f"{where}: problems have {summary.min_samples} to {summary.max_samples} samples; "
            f"pass@k goes up to k = {summary.min_samples}."
        )


def _not_comparable(results: Sequence[Result]) -> Iterable[str]:
    for row in setting_rows(results):
        if row.differs and row.label not in EXPECTED and row.label.split(".")[0] not in EXPECTED:
            values = ", ".join(f"{cell} in {result.label}" for cell, result in zip(row.cells, results, strict=True))
            yield f"the runs differ in {row.label} ({values}): a difference in the numbers may come from it."
    if len({frozenset(result.summary.per_problem.index) for result in results}) > 1:
        counts = ", ".join(f"{result.summary.num_problems} in {result.label}" for result in results)
        yield f"the runs are on different problems ({counts}): do not compare their numbers."
    counts_of_samples = {result.summary.min_samples for result in results}
    if len(counts_of_samples) > 1:
        yield "the runs have different numbers of samples a problem: maj@n is not comparable, pass@k is at equal k."


def _text(value: object) -> str:
    if value is None or value in ([], {}):
        return ABSENT
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a temperature of 1 is one of 1.0
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
