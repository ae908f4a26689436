"""What the training figures share beyond the evaluation report's canvas: runs over the training step.

Figures are plain `Figure` objects styled inside a context, so neither pyplot nor global matplotlib state is touched.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from aer_eval.report import canvas
from aer_eval.report.canvas import PALETTE, role
from aer_openrlhf.report.runs import Run

Shown = Sequence[tuple[Run, str]]
"""The runs that a figure shows, each with its colour."""

panels = partial(canvas.panels, xlabel="training step")


def colored(runs: Sequence[Run], palette: Sequence[str] = PALETTE) -> Shown:
    """The runs with their colours: a run's place in the list picks it, so it is the same in every figure."""
    return [(run, palette[place % len(palette)]) for place, run in enumerate(runs)]


def recorded(runs: Sequence[Run], metrics: Sequence[str], palette: Sequence[str] = PALETTE) -> Shown:
    """The runs that logged at least one of `metrics`."""
    return [(run, color) for run, color in colored(runs, palette) if run.has(metrics)]


def smoothing_window(runs: Sequence[Run]) -> int:
    """An odd number of steps, about 4 % of the longest run; 1 (no smoothing) below 30 steps."""
    steps = max(len(run.metrics) for run in runs)
    return 1 if steps < 30 else min(max(5, steps // 25), 51) | 1


def smooth(series: pd.Series, window: int) -> pd.Series:
    """Centred mean over `window` steps, of those values among them that were logged."""
    if series.empty:
        return series
    every_step = series.reindex(range(series.index[0], series.index[-1] + 1))
    return every_step.rolling(window, center=True, min_periods=1).mean().reindex(series.index)


def curve(ax: Axes, series: pd.Series, color: str, window: int) -> None:
    """The logged values as a thin line under their centred mean; without smoothing, the values alone."""
    raw = _with_gaps(series)
    if window == 1:
        ax.plot(raw.index, raw, color=color, linewidth=1.5, marker="o", markersize=2.5)
        return
    # The dots keep a value in sight whose neighbours are missing; the means of all runs lie above the values of all.
    ax.plot(raw.index, raw, color=color, linewidth=0.7, alpha=0.3, marker="o", markersize=0.8, zorder=2)
    mean = _with_gaps(smooth(series, window))
    ax.plot(mean.index, mean, color=color, linewidth=1.9, zorder=3)


def legend(figure: Figure | SubFigure, shown: Shown, roles: Sequence[Artist] = (), window: int = 1) -> None:
    """One legend above the panels: the runs by colour, then what the line styles mean, in grey."""
    smoothing = [role(f"mean of {window} steps", linewidth=1.9)] if window > 1 else []
    canvas.legend(figure, [(run.name, color) for run, color in shown], [*roles, *smoothing])


def _with_gaps(series: pd.Series) -> pd.Series:
    """The series with a break wherever values are missing for three times the usual distance."""
    if len(series) < 3:
        return series
    steps = series.index.to_numpy()
    jumps = np.diff(steps)
    breaks = steps[1:][jumps > 3 * np.median(jumps)] - 0.5
    return series if len(breaks) == 0 else series.reindex(series.index.union(pd.Index(breaks)))
