"""maj@k: is the most frequent of k answers right? Exact, over all ways to draw k of a problem's n samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

from aer_eval.metrics.pass_at_k import check_k
from aer_eval.records import Verdict

NEGLIGIBLE = 1e-16
"""What is less likely than this is left out: maj@k is then off by at most n times this."""


@dataclass(frozen=True)
class Votes:
    """How the samples of one problem vote."""

    right: int
    """Correct samples. They vote as one class, also where their answers differ: several may be right."""
    rivals: tuple[int, ...]
    """Sizes of the classes of wrong answers, in descending order."""
    silent: int
    """Samples without an answer: they do not vote."""

    @property
    def total(self) -> int:
        """All samples of the problem."""
        return self.right + sum(self.rivals) + self.silent

    def without_one(self) -> dict[Votes, int]:
        """The votes that are left when one sample is taken away, and by how many of the samples each comes about."""
        left: dict[Votes, int] = {}
        if self.right:
            left[replace(self, right=self.right - 1)] = self.right
        if self.silent:
            left[replace(self, silent=self.silent - 1)] = self.silent
        for size, classes in Counter(self.rivals).items():
            smaller = list(self.rivals)
            smaller.remove(size)
            smaller += [size - 1] * (size > 1)
            left[replace(self, rivals=tuple(sorted(smaller, reverse=True)))] = size * classes
        return left


def count_votes(samples: pd.DataFrame) -> Votes:
    """The votes of one problem's samples (columns ``verdict`` and ``answer_class``)."""
    is_right = samples["verdict"] == Verdict.CORRECT
    wrong_answers = samples.loc[~is_right, "answer_class"].dropna()
    return Votes(
        right=int(is_right.sum()),
        rivals=tuple(int(size) for size in wrong_answers.value_counts()),
        silent=int((~is_right).sum()) - len(wrong_answers),
    )


@lru_cache(maxsize=100_000)
def maj_at_k(votes: Votes, k: int) -> float:
    """Chance that the largest class among k samples, drawn without replacement, is the right one.

    Of classes that tie for the largest each counts in equal part. A draw without any vote is wrong.

    How: let every sample be drawn by itself with probability k/n. Given that k are drawn, that is a draw without
    replacement, and until then the classes are independent, so that the chances of how many are drawn in total are a
    product of polynomials, one a class. For every number of votes that the right class may get, the rivals that could
    reach it are kept from more. A rival that reaches it too gets the factor y, and the integral of y**ties over
    [0, 1] is the share 1 / (1 + ties); Gauss-Legendre quadrature is exact for it.

    Raises:
        UserError: k is more than the samples.
    """
    n = votes.total
    check_k(n, k)
    won = 0.0
    for support in range(1, min(votes.right, k) + 1):
        rivals = [size for size in votes.rivals if size >= support]
        at_most = [_drawn(size, k, n)[: support + 1] for size in rivals]
        most = _drawn(votes.right, k, n)[support] * math.prod(float(chances.sum()) for chances in at_most)
        if most < NEGLIGIBLE * _drawn(n, k, n)[k]:
            continue
        others = _drawn(n - votes.right - sum(rivals), k, n)
        most_ties = min(len(rivals), k // support - 1)
        for y, weight in _quadrature(most_ties // 2 + 1):
            drawn = _in_total(others, at_most, y, k - support)
            if len(drawn) > k - support:
                won += weight * _drawn(votes.right, k, n)[support] * drawn[k - support]
    return float(won / _drawn(n, k, n)[k])


def _in_total(others: np.ndarray, rivals: Sequence[np.ndarray], y: float, most: int) -> np.ndarray:
    """Chances that 0, 1, ..., at most ``most`` are drawn in total, each rival's last chance with the factor y."""
    total = others
    for chances in rivals:
        weighted = chances.copy()
        weighted[-1] *= y
        total = np.convolve(total, weighted)[: most + 1]
    return total


@lru_cache(maxsize=100_000)
def _drawn(size: int, k: int, n: int) -> np.ndarray:
    """Chances that 0, 1, ... of ``size`` samples are drawn when each is with probability k/n."""
    return np.asarray(stats.binom.pmf(np.arange(min(size, k) + 1), size, k / n))


@lru_cache
def _quadrature(points: int) -> list[tuple[float, float]]:
    """Gauss-Legendre nodes and weights on [0, 1]: exact for polynomials up to degree 2 * points - 1."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return [(float(x + 1) / 2, float(w) / 2) for x, w in zip(nodes, weights, strict=True)]
