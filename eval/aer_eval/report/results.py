"""What is reported: runs on suites, each with its graded samples, its numbers and its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aer_eval.metrics.pass_at_k import powers_of_two
from aer_eval.metrics.summary import few_samples, summarise
from aer_eval.metrics.types import Estimate, SuiteSummary
from aer_eval.records import ScoredSuite
from aer_eval.report.canvas import color_of


@dataclass(frozen=True, eq=False)
class Result:
    """One run on one suite."""

    scored: ScoredSuite
    summary: SuiteSummary
    color: str

    @property
    def label(self) -> str:
        """The run's name."""
        return self.scored.label

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self.scored.suite

    @property
    def pass_at_k(self) -> dict[int, Estimate]:
        """pass@k by k, ascending."""
        values = {name.removeprefix("pass@"): value for name, value in self.summary.estimates.items()}
        return {int(k): values[k] for k in sorted((k for k in values if k.isdecimal()), key=int)}

    @property
    def majority(self) -> Estimate | None:
        """maj@n over all samples of a problem; None where it was not computed."""
        return self.summary.estimates.get(f"maj@{self.summary.min_samples}")

    def is_reliable(self, k: int) -> bool:
        """Whether n samples are enough for pass@k to be a mean of much more than a few draws: k is at most n/2."""
        return few_samples(k, self.summary.min_samples) is None


def to_results(suites: Sequence[ScoredSuite], k: int | None = None) -> list[Result]:
    """Suites with their numbers, and a colour for each label by its first place in the list.

    Args:
        suites: graded samples.
        k: computed beside 1, 2, 4, ... and n wherever there are enough samples.
    """
    labels = list(dict.fromkeys(scored.label for scored in suites))
    return [Result(scored, _summary(scored, k), color_of(labels.index(scored.label))) for scored in suites]


def _summary(scored: ScoredSuite, k: int | None) -> SuiteSummary:
    fewest = int(scored.samples.groupby("problem_id").size().min())
    return summarise(scored, [*powers_of_two(fewest), *([k] if k and k <= fewest else [])])


def by_suite(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of each suite, suites and runs in the order given."""
    suites: dict[str, list[Result]] = {}
    for result in results:
        suites.setdefault(result.suite, []).append(result)
    return suites


def colors(results: Sequence[Result]) -> Mapping[str, str]:
    """The colour of each label."""
    return {result.label: result.color for result in results}


def choose_k(results: Sequence[Result], wanted: int | None) -> int:
    """The k of a suite's second pass@k column: `wanted`, or the largest that all runs can give reliably."""
    if wanted is not None:
        return wanted
    common = set.intersection(*(set(result.pass_at_k) for result in results))
    reliable = [k for k in common if all(result.is_reliable(k) for result in results)]
    return max(reliable, default=1)
