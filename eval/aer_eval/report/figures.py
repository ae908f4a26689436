"""The figures: one function each, `(results) -> Figure`, or None where no run has what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from aer_eval.records import Verdict
from aer_eval.report.canvas import PANEL_NAME, UNKNOWN, WIDTH, legend, panels, png, role, scale_over_k, styled, text
from aer_eval.report.page import Drawing
from aer_eval.report.results import Result, by_suite, colors

HEAT = "cividis"
MOST_CELLS = 100
"""Problems that a heat map shows one by one; more share a cell."""
MOST_NAMES = 40
"""Problems whose ids fit under a heat map."""
BINS = 40
"""Of a length histogram."""
LABELLED_SHARE = 0.07
"""A bar's segment this wide holds its number."""
# Paul Tol's light colours, so that a verdict is not mistaken for a run.
VERDICTS = {
    Verdict.CORRECT: "#44bb99",
    Verdict.WRONG: "#ee8866",
    Verdict.NO_ANSWER: "#dddddd",
    Verdict.TRUNCATED: "#eedd88",
    Verdict.UNPARSED: "#77aadd",
    Verdict.TIMEOUT: "#ffaabb",
    Verdict.CRASH: "#aaaa00",
}


@dataclass(frozen=True)
class Chart:
    """A figure function with its file name and what the page says about it."""

    key: str
    title: str
    draw: Callable[[Sequence[Result]], Figure | None]
    caption: str


def draw_all(results: Sequence[Result]) -> list[Drawing]:
    """Every chart that at least one run has the numbers for."""
    with styled():
        drawn = [(chart, chart.draw(results)) for chart in CHARTS]
        return [Drawing(chart.key, chart.title, chart.caption, png(figure)) for chart, figure in drawn if figure]


def pass_at_k(results: Sequence[Result]) -> Figure | None:
    """pass@k over k with its band over problems, one panel a suite; dashed where k is above n/2."""
    suites = by_suite([result for result in results if len(result.pass_at_k) > 1])
    if not suites:
        return None
    figure, axes = panels(len(suites), height=3.0, xlabel="k (samples a problem)")
    for ax, (suite, group) in zip(axes, suites.items(), strict=True):
        for result in group:
            _curve(ax, result, band=min(0.13, 0.4 / len(group)))
        scale_over_k(ax, {k for result in group for k in result.pass_at_k})
        ax.set_title(text(suite, PANEL_NAME))
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, -0.01), min(high, 1.01))
    axes[0].set_ylabel("pass@k")
    band = Patch(facecolor="#999999", alpha=0.35, label="95 % over problems like these")
    legend(figure, list(colors(results).items()), [band, role("k > n/2", linestyle="--")])
    return figure


def _curve(ax: Axes, result: Result, band: float) -> None:
    """Solid up to n/2, dashed above; `band` is the opacity of the interval."""
    values = result.pass_at_k
    reliable = {k: value for k, value in values.items() if result.is_reliable(k)}
    rest = {k: value for k, value in values.items() if k >= max(reliable, default=0)}
    for part, line in ((reliable, "-"), (rest, "--")):
        heights = [value.value for value in part.values()]
        ax.plot(list(part), heights, color=result.color, linestyle=line, marker="o", markersize=3.5, linewidth=1.6)
    banded = {k: value.over_problems for k, value in values.items() if value.over_problems}
    lows, highs = [bounds.low for bounds in banded.values()], [bounds.high for bounds in banded.values()]
    ax.fill_between(list(banded), lows, highs, color=result.color, alpha=band, linewidth=0)


