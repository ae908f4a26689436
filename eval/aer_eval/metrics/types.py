"""What the metrics of one suite look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, cut to the metric's range."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A number with its two uncertainties, which answer different questions and are never mixed."""

    value: float
    over_problems: Interval | None
    """For problems like these: t interval over problems. None with fewer than two problems, or where all have the same
    value: a spread that was not seen is not known."""
    this_set: Interval | None
    """For exactly this set: how far from infinitely many samples. Delete-one jackknife over the samples of each
    problem. None where it is undefined (k = n), or where the samples of every problem agree."""
    flag: str | None = None
    """Why the number is to be read with care, such as ``k > n/2``; None otherwise."""


@dataclass(frozen=True, eq=False)
class SuiteSummary:
    """Every number of one model on one suite."""

    label: str
    suite: str
    num_problems: int
    """Problems with at least one sample: those that the numbers are about."""
    missing_problems: int
    """Problems of the suite that have no sample."""
    min_samples: int
    """Fewest samples of a problem: n of every pass@k."""
    max_samples: int
    estimates: Mapping[str, Estimate]
    """``pass@k`` for k = 1, 2, 4, ... n; ``mean@n``, ``maj@k``, ``g-pass@k`` at its threshold, ``pass^k``."""
    verdicts: Mapping[str, int]
    """Samples by verdict, every verdict named."""
    rates: Mapping[str, float]
    """``truncated`` (finish reason is the token limit), ``never_solved``, ``always_solved`` (shares of problems)."""
    lengths: Mapping[str, float]
    """Mean tokens: ``all``, ``correct``, ``wrong``; a kind that does not occur is absent."""
    diversity: Mapping[str, float]
    """Means over problems: ``answer_classes`` (distinct), ``distinct_correct``, ``distinct_2``, ``distinct_4``
    (n-grams), ``self_bleu``, and ``entropy`` (nats a token) and ``mean_logprob`` where the engine gives them."""
    per_problem: pd.DataFrame
    """Index problem id; columns ``n``, ``correct``, ``answer_classes``, ``mean_tokens``."""

    @property
    def sample_range(self) -> str:
        """Samples a problem, as text: ``64``, or ``32 to 64`` where problems differ."""
        fewest, most = self.min_samples, self.max_samples
        return str(most) if fewest == most else f"{fewest} to {most}"
