"""Every number of one model on one suite, from its graded samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from aer_eval.metrics.diversity import suite_diversity
from aer_eval.metrics.intervals import delete_one_variance, over_problems, this_set, this_set_from_variances
from aer_eval.metrics.markdown import ABSENT, table, with_interval
from aer_eval.metrics.pass_at_k import (
    Table,
    g_pass_at_k_table,
    look_up,
    mg_pass_at_k_table,
    pass_at_k_table,
    pass_hat_k_table,
    powers_of_two,
)
from aer_eval.metrics.types import Estimate, SuiteSummary
from aer_eval.metrics.voting import Votes, count_votes, maj_at_k
from aer_eval.records import ScoredSuite, Verdict

G_PASS_THRESHOLDS = (0.5, 0.75)
FEW_SAMPLES = "k > n/2"
"""Flag of a number that is the mean of few, overlapping draws: its interval for this set is not to be relied on."""


def summarise(scored: ScoredSuite, ks: Sequence[int] | None = None) -> SuiteSummary:
    """Compute every metric of a suite.

    Args:
        scored: graded samples. A problem with fewer samples than others counts with those that it has.
        ks: for pass@k and the other metrics of k samples; 1 is always among them. Without it 1, 2, 4, ... and n, the
            fewest samples of a problem.

    Raises:
        UserError: a k is not from 1 to the fewest samples of a problem.
    """
    samples = scored.samples
    per_problem = _per_problem(samples)
    fewest = int(per_problem["n"].min())
    ks = powers_of_two(fewest) if ks is None else sorted({1, *ks})
    solved = per_problem["correct"] / per_problem["n"]
    return SuiteSummary(
        label=scored.label,
        suite=scored.suite,
        num_problems=len(per_problem),
        missing_problems=len(scored.problems) - len(per_problem),
        min_samples=fewest,
        max_samples=int(per_problem["n"].max()),
        estimates={**_count_estimates(per_problem, ks), **_maj_estimates(samples, ks)},
        verdicts={verdict.value: int((samples["verdict"] == verdict).sum()) for verdict in Verdict},
        rates=known(
            {
                "truncated": (samples["finish_reason"] == "length").mean(),
                "never_solved": float((solved == 0).mean()),
                "always_solved": float((solved == 1).mean()),
            }
        ),
        lengths=_lengths(samples),
        diversity=suite_diversity(samples),
        per_problem=per_problem,
    )


def metric_names(n: int) -> list[str]:
    """The keys of ``SuiteSummary.estimates`` where every problem has n samples."""
    ks = powers_of_two(n)
    return [name for name, _, _ in _count_metrics(ks)] + [f"maj@{k}" for k in ks]


def to_json(summary: SuiteSummary) -> dict[str, Any]:
    """The summary in JSON types. A number that is not known is absent."""
    fields = {name: value for name, value in vars(summary).items() if name not in ("estimates", "per_problem")}
    return {
        **known(fields),
        "estimates": {name: known(asdict(estimate)) for name, estimate in summary.estimates.items()},
        "per_problem": {
            str(problem): known(row) for problem, row in summary.per_problem.to_dict(orient="index").items()
        },
    }


def markdown_table(summaries: Sequence[SuiteSummary]) -> str:
    """pass@k as two tables, one for each of the two 95 % intervals, one row a suite and model.

    What is missing or to be read with care stands below.
    """
    names = {name for summary in summaries for name in summary.estimates if name.startswith("pass@")}
    shown = sorted(names, key=lambda name: int(name.removeprefix("pass@")))
    headings = ["suite", "model", "problems", "samples", *shown]
    parts = []
    for title, which in (
        ("95 % interval over problems like these (t over problems)", "over_problems"),
        ("95 % interval for exactly these problems (jackknife over samples)", "this_set"),
    ):
        rows = [[*_about(summary), *(_cell(summary.estimates.get(k), which) for k in shown)] for summary in summaries]
        parts.append(f"{title}:\n\n{table(headings, rows)}")
    return "\n\n".join(parts + [note for summary in summaries for note in _notes(summary)])


def counts_by_problem(samples: pd.DataFrame) -> pd.DataFrame:
    """Samples ``n`` and right ones ``correct`` of each problem that has samples, in the order they come in."""
    is_correct = (samples["verdict"] == Verdict.CORRECT).astype("int64")
    groups = is_correct.groupby(samples["problem_id"], sort=False)
    return pd.DataFrame({"n": groups.size(), "correct": groups.sum()})


def few_samples(k: int, n: int) -> str | None:
    """``FEW_SAMPLES`` where k of n samples are too many for a mean of independent draws; None otherwise."""
    return FEW_SAMPLES if 2 * k > n else None


def _per_problem(samples: pd.DataFrame) -> pd.DataFrame:
    """One row a problem that has samples, in the suite's order."""
    groups = samples.groupby("problem_id", sort=False)
    return counts_by_problem(samples).assign(
        answer_classes=groups["answer_class"].nunique(), mean_tokens=groups["token_count"].mean()
    )


