"""pass@k and its relatives, unbiased, from how many of a problem's samples are correct.

All of them ask what happens when k of a problem's n samples are drawn without replacement, and so depend on n and the
number c of correct samples alone. Each is a *table* over c = 0, ..., n; a suite's values are one look-up in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from aer_eval.errors import UserError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Table = Callable[[int, int], FloatArray]
"""(n, k) to the metric's values for c = 0, ..., n correct samples, shape (n + 1,)."""


def pass_at_k_table(n: int, k: int) -> FloatArray:
    """Chance that at least one of k samples is correct, 1 - C(n-c, k) / C(n, k) (Chen et al., arXiv 2107.03374)."""
    return 1.0 - _none_drawn(n, k)


def pass_hat_k_table(n: int, k: int) -> FloatArray:
    """pass^k, the chance that all k samples are correct: C(c, k) / C(n, k) (Yao et al., arXiv 2406.12045)."""
    return _none_drawn(n, k)[::-1]  # all correct is none of the n - c incorrect


def g_pass_at_k_table(n: int, k: int, threshold: float) -> FloatArray:
    """G-Pass@k, the chance that at least a share ``threshold`` of k samples is correct (Liu et al., arXiv 2412.13147).

    Args:
        n: samples of the problem.
        k: samples drawn.
        threshold: in (0, 1]; towards 0 this is pass@k, at 1 it is pass^k.
    """
    check_k(n, k)
    needed = math.ceil(threshold * k - 1e-9)  # 0.07 * 100 is 7.000000000000001 in floating point
    tail: FloatArray = stats.hypergeom.sf(needed - 1, n, np.arange(n + 1), k)
    return tail


def mg_pass_at_k_table(n: int, k: int) -> FloatArray:
    """mG-Pass@k, twice the integral of G-Pass@k over thresholds from 1/2 to 1 (Liu et al., arXiv 2412.13147).

    For k of 2 or more, as the paper computes it: 2/k times the sum of G-Pass@k at the thresholds i/k for
    i = ceil(k/2) + 1, ..., k. That reaches 1 for even k and only (k-1)/k for odd k.
    """
    check_k(n, k)
    half = math.ceil(k / 2)
    # The sum over i > half of P(hits >= i) is the mean of max(hits - half, 0). One more correct sample adds 1 to that
    # when it is drawn itself (chance k/n) and half or more of the other k - 1 drawn are correct already.
    steps = stats.hypergeom.sf(half - 1, n - 1, np.arange(n), k - 1)
    return np.concatenate([[0.0], 2 / n * np.cumsum(steps)])


def look_up(table: Table, n: IntArray, correct: IntArray, k: int) -> FloatArray:
    """The values of a metric for problems that may differ in n.

    Args:
        table: the metric.
        n: samples of each problem, any shape.
        correct: correct samples of each problem, the same shape.
        k: samples drawn.

    Raises:
        UserError: k is more than the samples of some problem.
    """
    values = np.empty(n.shape)
    for size in np.unique(n):
        same = n == size
        values[same] = table(int(size), k)[correct[same]]
    return values


def pass_at_k(n: IntArray, correct: IntArray, k: int) -> FloatArray:
    """Unbiased pass@k of each problem, within 1e-12 of the exact ratio up to n = 4096; see `look_up`."""
    return look_up(pass_at_k_table, n, correct, k)


def powers_of_two(n: int) -> list[int]:
    """1, 2, 4, ... and n itself: the k for which a curve is shown."""
    return [2**i for i in range((n - 1).bit_length())] + [n]


def _none_drawn(n: int, k: int) -> FloatArray:
    """Chance that k of n samples hold none of c marked ones, C(n-c, k) / C(n, k), for c = 0, ..., n.

    As a product, since the binomial coefficients leave the range of float64 near n = 1030.
    """
    check_k(n, k)
    left = np.arange(n, 0, -1)
    return np.concatenate([[1.0], np.cumprod(np.maximum(left - k, 0) / left)])


def check_k(n: int, k: int) -> None:
    """Raise UserError where k samples cannot be drawn from n."""
    if not 1 <= k <= n:
        raise UserError(f"--k {k}: there is a problem with {n} samples; give k from 1 to {n} or draw more samples")
