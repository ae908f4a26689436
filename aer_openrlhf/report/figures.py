"""The figures: one function each, `(runs) -> Figure`, or None where no run logged what it shows."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from aer_eval.report.canvas import GREY, PALETTE, PANEL_NAME, UNKNOWN, WIDTH, grid_shape, role, scale_over_k, text
from aer_openrlhf.report.canvas import (
    Shown,
    colored,
    curve,
    legend,
    panels,
    recorded,
    smooth,
    smoothing_window,
)
from aer_openrlhf.report.runs import Run

# Difficulty is ordered, so its colours are one hue from dark to light: they survive a grey print.
DIFFICULTY = {"hard": "#08519c", "middle": "#6baed6", "easy": "#deebf7"}
DIFFICULTY_NAMES = {"hard": "hard (accuracy < 1/3)", "middle": "middle", "easy": "easy (> 2/3)"}
# Paul Tol's light colours, so that a phase is not mistaken for a run.
PHASES = {"generation": "#77aadd", "make_experience": "#eedd88", "ppo_train": "#ee8866", "broadcast": "#cccccc"}
EXTREME = "#ff7f00"

ENTROPY = ("aer/entropy",)
CONTROL = {
    "aer/alpha": "global coefficient α",
    "aer/coef_mean": "mean coefficient λ",
    "aer/weight_mean": "mean difficulty weight w",
}
REWARD = ("rollout/reward_mean", "reward")
HELD_OUT = re.compile(r"eval/eval_(?P<source>.+)_pass(?P<k>\d+)")
SHOWN_KS = 4
ACCURACY = ("aer/group_accuracy",)
SHARES = tuple(f"aer/share_{level}" for level in DIFFICULTY)
COEFFICIENTS = tuple(f"aer/coef_{level}" for level in DIFFICULTY)
ENTROPIES = tuple(f"aer/entropy_{level}" for level in DIFFICULTY)
DECILES = tuple(f"aer/entropy_decile_{decile:02d}" for decile in range(1, 11))
CONCENTRATION = {
    "aer/entropy_top10_share": "share held by the top 10 %",
    "aer/entropy_before_answer": "entropy up to the answer",
    "aer/entropy_after_answer": "entropy after the answer",
}
TIMING = (*(f"timing/{phase}" for phase in PHASES), "timing/step_total")
HEALTH = {
    "rollout/response_length_mean": "response length (tokens)",
    "policy_loss": "policy loss",
    "ppo_kl": "KL to the sampling policy",
    "actor_grad_norm": "gradient norm",
    "aer/sampler_logprob_gap": "sampler log-prob gap",
    "aer/filtered_share": "share of prompts filtered",
}


def entropy(runs: Sequence[Run], palette: Sequence[str] = PALETTE) -> Figure | None:
    """Entropy against its target and initial value; also as a share of the initial value where runs started apart."""
    shown = recorded(runs, ENTROPY, palette)
    if not shown:
        return None
    window = smoothing_window(runs)
    starts = [start for run, _ in shown if (start := _start(run))]
    apart = bool(starts) and max(starts) > 1.01 * min(starts)
    figure, axes = panels(2 if apart else 1, height=3.2)
    _entropy_panel(axes[0], shown, window, relative=False)
    axes[0].set_ylabel("policy entropy (nats per token)")
    if apart:
        _entropy_panel(axes[1], shown, window, relative=True)
        axes[1].set_ylabel("share of the initial entropy H₀")
    elif len(starts) == len(shown):
        _share_axis(axes[0], starts[0])
    roles = [role("target H*", linestyle="--"), role("initial H₀", linestyle=":")]
    legend(figure, shown, roles if starts else [], window)
    return figure


def _start(run: Run) -> float | None:
    """The initial entropy, as last logged: the anchor may be a mean over several first steps."""
    initial = run.series("aer/entropy_initial")
    return None if initial.empty else float(initial.iloc[-1])


def _share_axis(ax: Axes, start: float) -> None:
    """A second scale at the right: entropy as a share of the initial entropy that all runs have in common."""
    to_share, to_nats = partial(np.multiply, 1 / start), partial(np.multiply, start)
    ax.secondary_yaxis("right", functions=(to_share, to_nats)).set_ylabel("share of the initial entropy H₀")


def _entropy_panel(ax: Axes, shown: Shown, window: int, relative: bool) -> None:
    for run, color in shown:
        scale = _start(run) if relative else 1.0
        if not scale:
            continue
        curve(ax, run.series(*ENTROPY) / scale, color, window)
        for metric, style in {"aer/entropy_target": "--", "aer/entropy_initial": ":"}.items():
            level = run.series(metric) / scale
            ax.plot(level.index, level, color=color, linestyle=style, linewidth=1.2)
    ax.set_ylim(bottom=0)


def control(runs: Sequence[Run]) -> Figure | None:
    """The controller's coefficient alpha, the mean coefficient that the loss saw, and the mean difficulty weight."""
    figure = _small_multiples(runs, CONTROL)
    if figure is None:
        return None
    for run, color in recorded(runs, ["aer/alpha"]):
        ceiling = run.flags.get("aer.alpha_max")
        # A ceiling far above the curve would only flatten it.
        if isinstance(ceiling, int | float) and run.series("aer/alpha").max() > 0.5 * ceiling:
            figure.axes[0].axhline(ceiling, color=color, linestyle=":", linewidth=1.2)
    return figure