def heat_map(results: Sequence[Result]) -> Figure | None:
    """Share of right samples, problems across and runs down, hardest problems first; one panel a suite."""
    suites = by_suite(results)
    height = sum(map(_heat_height, suites.values()))
    figure = Figure(figsize=(WIDTH, height + 0.5), layout="constrained")
    top, below = figure.subfigures(2, 1, height_ratios=[0.5, height], squeeze=False).flatten()
    rows = [len(group) for group in suites.values()]
    axes = list(below.subplots(len(suites), 1, height_ratios=rows, squeeze=False).flatten())
    for ax, (suite, group) in zip(axes, suites.items(), strict=True):
        _heat_panel(ax, group)
        ax.set_title(text(suite))
    scale = ScalarMappable(Normalize(0, 1), HEAT)
    bar = top.colorbar(scale, cax=top.add_axes((0.02, 0.5, 0.35, 0.2)), orientation="horizontal")
    bar.ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    top.text(0.4, 0.5, "share of right samples")
    return figure


def _heat_height(results: Sequence[Result]) -> float:
    """Inches: a row a run, the title, and the ids or the axis below."""
    return 0.27 * len(results) + (1.1 if len(_problem_ids(results)) <= MOST_NAMES else 0.65)


def _heat_panel(ax: Axes, results: Sequence[Result]) -> None:
    shares = _shares(results)
    edges, cells = _binned(shares)
    ax.pcolormesh(edges, np.arange(len(results) + 1), cells, vmin=0, vmax=1, cmap=HEAT, edgecolors="face")
    ax.set_facecolor(UNKNOWN)
    ax.grid(visible=False)
    ax.invert_yaxis()
    ax.set_yticks(np.arange(len(results)) + 0.5, [text(result.label, PANEL_NAME) for result in results])
    for tick, result in zip(ax.get_yticklabels(), results, strict=True):
        tick.set_color(result.color)
    ax.tick_params(length=0)
    if len(shares) <= MOST_NAMES:
        names = [text(str(problem), 16) for problem in shares.index]
        ax.set_xticks(np.arange(len(shares)) + 0.5, names, rotation=90, fontsize=6.5)
    else:
        size = edges[1] - edges[0]
        ax.set_xlabel("problems, hardest first" + (f" (a cell is the mean of {size})" if size > 1 else ""))


def _problem_ids(results: Sequence[Result]) -> list[str]:
    """Every problem of the suite, also those without a sample."""
    return list(dict.fromkeys(problem for result in results for problem in result.scored.problems))


def _shares(results: Sequence[Result]) -> pd.DataFrame:
    """Share of right samples, one row a problem, one column a run, the lowest mean first; NaN without a sample."""
    columns = [result.summary.per_problem for result in results]
    shares = pd.concat([(frame["correct"] / frame["n"]).astype(float) for frame in columns], axis=1)
    shares = shares.reindex(_problem_ids(results))
    return shares.loc[shares.mean(axis=1).sort_values(kind="stable").index]


