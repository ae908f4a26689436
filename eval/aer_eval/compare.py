"""Is one model better than another? Compared problem by problem, on the problems that both have samples of.

Two models find the same problems hard, so that differences on the same problem vary far less than the scores do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from aer_eval.errors import UserError
from aer_eval.metrics.intervals import over_problems
from aer_eval.metrics.markdown import table, with_interval
from aer_eval.metrics.paired import crossings, holm, sign_flip_p_value
from aer_eval.metrics.pass_at_k import FloatArray, pass_at_k, powers_of_two
from aer_eval.metrics.summary import counts_by_problem, few_samples, known
from aer_eval.metrics.types import Interval
from aer_eval.records import ScoredSuite
from aer_eval.sampling.store import find_stores, load_scored
from aer_eval.settings import differing

Run = Mapping[str, ScoredSuite]
"""One run's scored suites by the suite's name."""

FREE = (
    "created",
    "format",
    "label",
    "model.fingerprint",
    "model.id",
    "model.max_model_len",
    "model.root",
    "model_name",
    "problems",
    "sampling.run_seed",
    "suite",
    "versions",
)
"""Keys of the manifest in which runs may differ and their samples still tell which model is better."""


@dataclass(frozen=True)
class Difference:
    """pass@k of two models on the same problems."""

    k: int
    baseline: float
    other: float
    difference: float
    """other - baseline."""
    interval: Interval | None
    """95 % t interval over problems, of the difference; None where it is the same for every problem."""
    p_value: float
    """Two-sided sign-flip test over problems."""
    p_holm: float
    """``p_value`` corrected for all suites and pairs compared at this k."""
    flag: str | None
    """``k > n/2`` where the number comes of few, overlapping draws."""


@dataclass(frozen=True)
class Change:
    """One problem's correct samples in both runs."""

    problem_id: str
    baseline_correct: int
    baseline_n: int
    other_correct: int
    other_n: int

    @property
    def difference(self) -> float:
        """Of the shares of correct samples."""
        return self.other_correct / self.other_n - self.baseline_correct / self.baseline_n


@dataclass(frozen=True)
class Crossing:
    """A k from which on another one of the two models has the higher pass@k."""

    k: int
    leader: str


@dataclass(frozen=True)
class SuiteComparison:
    """Two models on one suite."""

    suite: str
    baseline: str
    other: str
    num_problems: int
    """Problems that both have samples of."""
    left_out: int
    """Problems of the suite that are missing in one or both."""
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    """Of all problems that changed, the largest first."""
    crossings: tuple[Crossing, ...]
    max_k: int
    """Up to which the curves were compared: the fewest samples of a problem."""
    warnings: tuple[str, ...]
    """Settings that differ between the runs though they change what is measured."""


@dataclass(frozen=True)
class Comparison:
    """Runs against a baseline."""

    suites: tuple[SuiteComparison, ...]
    """Pair by pair, suite by suite."""
    left_out: tuple[str, ...]
    """What is in one run only."""


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """The graded stores of run folders (or single stores), under their labels, or under their paths where these clash.

    Raises:
        UserError: a folder holds no store or two of one suite, is given twice, or a store is not graded.
    """
    resolved = [folder.resolve() for folder in folders]
    if twice := [str(folder) for folder, path in zip(folders, resolved, strict=True) if resolved.count(path) > 1]:
        raise UserError(f"{twice[0]}: given twice; give different runs")
    runs = [_load_run(folder) for folder in folders]
    names = [(scored.label, suite) for run in runs for suite, scored in run.items()]
    if len(set(names)) == len(names):
        return runs
    return [
        {suite: replace(scored, label=str(folder)) for suite, scored in run.items()}
        for folder, run in zip(folders, runs, strict=True)
    ]


def compare_runs(runs: Sequence[Run], ks: Sequence[int] | None = None) -> Comparison:
    """Compare every run with the first, on every suite that both have.

    Args:
        runs: two or more; the first is the baseline.
        ks: for pass@k; 1 is always among them. Without it 1, 2, 4, ... up to half of the fewest samples.

    Raises:
        UserError: no suite in common, another version of a suite, or a k that is more than a problem's samples.
    """
    baseline, *others = runs
    compared: list[SuiteComparison] = []
    left_out: list[str] = []
    for other in others:
        common = [suite for suite in baseline if suite in other]
        if not common:
            raise UserError(f"no suite in common: {_suites(baseline)}; {_suites(other)}; give runs on the same suites")
        compared += [compare_suite(baseline[suite], other[suite], ks) for suite in common]
        alone = [scored for run in (baseline, other) for scored in run.values() if scored.suite not in common]
        left_out += [f"{scored.suite} is only in {scored.label}" for scored in alone]
    return Comparison(tuple(_corrected(compared)), tuple(dict.fromkeys(left_out)))


