"""Comparing two models on the same problems: what each problem says for itself, and what all together say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aer_eval.metrics.pass_at_k import FloatArray

MOST_EXACT = 20
"""Differences for which all 2**20 sign patterns are tried."""
FLIPS = 20_000
SEED = 0


def sign_flip_p_value(differences: FloatArray) -> float:
    """Two-sided p-value of the mean difference if every problem's difference might as well be the other way round.

    Exact for up to 20 differences that are not 0 (those change nothing), else from 20,000 seeded random patterns, of
    which the observed one counts as one more: (b + 1) / (m + 1), which never understates (Phipson and Smyth 2010).

    Args:
        differences: one a problem, shape (problems,).
    """
    differences = differences[differences != 0]
    observed = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()  # sums that rounding alone tells apart tie
    if len(differences) <= MOST_EXACT:
        sums = np.zeros(1)
        for difference in differences:
            sums = np.concatenate([sums + difference, sums - difference])
        return float(np.mean(np.abs(sums) >= observed))
    signs = np.random.default_rng(SEED).choice([-1.0, 1.0], (FLIPS, len(differences)))
    extreme = np.count_nonzero(np.abs(signs @ differences) >= observed)
    return (extreme + 1) / (FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in the order given (Holm 1979)."""
    corrected = np.empty(len(p_values))
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1)
    return [float(p) for p in corrected]


def crossings(baseline: Sequence[float], other: Sequence[float]) -> list[tuple[int, bool]]:
    """Where one curve overtakes the other.

    Args:
        baseline: a curve at k = 1, 2, 3, ...
        other: the other curve at the same k.

    Returns:
        Every k at which the difference has another sign than when it was last not 0, and whether ``other`` leads then.
    """
    difference = np.asarray(other) - np.asarray(baseline)
    differ = np.flatnonzero(np.abs(difference) > 1e-12)
    leads = difference[differ] > 0
    changed = leads[1:] != leads[:-1]
    return [(int(place) + 1, bool(lead)) for place, lead in zip(differ[1:][changed], leads[1:][changed], strict=True)]
