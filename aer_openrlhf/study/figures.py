"""The pictures of a study: the frontier over temperatures, and the entropy curves of the arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from aer_eval.report.canvas import legend, panels, role
from aer_openrlhf.report import figures
from aer_openrlhf.report.runs import Run as Trained
from aer_openrlhf.report.runs import load_run

from .definition import Run
from .frontier import shown_ks

# Paul Tol's muted and vibrant colours: a study has more arms than a report has runs.
COLORS = (
    *("#332288", "#cc3311", "#117733", "#aa4499", "#ddcc77", "#88ccee", "#000000"),
    *("#882255", "#44aa99", "#ee7733", "#999933", "#cc6677", "#0077bb", "#bbbbbb"),
    *("#661100", "#ee3377"),
)


def frontier(rows: pd.DataFrame) -> Figure | None:
    """pass@k against pass@1 of one task: a curve an arm over temperatures (mean of seeds), every seed a thin point.

    An arm is above another where its curve is: at the same pass@1 it has the higher pass@k.
    """
    arms = list(rows["arm"].drop_duplicates())
    rows = rows.dropna(axis="columns", how="all")  # the k of other tasks
    ks = shown_ks(rows)
    if not ks:
        return None
    figure, axes = panels(len(ks), height=3.6, xlabel="pass@1")
    for ax, k in zip(axes, ks, strict=True):
        for place, arm in enumerate(arms):
            color = COLORS[place % len(COLORS)]
            group = rows[rows["arm"] == arm]
            ax.plot(group["pass@1"], group[f"pass@{k}"], ".", color=color, markersize=3, alpha=0.35)
            mean = group.groupby("temperature")[["pass@1", f"pass@{k}"]].mean().sort_index()
            ax.plot(mean["pass@1"], mean[f"pass@{k}"], "o-", color=color, markersize=3.5, linewidth=1.4)
        ax.set_ylabel(f"pass@{k}")
    names = [(arm, COLORS[place % len(COLORS)]) for place, arm in enumerate(arms)]
    legend(figure, names, [role("one seed", marker=".", linestyle="")])
    return figure


def entropy(runs: Sequence[Run], arms: Sequence[str]) -> Figure | None:
    """aer-report's entropy curves, an arm a curve: the mean over its finished seeds.

    Args:
        runs: the finished runs of one task.
        arms: of the task's rows in their order, which gives an arm the colour that it has in the frontier.
    """
    shown = list(dict.fromkeys(run.arm for run in runs))
    colors = [COLORS[arms.index(arm) % len(COLORS)] for arm in shown]
    return figures.entropy([_mean_of_seeds([run for run in runs if run.arm == arm]) for arm in shown], colors)


def _mean_of_seeds(runs: Sequence[Run]) -> Trained:
    trained = [load_run(run.folder) for run in runs]
    metrics = pd.concat([run.metrics for run in trained]).groupby(level="step").mean()
    return replace(trained[0], name=runs[0].arm, metrics=metrics)
