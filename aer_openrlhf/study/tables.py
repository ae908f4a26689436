"""A study's rows as Markdown: means over seeds, and differences from one arm, paired by seed, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from aer_eval.metrics.intervals import t_bounds
from aer_eval.metrics.markdown import ABSENT, table

from .definition import START
from .frontier import distances
from .results import KEYS, LAST_STEPS

HEADINGS = {
    "distinct_correct": "distinct right",
    "sample_entropy": "entropy (nats)",
    "train_reward": f"training reward, last {LAST_STEPS} steps",
    "entropy_over_initial": f"entropy / H_0, last {LAST_STEPS} steps",
    "target_over_initial": "target / H_0",
    "entropy_over_target": "entropy / target",
    "train_seconds": "wall time (s)",
}
UNSHOWN = ("num_prompts", "num_samples", "steps", "entropy")
"""Columns of the CSV that the tables leave out; those without a heading that are none of these are the study's own
metrics."""
TOLD = "Mean ± standard deviation over seeds (n - 1); in brackets how many have the figure, where not all do."
NOT_COMPARED = ("sample_entropy", "target_over_initial", "entropy_over_target", "train_seconds")
"""Headed figures of which a difference between two arms says nothing, or nothing new."""


def summary(rows: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Mean, standard deviation (n - 1; NaN for one seed) and number of seeds by arm, and by ``keys``."""
    figures = [column for column in rows if column not in {*KEYS, *UNSHOWN}]
    groups = rows.groupby(["arm", *keys], sort=False, dropna=False)
    return (
        groups[figures]
        .agg(["mean", "std", "count"])
        .join(pd.concat({("seed", "count"): groups["seed"].nunique()}, axis=1))
    )


def differences(rows: pd.DataFrame, reference: str, columns: Sequence[str]) -> pd.DataFrame:
    """Every run's figures minus those of the reference's run of the same seed: columns arm, seed and ``columns``.

    Args:
        rows: of one task and temperature, a row a run.
        reference: an arm; without a run of it there is no difference.
        columns: the figures.
    """
    figures = rows.set_index(["arm", "seed"])[list(columns)]
    others = figures.drop(index=[reference, START], level="arm", errors="ignore").reset_index()
    its_own = figures.xs(reference).reindex(others["seed"]) if reference in figures.index.levels[0] else np.nan
    return others.assign(**(others[list(columns)] - np.asarray(its_own))).dropna(subset=list(columns), how="all")