def _binned(shares: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Cell borders in problems, and the mean share of each run in each cell, [runs, cells]."""
    size = -(-len(shares) // MOST_CELLS)
    means = shares.groupby(np.arange(len(shares)) // size).mean()
    edges = np.append(np.arange(len(means)) * size, len(shares))
    return edges, np.ma.masked_invalid(means.to_numpy().T)


def lengths(results: Sequence[Result]) -> Figure | None:
    """Histograms of response lengths, a row a suite: right answers and all others on one scale."""
    suites = by_suite([result for result in results if result.scored.samples["token_count"].notna().any()])
    if not suites:
        return None
    figure = Figure(figsize=(WIDTH, 1.9 * len(suites) + 0.5), layout="constrained")
    grid = figure.subplots(len(suites), 2, sharex="row", sharey="row", squeeze=False)
    for pair, (suite, group) in zip(grid, suites.items(), strict=True):
        _length_panels(pair, group)
        for ax, kind in zip(pair, ("right", "not right"), strict=True):
            ax.set_title(f"{text(suite, PANEL_NAME)}: {kind}")
    for ax in grid[-1]:
        ax.set_xlabel("tokens")
    legend(figure, list(colors(results).items()))
    return figure


def _length_panels(pair: Sequence[Axes], results: Sequence[Result]) -> None:
    """A suite's histograms of right responses and of the others; heights are shares of all samples of the run."""
    most = max(float(result.scored.samples["token_count"].max()) for result in results)
    for result in results:
        samples = result.scored.samples.dropna(subset=["token_count"])
        is_right = samples["verdict"] == Verdict.CORRECT
        for ax, kind in zip(pair, (samples[is_right], samples[~is_right]), strict=True):
            counts, edges = np.histogram(kind["token_count"].astype(float), bins=BINS, range=(0, most))
            shares = counts / len(samples)
            ax.stairs(shares, edges, color=result.color, linewidth=1.3)
            ax.stairs(shares, edges, color=result.color, alpha=min(0.12, 0.3 / len(results)), fill=True)
    pair[0].set_ylabel("share of samples")
    pair[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    pair[0].set_ylim(bottom=0)
    pair[0].xaxis.set_major_locator(MaxNLocator(5))


def verdicts(results: Sequence[Result]) -> Figure | None:
    """What came of the samples: a stacked bar a run, a panel a suite."""
    suites = by_suite(results)
    rows = [len(group) for group in suites.values()]
    figure = Figure(figsize=(WIDTH, 0.3 * sum(rows) + 0.35 * len(suites) + 0.9), layout="constrained")
    axes = list(figure.subplots(len(suites), 1, sharex=True, height_ratios=rows, squeeze=False).flatten())
    for ax, (suite, group) in zip(axes, suites.items(), strict=True):
        for row, result in enumerate(group):
            _verdict_bar(ax, row, result)
        ax.set_yticks(range(len(group)), [text(result.label, PANEL_NAME) for result in group])
        for tick, result in zip(ax.get_yticklabels(), group, strict=True):
            tick.set_color(result.color)
        ax.set_ylim(len(group) - 0.5, -0.5)
        ax.set_xlim(0, 1)
        ax.grid(visible=False)
        ax.set_title(text(suite))
    axes[-1].xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[-1].set_xlabel("share of samples")
    occurring = [name for name in VERDICTS if any(result.summary.verdicts.get(name) for result in results)]
    legend(figure, (), [Patch(facecolor=VERDICTS[name], label=name.replace("_", " ")) for name in occurring])
    return figure


def _verdict_bar(ax: Axes, row: int, result: Result) -> None:
    total = sum(result.summary.verdicts.values())
    left = 0.0
    for verdict, color in VERDICTS.items():
        share = result.summary.verdicts.get(verdict, 0) / total
        ax.barh(row, share, left=left, color=color, height=0.75)
        if share >= LABELLED_SHARE:
            ax.text(left + share / 2, row, f"{share:.0%}", ha="center", va="center", fontsize=8)
        left += share


CHARTS = (
    Chart(
        "pass_at_k",
        "pass@k",
        pass_at_k,
        "The chance that at least one of k samples is right, unbiased, averaged over problems. The band is the 95 % "
        "interval over problems like these: it is what another draw of such problems could give, and two bands may "
        "overlap although one run is clearly better on the same problems (aer-eval compare pairs them). Where k is "
        "above half the samples (dashed) the curve rests on few independent draws.",
    ),
    Chart(
        "heat_map",
        "Problem by problem",
        heat_map,
        "The share of right samples of each problem, the problems that are hardest on the mean of all runs first "
        "(grey: no sample). A dark stretch that brightens in one run only is what that run has learnt; pass@k "
        "at large k grows with the problems that are not quite dark.",
    ),
    Chart(
        "lengths",
        "Response lengths",
        lengths,
        "Tokens of right responses and of all others, as shares of all samples of the run, so that both panels "
        "together make 100 %. A peak at the right end of the others is the token limit.",
    ),
    Chart(
        "verdicts",
        "Verdicts",
        verdicts,
        "What came of the samples. Everything but correct counts as not solved. Truncated, unparsed, timeout and "
        "crash say that the number of right answers may be too low: the response was cut off, or its answer could not "
        "be compared.",
    ),
)