def reward(runs: Sequence[Run]) -> Figure | None:
    """Mean reward and group accuracy of the rollouts, and pass@1 on held-out prompts where the run evaluated."""
    heldout = held_out_metrics(runs).get(1, ())
    candidates = {"mean rollout reward": REWARD, "group accuracy": ACCURACY, "pass@1 on held-out prompts": heldout}
    drawn = {label: metrics for label, metrics in candidates.items() if recorded(runs, metrics)}
    if not drawn:
        return None
    window = smoothing_window(runs)
    figure, axes = panels(len(drawn), height=2.7)
    roles: list[Artist] = []
    for ax, (label, metrics) in zip(axes, drawn.items(), strict=True):
        ax.set_title(label)
        if metrics is heldout:
            roles = _heldout_panel(ax, recorded(runs, heldout), heldout)
            continue
        for run, color in recorded(runs, metrics):
            curve(ax, run.series(*metrics), color, window)
    legend(figure, recorded(runs, (*REWARD, *ACCURACY, *heldout)), roles, window)
    return figure


def _heldout_panel(ax: Axes, shown: Shown, metrics: Sequence[str]) -> list[Artist]:
    """Evaluations are few and each is exact for its prompts: points without smoothing, a marker for each data set."""
    roles: list[Artist] = []
    for metric, marker in zip(metrics, cycle("osD^v"), strict=False):
        for run, color in shown:
            points = run.series(metric)
            ax.plot(points.index, points, color=color, marker=marker, markersize=3.5, linewidth=1.2)
        roles.append(
            role(metric.removeprefix("eval/eval_").rpartition("_pass")[0], marker=marker, markersize=3.5, linestyle="")
        )
    return roles if len(metrics) > 1 else []


def held_out_metrics(runs: Sequence[Run]) -> dict[int, tuple[str, ...]]:
    """The metrics of the evaluations during training by their k, the smallest first: a name for each data set."""
    names = sorted({name for run in runs for name in run.metrics})
    found = [(int(match["k"]), match[0]) for name in names if (match := HELD_OUT.fullmatch(name))]
    return {k: tuple(name for other, name in found if other == k) for k in sorted({k for k, _ in found})}


def held_out(runs: Sequence[Run]) -> Figure | None:
    """pass@k on the evaluation sets over the training step, a panel for each of up to four k, both ends among them."""
    metrics = held_out_metrics(runs)
    if not metrics:
        return None
    ks = list(metrics)
    ks = [*ks[: SHOWN_KS - 1], ks[-1]] if len(ks) > SHOWN_KS else ks
    figure, axes = panels(len(ks), height=2.7)
    for ax, k in zip(axes, ks, strict=True):
        roles = _heldout_panel(ax, recorded(runs, metrics[k]), metrics[k])
        ax.set_title(f"pass@{k}")
    legend(figure, recorded(runs, tuple(name for names in metrics.values() for name in names)), roles)
    return figure


def difficulty_shares(runs: Sequence[Run]) -> Figure | None:
    """Shares of hard, middle and easy prompts, stacked, one panel a run."""
    shown = [(run, color) for run, color in colored(runs) if all(share in run.metrics for share in SHARES)]
    if not shown:
        return None
    figure, axes = panels(len(shown), height=2.6, shared=True)
    for ax, (run, color) in zip(axes, shown, strict=True):
        _share_panel(ax, run, smoothing_window(runs))
        ax.set_title(text(run.name, PANEL_NAME), color=color, fontweight="bold")
    axes[0].set_ylabel("share of prompts")
    handles: list[Artist] = [
        Patch(facecolor=color, label=DIFFICULTY_NAMES[level]) for level, color in DIFFICULTY.items()
    ]
    if recorded(runs, ["aer/all_wrong_share"]):
        handles.append(role("all wrong (below)", color=EXTREME, linestyle="--"))
    if recorded(runs, ["aer/all_right_share"]):
        handles.append(role("all right (above)", color=EXTREME, linestyle=":"))
    legend(figure, (), handles)
    return figure


