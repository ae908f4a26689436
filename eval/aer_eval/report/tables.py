"""The numbers as text: the same lines make the page's tables and the Markdown's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from aer_eval.metrics.markdown import ABSENT
from aer_eval.metrics.types import Estimate, Interval
from aer_eval.report.page import Row, number
from aer_eval.report.results import Result

OVER_PROBLEMS = "over problems like these"
THIS_SET = "for exactly this set"
CARE = " *"
"""Behind a number that is to be read with care."""


@dataclass(frozen=True)
class Line:
    """A line of a suite's main table: a run's numbers, or one of their two intervals."""

    label: str
    cells: tuple[str, ...]
    color: str | None = None
    """The run's colour; None for an interval's line."""


@dataclass(frozen=True)
class Measure:
    """A line of the table of all metrics."""

    metric: str
    label: str
    color: str
    value: str
    over_problems: str
    this_set: str
    note: str


def main_headings(k: int) -> tuple[str, ...]:
    """The columns of a suite's main table, behind the run's."""
    passes = dict.fromkeys(["pass@1", f"pass@{k}"])
    return ("samples", *passes, "maj@n", "truncated", "mean tokens")


def main_lines(results: Sequence[Result], k: int) -> list[Line]:
    """Three lines a run of one suite: its numbers, then the two intervals."""
    lines = []
    for result in results:
        summary = result.summary
        passes = [summary.estimates.get(name) for name in dict.fromkeys(["pass@1", f"pass@{k}"])]
        estimates = [*passes, result.majority]
        plain = (number(summary.rates.get("truncated")), tokens(summary.lengths.get("all")))
        unknown = (ABSENT,) * len(plain)
        lines += [
            Line(result.label, (result.summary.sample_range, *map(_value, estimates), *plain), result.color),
            Line(OVER_PROBLEMS, ("", *(interval(e.over_problems if e else None) for e in estimates), *unknown)),
            Line(THIS_SET, ("", *(interval(e.this_set if e else None) for e in estimates), *unknown)),
        ]
    return lines


def cautions(results: Sequence[Result], k: int) -> list[str]:
    """What the marked numbers of the main table are to be read with care for."""
    shown = [result.summary.estimates.get(name) for result in results for name in ("pass@1", f"pass@{k}")]
    shown += [result.majority for result in results]
    return sorted({estimate.flag for estimate in shown if estimate and estimate.flag})


def measures(results: Sequence[Result]) -> list[Measure]:
    """Every estimate of one suite: a metric's runs below each other."""
    names = dict.fromkeys(name for result in results for name in result.summary.estimates)
    return [
        Measure(
            name,
            result.label,
            result.color,
            number(estimate.value),
            interval(estimate.over_problems),
            interval(estimate.this_set),
            estimate.flag or "",
        )
        for name in names
        for result in results
        if (estimate := result.summary.estimates.get(name))
    ]


def other_rows(results: Sequence[Result]) -> list[tuple[str, list[Row]]]:
    """What has no interval, by heading: rates, lengths, diversity and verdicts, one cell a run."""
    summaries = [result.summary for result in results]
    sections = [
        ("Rates", [{name: number(x) for name, x in summary.rates.items()} for summary in summaries]),
        ("Mean tokens", [{name: tokens(x) for name, x in summary.lengths.items()} for summary in summaries]),
        ("Diversity", [{name: number(x) for name, x in summary.diversity.items()} for summary in summaries]),
        ("Samples by verdict", [{name: f"{x:,}" for name, x in summary.verdicts.items()} for summary in summaries]),
    ]
    return [(heading, rows) for heading, runs in sections if (rows := _rows(runs))]


def interval(bounds: Interval | None) -> str:
    """Both ends, or a dash where there is no interval."""
    return ABSENT if bounds is None else f"{number(bounds.low)} to {number(bounds.high)}"


def tokens(value: float | None) -> str:
    """A mean number of tokens: whole, with one decimal below a hundred."""
    if value is None or pd.isna(value):
        return ABSENT
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _rows(runs: Sequence[Mapping[str, str]]) -> list[Row]:
    names = dict.fromkeys(name for run in runs for name in run)
    return [Row(name, tuple(run.get(name, ABSENT) for run in runs)) for name in names]


def _value(estimate: Estimate | None) -> str:
    if estimate is None:
        return ABSENT
    return number(estimate.value) + (CARE if estimate.flag else "")