def markdown(rows: pd.DataFrame, command: str, reference: str, each_seed: bool = False) -> str:
    """Two tables a task and temperature, an arm a line, then the distances to the reference's frontier.

    Args:
        rows: what ``results.collect`` or ``merge`` gave.
        command: the command that makes the tables, for the first line.
        reference: the arm that the others are compared with.
        each_seed: whether every seed has a line of its own, before the means.
    """
    if rows.empty:
        return f"Made by `{command}`.\n\nNo run is finished.\n"
    if "entropy_over_target" in rows:
        rows = rows.assign(target_over_initial=rows["entropy_over_initial"] / rows["entropy_over_target"])
    passes = [column for column in rows if str(column).startswith("pass@")]
    metrics = [column for column in rows if column not in {*KEYS, *UNSHOWN, *passes, *HEADINGS}]
    columns = [column for column in [*passes, *HEADINGS, *metrics] if column in rows and rows[column].notna().any()]
    headings = ["arm", "seed" if each_seed else "seeds", *(HEADINGS.get(column, column) for column in columns)]
    parts = [f"Made by `{command}`.\n\n{TOLD}"]
    for task, of_task in rows.groupby("task", sort=False):
        for temperature, group in of_task.groupby("temperature", dropna=False):
            title = f"## {task}" if pd.isna(temperature) else f"## {task}, temperature {temperature:g}"
            lines = [*(_seed_lines(group, columns) if each_seed else []), *_mean_lines(group, columns, each_seed)]
            parts += [title + _protocol(group), table(headings, lines), _differences(group, reference, columns)]
    parts += [_distances(str(task), group, reference) for task, group in rows.groupby("task", sort=False)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _seed_lines(rows: pd.DataFrame, columns: Sequence[str]) -> list[list[str]]:
    return [
        [arm, ABSENT if arm == START else str(seed), *(_mean(line, column) for column in columns)]
        for (arm, seed), line in summary(rows, "seed").iterrows()
    ]


def _mean_lines(rows: pd.DataFrame, columns: Sequence[str], each_seed: bool) -> list[list[str]]:
    """A line an arm; below the lines of the seeds, only where there are several to take a mean of."""
    lines = []
    for arm, line in summary(rows).iterrows():
        seeds = int(line["seed", "count"])
        told = f"mean of {seeds}" if each_seed else ABSENT if arm == START else str(seeds)
        if seeds > 1 or not each_seed:
            lines.append([str(arm), told, *(_mean(line, column) for column in columns)])
    return lines


def _protocol(rows: pd.DataFrame) -> str:
    """What the evaluations of a table have in common, for its title; nothing where it is not known or differs."""
    known = [name for name in ("num_prompts", "num_samples") if name in rows and rows[name].nunique(dropna=False) == 1]
    told = [f"{rows[name].iloc[0]:g} {name.removeprefix('num_')}" for name in known if rows[name].notna().all()]
    return "".join(f", {text}" for text in told)


def _differences(rows: pd.DataFrame, reference: str, columns: Sequence[str]) -> str:
    """Nothing where no arm has a seed in common with the reference."""
    compared = [column for column in columns if column not in NOT_COMPARED]
    told = f"Difference from {reference} of the same seed, with the 95 % t interval of the mean over seeds."
    return _intervals(told, differences(rows, reference, compared), compared)


def _distances(task: str, rows: pd.DataFrame, reference: str) -> str:
    """Nothing where no arm has a seed in common with the reference, or reaches its pass@1."""
    found = distances(rows, reference)
    columns = [column for column in found if column not in ("arm", "seed")]
    told = (
        f"## {task}, above the frontier of {reference}\n\n"
        f"pass@k above {reference}'s at the same pass@1 or more, seed by seed: the mean distance of the two frontiers "
        f"over those pass@1 of {reference} that the arm reaches, with the 95 % t interval of the mean over seeds. A "
        "run that reaches none of them is not in the mean."
    )
    return _intervals(told, found, columns) if found[columns].notna().any(axis=None) else ""


def _intervals(told: str, found: pd.DataFrame, columns: list[str]) -> str:
    """What is told and a table of means with intervals, an arm a line; nothing where there is no figure."""
    if found.empty or not columns:
        return ""
    lines = [[arm, *_interval_cells(runs[columns])] for arm, runs in found.groupby("arm", sort=False)]
    return f"{told}\n\n{table(['arm', 'seeds', *(HEADINGS.get(column, column) for column in columns)], lines)}"


def _interval_cells(figures: pd.DataFrame) -> list[str]:
    """How many runs have a figure, of how many where that is not all; then every figure's interval over them."""
    known = int(figures.notna().any(axis=1).sum())
    counted = str(known) if known == len(figures) else f"{known} of {len(figures)}"
    return [counted, *(_interval(figures[column].dropna(), str(column), known) for column in figures)]


def _interval(values: pd.Series, column: str, seeds: int) -> str:
    """The mean and, of two seeds and more, its 95 % t interval."""
    if values.empty:
        return ABSENT
    digits = _digits(column)
    text = f"{values.mean():+.{digits}f}"
    if len(values) > 1:
        low, high = t_bounds(values.to_numpy(dtype=float))
        text += f" ({low:+.{digits}f} to {high:+.{digits}f})"
    return text + _of_fewer(len(values), seeds)


def _mean(line: Any, column: str) -> str:
    """The mean and, of two seeds and more, the standard deviation."""
    mean, deviation = line[column, "mean"], line[column, "std"]
    if pd.isna(mean):
        return ABSENT
    digits = _digits(column)
    text = f"{mean:.{digits}f}" if pd.isna(deviation) else f"{mean:.{digits}f} ± {deviation:.{digits}f}"
    return text + _of_fewer(int(line[column, "count"]), int(line["seed", "count"]))


def _of_fewer(known: int, seeds: int) -> str:
    """How many seeds a mean is over, where that is not all that its line tells."""
    return f" [{known}]" if known < seeds else ""


def _digits(column: str) -> int:
    return {"train_seconds": 0, "distinct_correct": 2}.get(column, 3)
