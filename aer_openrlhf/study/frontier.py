"""How far an arm's frontier lies above another's: what temperature alone cannot give.

Lowering or raising the sampling temperature moves a model along a curve of pass@k against pass@1. Its frontier is the
highest pass@k that it has at a given pass@1 or more. An arm is compared with the reference over the reference's curve,
as far as the arm's frontier goes: one that lies beyond all of it, in both, is compared too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .definition import START

LEVELS = 101
"""Values of pass@1 that the distance is averaged over."""
SHOWN = 4
"""Of the k that were evaluated, the largest so many are compared."""


def frontier(pass_1: Sequence[float], pass_k: Sequence[float], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Highest pass@k at a pass@1 of at least each level; NaN above the curve's highest pass@1.

    Args:
        pass_1: pass@1 of one model by rising temperature.
        pass_k: pass@k at the same temperatures; between two neighbours the curve is a straight line.
        levels: pass@1, (levels,).
    """
    best = np.full(len(levels), np.nan)
    for x, y in zip(pass_1, pass_k, strict=True):
        best = np.fmax(best, np.where(levels <= x, y, np.nan))
    for (x0, x1), (y0, y1) in zip(pairwise(pass_1), pairwise(pass_k), strict=True):
        if x0 != x1:
            crossed = (levels >= min(x0, x1)) & (levels <= max(x0, x1))
            best = np.fmax(best, np.where(crossed, y0 + (y1 - y0) * (levels - x0) / (x1 - x0), np.nan))
    return best


def distance(arm: pd.DataFrame, reference: pd.DataFrame, k: int) -> float | None:
    """Mean of the arm's pass@k frontier minus the reference's, over the reference's pass@1 that the arm reaches.

    Args:
        arm: rows of one run, a temperature each, with ``temperature``, ``pass@1`` and ``pass@k``.
        reference: the same of the other.
        k: of pass@k.

    Returns:
        None where the arm reaches none of them.
    """
    arm, reference = arm.sort_values("temperature"), reference.sort_values("temperature")
    low = reference["pass@1"].min()
    high = min(arm["pass@1"].max(), reference["pass@1"].max())
    if not low < high:
        return None
    levels = np.linspace(low, high, LEVELS)
    above, below = (frontier(list(run["pass@1"]), list(run[f"pass@{k}"]), levels) for run in (arm, reference))
    return float(np.mean(above - below))


def distances(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Distance of every run of one task to the reference's run of the same seed: columns arm, seed and pass@k."""
    ks = shown_ks(rows)
    runs = dict(iter(rows.groupby(["arm", "seed"], sort=False)))
    found = [
        {"arm": arm, "seed": seed, **{f"pass@{k}": distance(run, runs[reference, seed], k) for k in ks}}
        for (arm, seed), run in runs.items()
        if arm not in (reference, START) and (reference, seed) in runs
    ]
    return pd.DataFrame(found, columns=["arm", "seed", *(f"pass@{k}" for k in ks)])


def shown_ks(rows: pd.DataFrame) -> list[int]:
    """The k above 1 that are compared and plotted, rising; none where pass@1 is not known."""
    passes = sorted(int(name.removeprefix("pass@")) for name in rows if str(name).startswith("pass@"))
    return [k for k in passes if k > 1][-SHOWN:] if 1 in passes else []
