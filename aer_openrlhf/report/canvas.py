"""What all figures share: colours, panels, curves, the legend, and the way to a PNG.

Figures are plain `Figure` objects styled inside a context, so neither pyplot nor global matplotlib state is touched.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from aer_openrlhf.report.runs import Run

# Okabe and Ito's colours, told apart under the common colour-vision deficiencies; the pale yellow is left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"
WIDTH = 7.2
"""Inches: a paper's full text width."""
LEGEND_CHARACTERS = 115
"""What a legend's row holds over the full width, each entry's line counted as six."""
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a run name may hold dollars
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.3,
}

Shown = Sequence[tuple[Run, str]]
"""The runs that a figure shows, each with its colour."""


@contextmanager
def styled() -> Iterator[None]:
    """The report's look for figures drawn and saved inside; matplotlib's settings are as before afterwards."""
    with rc_context(STYLE):
        yield


def png(figure: Figure) -> bytes:
    """The figure as a PNG, tight around its content, at a paper's resolution."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, bbox_inches="tight", facecolor="white")
    return buffer.getvalue()


def colored(runs: Sequence[Run]) -> Shown:
    """The runs with their colours: a run's place in the list picks it, so it is the same in every figure."""
    return [(run, PALETTE[index % len(PALETTE)]) for index, run in enumerate(runs)]


def recorded(runs: Sequence[Run], metrics: Sequence[str]) -> Shown:
    """The runs that logged at least one of `metrics`."""
    return [(run, color) for run, color in colored(runs) if run.has(metrics)]


def smoothing_window(runs: Sequence[Run]) -> int:
    """An odd number of logged steps, about 4 % of the longest run; 1 (no smoothing) below 30 steps."""
    steps = max(len(run.metrics) for run in runs)
    return 1 if steps < 30 else min(max(5, steps // 25), 51) | 1


def smooth(series: pd.Series, window: int) -> pd.Series:
    """Centred mean over `window` logged values, fewer at the ends."""
    return series.rolling(window, center=True, min_periods=1).mean()


def grid_shape(count: int) -> tuple[int, int]:
    """Rows and columns for `count` panels: at most three in a row, four as a square."""
    columns = 2 if count == 4 else min(count, 3)
    return -(-count // columns), columns


def panels(count: int, height: float, shared: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels over the training step, each row `height` inches high, on `shared` scales or not."""
    rows, columns = grid_shape(count)
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False).flatten()
    for spare in grid[count:]:
        spare.remove()
    for ax in grid[:count]:
        ax.set_xlabel("training step")
        ax.tick_params(labelbottom=True)  # shared scales hide it, also where the panel below is spare
    return figure, list(grid[:count])


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


def role(label: str, **look: Any) -> Line2D:
    """A legend entry for what a line style means, in grey where no colour is given."""
    return Line2D([], [], label=text(label), **{"color": GREY, **look})


def legend(figure: Figure | SubFigure, shown: Shown, roles: Sequence[Artist] = (), window: int = 1) -> None:
    """One legend above the panels: the runs by colour, then what the line styles mean, in grey."""
    handles: list[Artist] = [Line2D([], [], color=color, linewidth=2.2, label=text(run.name)) for run, color in shown]
    handles += roles
    if window > 1:
        handles.append(role(f"mean of {window} steps", linewidth=1.9))
    lengths = [len(str(handle.get_label())) + 6 for handle in handles]
    columns = len(handles) if sum(lengths) <= LEGEND_CHARACTERS else max(1, LEGEND_CHARACTERS // max(lengths))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)


def text(name: str, limit: int = 40) -> str:
    """A name as matplotlib shall show it: at most `limit` long, and no leading underscore, which would hide it."""
    shown = name if len(name) <= limit else f"{name[: limit // 2 - 1]}…{name[-(limit // 2) :]}"
    return f"\N{THIN SPACE}{shown}" if shown.startswith("_") else shown


def _with_gaps(series: pd.Series) -> pd.Series:
    """The series with a break wherever values are missing for three times the usual distance."""
    if len(series) < 3:
        return series
    steps = series.index.to_numpy()
    jumps = np.diff(steps)
    breaks = steps[1:][jumps > 3 * np.median(jumps)] - 0.5
    return series if len(breaks) == 0 else series.reindex(series.index.union(pd.Index(breaks)))