def _count_estimates(per_problem: pd.DataFrame, ks: Sequence[int]) -> dict[str, Estimate]:
    n, correct = per_problem["n"].to_numpy(), per_problem["correct"].to_numpy()
    estimates = {}
    for name, metric, k in _count_metrics(ks):
        values = look_up(metric, n, correct, k)
        interval = this_set(metric, n, correct, k)
        estimates[name] = Estimate(float(values.mean()), over_problems(values), interval, few_samples(k, n.min()))
    return estimates


def _count_metrics(ks: Sequence[int]) -> list[tuple[str, Table, int]]:
    """Name, table and k of the metrics that depend on the counts alone. At k = 1 all of them are pass@1."""
    several = [k for k in ks if k > 1]
    metrics: list[tuple[str, Table, int]] = [(f"pass@{k}", pass_at_k_table, k) for k in ks]
    metrics.append(("mean@n", pass_at_k_table, 1))
    for threshold in G_PASS_THRESHOLDS:
        g_pass = partial(g_pass_at_k_table, threshold=threshold)
        metrics += [(f"g-pass@{k}_{threshold}", g_pass, k) for k in several]
    metrics += [(f"mg-pass@{k}", mg_pass_at_k_table, k) for k in several]
    return metrics + [(f"pass^{k}", pass_hat_k_table, k) for k in several]


def _maj_estimates(samples: pd.DataFrame, ks: Sequence[int]) -> dict[str, Estimate]:
    votes = [count_votes(group) for _, group in samples.groupby("problem_id", sort=False)]
    n = np.array([vote.total for vote in votes])
    estimates = {}
    for k in ks:
        values = np.array([maj_at_k(vote, k) for vote in votes])
        interval = None
        if n.min() > k:
            variances = np.array([_maj_variance(vote, k) for vote in votes])
            interval = this_set_from_variances(values, variances, np.zeros(len(votes)))
        estimates[f"maj@{k}"] = Estimate(
            float(values.mean()), over_problems(values), interval, few_samples(k, n.min())
        )
    return estimates


def _maj_variance(votes: Votes, k: int) -> float:
    left = votes.without_one()
    return delete_one_variance(np.array([maj_at_k(fewer, k) for fewer in left]), np.array(list(left.values())))


def _lengths(samples: pd.DataFrame) -> dict[str, float]:
    is_correct = samples["verdict"] == Verdict.CORRECT
    tokens = samples["token_count"]
    return known(
        {"all": tokens.mean(), "correct": tokens[is_correct].mean(), "wrong": tokens[~is_correct].mean()},
    )


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known, at any depth."""
    inner = {name: known(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    return {
        name: value
        for name, value in inner.items()
        if value is not None and value is not pd.NA and not (isinstance(value, float) and math.isnan(value))
    }


def _about(summary: SuiteSummary) -> list[str]:
    total = summary.num_problems + summary.missing_problems
    problems = f"{summary.num_problems} of {total}" if summary.missing_problems else str(total)
    return [summary.suite, summary.label, problems, summary.sample_range]


def _cell(estimate: Estimate | None, which: str) -> str:
    if estimate is None:
        return ABSENT
    return with_interval(estimate.value, getattr(estimate, which)) + (" *" if estimate.flag else "")


def _notes(summary: SuiteSummary) -> Iterable[str]:
    where = f"{summary.suite}, {summary.label}"
    if summary.missing_problems:
        yield f"{where}: problems without a sample, which do not count: {summary.missing_problems}."
    if summary.min_samples < summary.max_samples:
        yield f"{where}: problems have {summary.sample_range} samples; k goes up to {summary.min_samples}."
    if flags := sorted({estimate.flag for estimate in summary.estimates.values() if estimate.flag}):
        yield f"{where}: read with care what is marked \\*: {', '.join(flags)}."