def _share_panel(ax: Axes, run: Run, window: int) -> None:
    shares = run.metrics[list(SHARES)].dropna()
    ax.stackplot(shares.index, shares.T, colors=list(DIFFICULTY.values()), linewidth=0)
    for boundary in (shares[SHARES[0]], shares[SHARES[0]] + shares[SHARES[1]]):
        ax.plot(shares.index, smooth(boundary, window), color="white", linewidth=1.6)
    wrong, right = smooth(run.series("aer/all_wrong_share"), window), smooth(run.series("aer/all_right_share"), window)
    ax.plot(wrong.index, wrong, color=EXTREME, linestyle="--", linewidth=1.4)
    ax.plot(right.index, 1 - right, color=EXTREME, linestyle=":", linewidth=1.6)
    ax.set_ylim(0, 1)
    ax.margins(x=0)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def coefficient_by_difficulty(runs: Sequence[Run]) -> Figure | None:
    """Mean entropy coefficient of hard, middle and easy prompts."""
    return _by_difficulty(runs, COEFFICIENTS, "mean coefficient λ")


def entropy_by_difficulty(runs: Sequence[Run]) -> Figure | None:
    """Mean entropy on hard, middle and easy prompts."""
    return _by_difficulty(runs, ENTROPIES, "entropy (nats per token)")


def _by_difficulty(runs: Sequence[Run], metrics: Sequence[str], label: str) -> Figure | None:
    """Three panels on one scale, so that the classes can be compared as well as the runs."""
    shown = recorded(runs, metrics)
    if not shown:
        return None
    window = smoothing_window(runs)
    figure, axes = panels(len(metrics), height=2.7, shared=True)
    for ax, metric, title in zip(axes, metrics, DIFFICULTY_NAMES.values(), strict=True):
        for run, color in shown:
            curve(ax, run.series(metric), color, window)
        ax.set_title(title)
    axes[0].set_ylabel(label)
    axes[0].set_ylim(bottom=0)
    legend(figure, shown, window=window)
    return figure


def entropy_place(runs: Sequence[Run]) -> Figure | None:
    """Where entropy sits: a heat map of position deciles a run, the top-10 % share, entropy around the answer."""
    mapped = recorded(runs, DECILES)
    lined = recorded(runs, tuple(CONCENTRATION))
    if not mapped and not lined:
        return None
    heights = [2.1 * grid_shape(len(mapped))[0] + 0.5] if mapped else []
    heights += [2.7] if lined else []
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flatten()
    if mapped:
        _heat_maps(parts[0], mapped)
    if lined:
        _place_lines(parts[-1], lined, smoothing_window(runs))
    return figure


def _heat_maps(part: SubFigure, shown: Shown) -> None:
    grid = part.subplots(*grid_shape(len(shown)), sharex=True, sharey=True, squeeze=False).flatten()
    maps = [run.metrics.reindex(columns=list(DECILES)).dropna(how="all") for run, _ in shown]
    scale = ScalarMappable(Normalize(0, max(float(deciles.max().max()) for deciles in maps)), "cividis")
    for spare in grid[len(shown) :]:
        spare.remove()
    for ax, deciles, (run, color) in zip(grid, maps, shown, strict=False):
        ax.pcolormesh(_edges(deciles.index), np.linspace(0, 1, 11), deciles.T, norm=scale.norm, cmap=scale.cmap)
        ax.set_facecolor(UNKNOWN)
        ax.grid(visible=False)
        ax.set_title(text(run.name, PANEL_NAME), color=color, fontweight="bold")
        ax.set_xlabel("training step")
        ax.tick_params(labelbottom=True)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    grid[0].set_ylabel("position in the response")
    part.colorbar(scale, ax=list(grid[: len(shown)]), label="entropy (nats per token)", pad=0.02)


def _edges(steps: pd.Index) -> np.ndarray:
    """Cell borders half-way between the steps."""
    middles = (steps[1:] + steps[:-1]) / 2
    half = float(np.median(np.diff(steps))) / 2 if len(steps) > 1 else 0.5
    return np.concatenate([[steps[0] - half], middles, [steps[-1] + half]])


def _place_lines(part: SubFigure, shown: Shown, window: int) -> None:
    drawn = [metric for metric in CONCENTRATION if any(run.has([metric]) for run, _ in shown)]
    for ax, metric in zip(part.subplots(1, len(drawn), squeeze=False).flatten(), drawn, strict=True):
        for run, color in shown:
            curve(ax, run.series(metric), color, window)
        ax.set_title(CONCENTRATION[metric])
        ax.set_xlabel("training step")
        ax.set_ylim(bottom=0)
        if metric == "aer/entropy_top10_share":
            ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend(part, shown, window=window)


