"""Two 95 % intervals for a mean over problems. They answer different questions and are never mixed.

*Over problems*: how far might the number be from that of all problems like these? The t interval over the problems'
values.

*This set*: how far is it from what infinitely many samples of exactly these problems would give? The delete-one
jackknife over the samples of each problem, in closed form from the counts. Two things matter as k grows:

- Few problems carry the variance then: those that are solved now and then. Its estimate is unsure, and the normal
  quantile too short. The t quantile with Satterthwaite's degrees of freedom mends that.
- A problem without a correct sample looks certain, though pass@k of it need not be 0. No interval from the counts of
  so few correct samples can know, so at k = n/2 and beyond read it with care.

Every function works on the last axis, so that simulations can stack data sets before it.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from aer_eval.metrics.pass_at_k import FloatArray, IntArray, Table, look_up
from aer_eval.metrics.types import Interval

UPPER_TAIL = 0.975


def over_problems(values: FloatArray, lowest: float = 0.0) -> Interval | None:
    """t interval over problems.

    Args:
        values: the metric of each problem, shape (problems,).
        lowest: bottom of the metric's range; its top is 1.

    Returns:
        The interval; None where the values do not differ (or there is only one): a spread not seen is not known.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    return _cut(*t_bounds(values), lowest)


def this_set(table: Table, n: IntArray, correct: IntArray, k: int) -> Interval | None:
    """Jackknife interval for exactly these problems, for a metric that depends on the counts alone.

    Args:
        table: the metric, see `aer_eval.metrics.pass_at_k`.
        n: samples of each problem, shape (problems,).
        correct: correct samples of each problem, shape (problems,).
        k: samples drawn.

    Returns:
        The interval; None where the jackknife is undefined (a problem with k samples) or sees no variance (every
        problem's samples agree).
    """
    if np.min(n) <= k:
        return None
    return this_set_from_variances(look_up(table, n, correct, k), *jackknife(table, n, correct, k))


def this_set_from_variances(values: FloatArray, variances: FloatArray, spreads: FloatArray) -> Interval | None:
    """The interval of `jackknife_bounds`; None where there is no variance."""
    if variances.sum() == 0:
        return None
    return _cut(*jackknife_bounds(values, variances, spreads), 0.0)


def t_bounds(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both ends of the t interval of the mean over the last axis, not cut to any range."""
    count = values.shape[-1]
    half_width = _t_quantile(count - 1) * values.std(axis=-1, ddof=1) / np.sqrt(count)
    centre = values.mean(axis=-1)
    return centre - half_width, centre + half_width


def jackknife_bounds(values: FloatArray, variances: FloatArray, spreads: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both ends of the interval for these problems, not cut to any range.

    Args:
        values: the metric of each problem, shape (..., problems).
        variances: sampling variance of each value; the ends are NaN where it is 0 for all problems.
        spreads: variance of each of these estimates; 0 where it is not known, which leaves the normal quantile.
    """
    variance = variances.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):  # no spread: infinitely many degrees of freedom
        freedom = np.maximum(2 * variance / (spreads.sum(axis=-1) / variance), 1)  # Satterthwaite 1946
    half_width = _t_quantile(freedom) * np.sqrt(variance) / values.shape[-1]
    centre = values.mean(axis=-1)
    return centre - half_width, centre + half_width


def jackknife(table: Table, n: IntArray, correct: IntArray, k: int) -> tuple[FloatArray, FloatArray]:
    """Delete-one jackknife variance of each problem's value, and the variance of that estimate.

    The latter is the variance of the former when c is binomial with the observed rate.

    Args:
        table: the metric.
        n: samples of each problem, more than k; any shape.
        correct: correct samples of each problem, the same shape.
        k: samples drawn.
    """
    variances, spreads = np.empty(n.shape), np.empty(n.shape)
    for size in np.unique(n):
        same = n == size
        by_count = _variance_table(table, int(size), k)
        seen, place = np.unique(correct[same], return_inverse=True)
        chances = stats.binom.pmf(np.arange(size + 1), size, seen[:, None] / size)
        spread = chances @ by_count**2 - (chances @ by_count) ** 2
        variances[same], spreads[same] = by_count[correct[same]], np.maximum(spread, 0)[place]
    return variances, spreads


def delete_one_variance(values: FloatArray, times: IntArray) -> float:
    """Jackknife variance from the values without one sample, each of which comes about ``times`` times."""
    n = np.sum(times)
    mean = np.average(values, weights=times)
    return float((n - 1) / n * np.sum(times * (values - mean) ** 2))


def _variance_table(table: Table, n: int, k: int) -> FloatArray:
    """Jackknife variance for c = 0, ..., n.

    Of the n values without one sample, c are the table's at c - 1 and n - c its value at c, both for n - 1 samples.
    """
    c = np.arange(1, n)
    step = np.diff(table(n - 1, k))
    return np.concatenate([[0.0], (n - 1) / n * c * (n - c) / n * step**2, [0.0]])


def _t_quantile(freedom: FloatArray | int) -> FloatArray:
    return np.asarray(stats.t.ppf(UPPER_TAIL, freedom))


def _cut(low: FloatArray, high: FloatArray, lowest: float) -> Interval:
    return Interval(max(float(low), lowest), min(float(high), 1.0))