def compare_suite(baseline: ScoredSuite, other: ScoredSuite, ks: Sequence[int] | None = None) -> SuiteComparison:
    """Compare two models on one suite; ``p_holm`` is the uncorrected p-value. See `compare_runs`."""
    _refuse_other_problems(baseline, other)
    counts = pd.merge(
        counts_by_problem(baseline.samples),
        counts_by_problem(other.samples),
        left_index=True,
        right_index=True,
        suffixes=("_a", "_b"),
    )
    if counts.empty:
        raise UserError(f"{baseline.suite}: {baseline.label} and {other.label} share no sampled problem; sample more")
    fewest = int(counts[["n_a", "n_b"]].to_numpy().min())
    if ks is None:
        ks = [k for k in powers_of_two(fewest) if not few_samples(k, fewest)]
    curves = [[_mean_pass(counts, side, k) for k in range(1, fewest + 1)] for side in "ab"]
    changes = [Change(str(row.Index), row.correct_a, row.n_a, row.correct_b, row.n_b) for row in counts.itertuples()]
    return SuiteComparison(
        suite=baseline.suite,
        baseline=baseline.label,
        other=other.label,
        num_problems=len(counts),
        left_out=len(baseline.problems) - len(counts),
        differences=tuple(_difference(counts, k, fewest) for k in sorted({1, *ks})),
        changes=tuple(
            sorted((c for c in changes if c.difference), key=lambda change: abs(change.difference), reverse=True)
        ),
        crossings=tuple(Crossing(k, (other if leads else baseline).label) for k, leads in crossings(*curves)),
        max_k=fewest,
        warnings=tuple(_setting_warnings(baseline, other)),
    )


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison in JSON types. A number that is not known is absent."""
    suites = []
    for compared in comparison.suites:
        differences = [known(asdict(difference)) for difference in compared.differences]
        changes = [{**asdict(change), "difference": change.difference} for change in compared.changes]
        suites.append({**asdict(compared), "differences": differences, "changes": changes})
    return {"suites": suites, "left_out": list(comparison.left_out)}


def markdown(comparison: Comparison, top: int) -> str:
    """Warnings, the table of differences, then for each suite and pair where curves cross and what changed most.

    Args:
        comparison: of runs with a baseline.
        top: problems shown of those that changed most.
    """
    warnings = dict.fromkeys(warning for compared in comparison.suites for warning in compared.warnings)
    parts = [f"> Warning: {warning}" for warning in warnings]
    parts += [f"> Not compared: {suite}." for suite in comparison.left_out]
    parts.append(_difference_table(comparison.suites))
    parts.append(
        "B - A is paired by problem, with a 95 % t interval over problems like these. p: sign-flip permutation test "
        "over problems; p (Holm): corrected for all comparisons at the same k."
    )
    if any(difference.flag for compared in comparison.suites for difference in compared.differences):
        parts.append("\\* k > n/2: a mean of few, overlapping draws, to be read with care.")
    for compared in comparison.suites:
        parts += [f"## {compared.suite}: {compared.other} against {compared.baseline}", *_sentences(compared)]
        if compared.changes and top:
            parts.append(_change_table(compared, top))
    return "\n\n".join(parts)


def _load_run(folder: Path) -> Run:
    run: dict[str, ScoredSuite] = {}
    for store in find_stores(folder):
        scored = load_scored(store)
        if scored.suite in run:
            raise UserError(f"{folder}: holds two stores of {scored.suite}; give one store, such as {store}")
        run[scored.suite] = scored
    return run


def _refuse_other_problems(baseline: ScoredSuite, other: ScoredSuite) -> None:
    for key, a, b in differing(baseline.manifest["suite"], other.manifest["suite"]):
        raise UserError(
            f"{baseline.suite}: its {key} is {a!r} in {baseline.label}, {b!r} in {other.label}: "
            "not the same problems; sample both on one version of the suite"
        )
    for name in sorted(baseline.problems.keys() & other.problems.keys()):
        if field := baseline.problems[name].differs_in(other.problems[name]):
            raise UserError(
                f"{baseline.suite}: problem {name!r} has another {field} in {baseline.label} than in {other.label}: "
                "not the same problems; sample both on one version of the suite"
            )


def _setting_warnings(baseline: ScoredSuite, other: ScoredSuite) -> Iterable[str]:
    for key, a, b in differing(baseline.manifest, other.manifest):
        if key not in FREE and key.split(".")[0] not in FREE:
            yield (
                f"{baseline.suite}: {key} is {a!r} in {baseline.label}, {b!r} in {other.label}: "
                "a difference may come from it."
            )


def _pass(counts: pd.DataFrame, side: str, k: int) -> FloatArray:
    return pass_at_k(counts[f"n_{side}"].to_numpy(), counts[f"correct_{side}"].to_numpy(), k)


def _mean_pass(counts: pd.DataFrame, side: str, k: int) -> float:
    return float(_pass(counts, side, k).mean())


def _difference(counts: pd.DataFrame, k: int, fewest: int) -> Difference:
    baseline, other = _pass(counts, "a", k), _pass(counts, "b", k)
    p_value = sign_flip_p_value(other - baseline)
    return Difference(
        k=k,
        baseline=float(baseline.mean()),
        other=float(other.mean()),
        difference=float((other - baseline).mean()),
        interval=over_problems(other - baseline, lowest=-1.0),
        p_value=p_value,
        p_holm=p_value,
        flag=few_samples(k, fewest),
    )


def _corrected(comparisons: Sequence[SuiteComparison]) -> list[SuiteComparison]:
    """With ``p_holm`` over all suites and pairs, for each k by itself."""
    families: dict[int, list[tuple[int, float]]] = {}
    for place, compared in enumerate(comparisons):
        for difference in compared.differences:
            families.setdefault(difference.k, []).append((place, difference.p_value))
    by_place = {}
    for k, family in families.items():
        for (place, _), p_holm in zip(family, holm([p for _, p in family]), strict=True):
            by_place[place, k] = p_holm
    return [
        replace(compared, differences=tuple(replace(d, p_holm=by_place[place, d.k]) for d in compared.differences))
        for place, compared in enumerate(comparisons)
    ]


def _suites(run: Run) -> str:
    label = next(iter(run.values())).label
    return f"{label} has {', '.join(run)}"


def _difference_table(comparisons: Sequence[SuiteComparison]) -> str:
    rows = [
        [
            compared.suite,
            compared.baseline,
            compared.other,
            str(compared.num_problems),
            f"pass@{d.k}" + (" *" if d.flag else ""),
            f"{d.baseline:.3f}",
            f"{d.other:.3f}",
            with_interval(d.difference, d.interval, "+"),
            f"{d.p_value:.2g}",
            f"{d.p_holm:.2g}",
        ]
        for compared in comparisons
        for d in compared.differences
    ]
    headings = ["suite", "A", "B", "problems", "metric", "A has", "B has", "B - A", "p", "p (Holm)"]
    return table(headings, rows)


def _sentences(compared: SuiteComparison) -> Iterable[str]:
    if compared.left_out:
        yield f"Problems without a sample in one of the runs, which are left out: {compared.left_out}."
    if not compared.crossings:
        yield f"The pass@k curves do not cross for k from 1 to {compared.max_k}."
    for crossing in compared.crossings:
        flag = few_samples(crossing.k, compared.max_k)
        care = f" ({flag}: to be read with care)" if flag else ""
        yield f"The pass@k curves cross: from k = {crossing.k} on, {crossing.leader} has the higher one{care}."


def _change_table(compared: SuiteComparison, top: int) -> str:
    rows = [
        [
            change.problem_id,
            f"{change.baseline_correct} of {change.baseline_n}",
            f"{change.other_correct} of {change.other_n}",
            f"{change.difference:+.3f}",
        ]
        for change in compared.changes[:top]
    ]
    headings = ["problem", compared.baseline, compared.other, "difference"]
    return f"Problems that changed: {len(compared.changes)}. Most of all:\n\n{table(headings, rows)}"
