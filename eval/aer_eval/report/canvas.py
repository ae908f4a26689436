"""What all figures share: colours, panels, the legend, and the way to a PNG.

Figures are plain `Figure` objects styled inside a context, so neither pyplot nor global matplotlib state is touched.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

# Okabe and Ito's colours, told apart under the common colour-vision deficiencies; the pale yellow is left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"
UNKNOWN = "#dddddd"
"""The ground of a heat map, seen where there is no value."""
WIDTH = 7.2
"""Inches: a paper's full text width."""
PANEL_NAME = 24
"""Characters of a run's name that fit over a panel or beside a bar."""
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


def color_of(place: int) -> str:
    """The colour of the run at this place in the list: the same in every figure."""
    return PALETTE[place % len(PALETTE)]


def grid_shape(count: int) -> tuple[int, int]:
    """Rows and columns for `count` panels: at most three in a row, four as a square."""
    columns = 2 if count == 4 else min(count, 3)
    return -(-count // columns), columns


def panels(count: int, height: float, xlabel: str, shared: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels over `xlabel`, each row `height` inches high, on `shared` scales or not."""
    rows, columns = grid_shape(count)
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False).flatten()
    for spare in grid[count:]:
        spare.remove()
    for ax in grid[:count]:
        ax.set_xlabel(xlabel)
        ax.tick_params(labelbottom=True)  # shared scales hide it, also where the panel below is spare
    return figure, list(grid[:count])


def scale_over_k(ax: Axes, ks: Collection[int]) -> None:
    """A logarithmic scale for pass@k, with ticks at those of `ks` that are far enough apart to be labelled."""
    ticks: list[int] = []
    for k in sorted(ks):
        if not ticks or k >= 1.4 * ticks[-1]:
            ticks.append(k)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(ticks[:: -(-len(ticks) // 8)]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(ScalarFormatter())


def role(label: str, **look: Any) -> Line2D:
    """A legend entry for what a line style means, in grey where no colour is given."""
    return Line2D([], [], label=text(label), **{"color": GREY, **look})


def legend(figure: Figure | SubFigure, runs: Sequence[tuple[str, str]], roles: Sequence[Artist] = ()) -> None:
    """One legend above the panels: the runs by name and colour, then what the line styles mean, in grey."""
    handles: list[Artist] = [Line2D([], [], color=color, linewidth=2.2, label=text(name)) for name, color in runs]
    handles += roles
    lengths = [len(str(handle.get_label())) + 6 for handle in handles]
    columns = len(handles) if sum(lengths) <= LEGEND_CHARACTERS else max(1, LEGEND_CHARACTERS // max(lengths))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)


def text(name: str, limit: int = 40) -> str:
    """A name as matplotlib shall show it: at most `limit` long, and no leading underscore, which would hide it."""
    shown = name if len(name) <= limit else f"{name[: limit // 2 - 1]}…{name[-(limit // 2) :]}"
    return f"\N{THIN SPACE}{shown}" if shown.startswith("_") else shown
