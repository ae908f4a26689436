"""The curves of a sweep: pass@k of the checkpoints against the training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from aer_eval.metrics.types import SuiteSummary
from aer_eval.report.canvas import GREY, PALETTE, panels, png, styled

if TYPE_CHECKING:
    from aer_eval.sweep import Selection


def write_figure(
    results: Mapping[int, Mapping[str, SuiteSummary]],
    metrics: Sequence[str],
    selection: Selection | None,
    path: Path,
) -> None:
    """Write a PNG: a panel a suite, a curve a metric with its band over problems, a line at the selected step."""
    suites = list(next(iter(results.values())))
    with styled():
        figure, axes = panels(len(suites), height=2.6, xlabel="training step")
        for suite, ax in zip(suites, axes, strict=True):
            for metric, color in zip(metrics, PALETTE, strict=False):
                _curve(ax, {step: summaries[suite] for step, summaries in results.items()}, metric, color)
            if selection is not None:
                picks = " (picks)" if suite == selection.suite else ""
                ax.axvline(selection.step, color=GREY, linestyle=":", label=f"step {selection.step}{picks}")
            ax.set_title(suite)
            ax.set_ylim(0, 1)
            ax.legend()
        path.write_bytes(png(figure))


def _curve(ax: Axes, summaries: Mapping[int, SuiteSummary], metric: str, color: str) -> None:
    found = {step: s.estimates[metric] for step, s in summaries.items() if metric in s.estimates}
    steps = list(found)
    ax.plot(
        steps, [estimate.value for estimate in found.values()], color=color, marker="o", markersize=3, label=metric
    )
    banded = {step: estimate.over_problems for step, estimate in found.items() if estimate.over_problems is not None}
    low, high = [band.low for band in banded.values()], [band.high for band in banded.values()]
    ax.fill_between(list(banded), low, high, color=color, alpha=0.15, linewidth=0)