def pass_at_k(runs: Sequence[Run]) -> Figure | None:
    """pass@k of every evaluation over k: dashed before training, solid after; a run's only evaluation is solid too.

    Evaluations of other names, such as those at several temperatures, have a marker each.
    """
    shown = [(run, color) for run, color in colored(runs) if run.evaluations]
    if not shown:
        return None
    figure, (ax,) = panels(1, height=3.4)
    others = [e.label for run, _ in shown for e in run.evaluations if e.label not in ("before", "after")]
    markers = dict(zip(dict.fromkeys(others), cycle("sD^vPX*<>"), strict=False))
    labels: dict[str, Artist] = {}
    for run, color in shown:
        several = len(run.evaluations) > 1
        for evaluation in run.evaluations:
            label = evaluation.label if several else "after"
            look = partial(_evaluation_look, label, markers.get(label, "o"))
            ax.plot(list(evaluation.pass_at_k), list(evaluation.pass_at_k.values()), **look(color))
            if several:
                labels[label] = role(label, **look(GREY))
    scale_over_k(ax, {k for run, _ in shown for evaluation in run.evaluations for k in evaluation.pass_at_k})
    ax.set_xlabel("k (samples a prompt)")
    ax.set_ylabel("pass@k")
    legend(figure, shown, list(labels.values()))
    return figure


def _evaluation_look(label: str, marker: str, color: str) -> dict[str, Any]:
    line, face = {"before": ("--", "white"), "after": ("-", color)}.get(label, ("-.", color))
    return {"color": color, "linestyle": line, "marker": marker, "markersize": 4.5, "markerfacecolor": face}


def timing(runs: Sequence[Run]) -> Figure | None:
    """Median seconds of each phase, stacked, and the seconds of each step."""
    shown = recorded(runs, TIMING)
    if not shown:
        return None
    figure, (bars, totals) = panels(2, height=max(2.5, 1.7 + 0.35 * len(shown)))
    _phase_bars(bars, shown)
    for run, color in shown:
        seconds = run.series("timing/step_total")
        totals.plot(seconds.index, seconds, color=color, linewidth=1, alpha=0.8)
    # The first steps compile and warm up; they would flatten the rest of the curve.
    usual = max((run.series("timing/step_total").quantile(0.9) for run, _ in shown), default=0.0)
    if 2 * usual < totals.get_ylim()[1]:
        totals.set_ylim(top=2 * usual)
    totals.set_ylim(bottom=0)
    totals.set_title("seconds of each step")
    phases = [phase for phase in PHASES if recorded(runs, [f"timing/{phase}"])]
    handles: list[Artist] = [Patch(facecolor=PHASES[phase], label=phase.replace("_", " ")) for phase in phases]
    handles.append(role("whole step", color="black", marker="|", markersize=9, linestyle=""))
    legend(figure, (), handles)
    return figure


def _phase_bars(ax: Axes, shown: Shown) -> None:
    for row, (run, _) in enumerate(shown):
        left = 0.0
        for phase, color in PHASES.items():
            seconds = run.series(f"timing/{phase}").median()
            if np.isfinite(seconds):
                ax.barh(row, seconds, left=left, color=color, height=0.6)
                left += seconds
        ax.plot(run.series("timing/step_total").median(), row, marker="|", color="black", markersize=16, mew=1.5)
    ax.set_yticks(range(len(shown)), [text(run.name, PANEL_NAME) for run, _ in shown])
    for label, (_, color) in zip(ax.get_yticklabels(), shown, strict=True):
        label.set_color(color)
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("seconds a step")
    ax.set_title("median by phase")


def health(runs: Sequence[Run]) -> Figure | None:
    """Signs of a healthy run: response length, loss, KL, gradient norm, sampler gap, filtered prompts."""
    return _small_multiples(runs, HEALTH)


def _small_multiples(runs: Sequence[Run], titles: Mapping[str, str]) -> Figure | None:
    """One panel for each metric that some run logged."""
    drawn = [metric for metric in titles if recorded(runs, [metric])]
    if not drawn:
        return None
    window = smoothing_window(runs)
    figure, axes = panels(len(drawn), height=2.4)
    for ax, metric in zip(axes, drawn, strict=True):
        for run, color in recorded(runs, [metric]):
            curve(ax, run.series(metric), color, window)
        ax.set_title(titles[metric])
    legend(figure, recorded(runs, drawn), window=window)
    return figure
