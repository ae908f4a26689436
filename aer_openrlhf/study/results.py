"""The numbers of a study: one row a task, arm, seed and temperature, as a compact CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from aer_eval.errors import UserError, first_line
from aer_eval.whole_file import whole_file
from aer_openrlhf.report.runs import Evaluation, RunError, load_run, read_evaluations
from aer_openrlhf.report.runs import Run as Trained

from . import folder
from .definition import Run

KEYS = ["task", "arm", "seed", "temperature"]
NAMES = {"task": str, "arm": str, "seed": int}
LAST_STEPS = 20
"""Over which the final training reward and entropy are averaged."""


def collect(runs: Sequence[Run], metrics: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of finished runs; a run without an evaluation has one row, without a temperature.

    Args:
        runs: finished ones.
        metrics: names in ``metrics.jsonl``, each a column: its mean over the last steps.

    Raises:
        UserError: a finished run's files cannot be read.
    """
    rows = [row for run in runs for row in _rows(run, metrics)]
    return _typed(pd.DataFrame(rows, columns=None if rows else KEYS))


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with every figure a float, NaN where it is not known, however they were come by."""
    figures = [column for column in rows if column not in NAMES]
    return rows.astype({**dict.fromkeys(figures, float), **NAMES})


def _rows(run: Run, metrics: Sequence[str]) -> list[dict[str, Any]]:
    cell = {"task": run.task, "arm": run.arm, "seed": run.seed}
    try:
        if not run.train:
            return [{**cell, **_figures(evaluation)} for evaluation in read_evaluations(run.folder)]
        trained = load_run(run.folder)
    except RunError as problem:
        raise UserError(f"{run.name}: {problem}") from problem
    rest = {**final_figures(trained, metrics), "train_seconds": _train_seconds(run)}
    evaluations: list[dict[str, Any]] = [_figures(evaluation) for evaluation in trained.evaluations]
    return [{**cell, **figures, **rest} for figures in evaluations or [{"temperature": None}]]


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    passes = {f"pass@{k}": round(share, 5) for k, share in evaluation.pass_at_k.items()}
    return {
        "temperature": evaluation.temperature,
        "num_prompts": evaluation.num_prompts,
        "num_samples": evaluation.num_samples,
        **passes,
        "distinct_correct": _rounded(evaluation.distinct_correct),
        "sample_entropy": _rounded(evaluation.entropy),
    }


def final_figures(trained: Trained, metrics: Sequence[str] = ()) -> dict[str, Any]:
    """Reward, entropy and ``metrics`` of the last steps; what a run did not log is None.

    Entropy is in nats, over H_0, and over the target if a controller had one. H_0 is the anchor where there is one, as
    last logged since it may be a mean over several steps, else the first step's entropy.
    """
    figures: dict[str, Any] = {
        "steps": int(trained.metrics.index[-1]),
        "train_reward": _last(trained, "rollout/reward_mean"),
        **{name: _last(trained, name) for name in metrics},
    }
    entropy, last = trained.series("aer/entropy"), _last(trained, "aer/entropy")
    if last is None:
        return figures
    initial = trained.series("aer/entropy_initial")
    start = entropy.iloc[0] if initial.empty else initial.iloc[-1]
    target, alpha = trained.series("aer/entropy_target"), trained.series("aer/alpha")
    followed = not target.empty and (alpha.empty or float(alpha.max()) > 0)
    return {
        **figures,
        "entropy": last,
        "entropy_over_initial": _rounded(last / float(start)),
        "entropy_over_target": _rounded(last / float(target.iloc[-1])) if followed else None,
    }


def _last(trained: Trained, metric: str) -> float | None:
    """Mean over the last steps of the run; those on which it was not logged do not count."""
    values = trained.series(metric)
    values = values[values.index > trained.metrics.index[-1] - LAST_STEPS]
    return None if values.empty else _rounded(float(values.mean()))


def _train_seconds(run: Run) -> float | None:
    """Wall-clock seconds of the training; not known where it was interrupted."""
    made, trained = folder.read(run.folder / folder.RUN_FILE), folder.read(run.folder / folder.TRAINED_FILE)
    return round(trained["seconds"], 1) if made and trained and made["attempts"] == 1 else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def write_csv(rows: pd.DataFrame, path: Path) -> None:
    """Write the rows as a whole or not at all."""
    with whole_file(path) as file:
        rows.to_csv(file, index=False)


def merge(rows: pd.DataFrame, others: Sequence[Path]) -> pd.DataFrame:
    """The rows, with those of earlier CSV files; of a row that stands in several, every figure that is known in one.

    Raises:
        UserError: no such CSV, or two different figures for one task, arm, seed and temperature.
    """
    frames = [rows]
    for path in others:
        try:
            frames.append(read_csv(path))
        except (OSError, ValueError, KeyError) as problem:
            raise UserError(f"--merge {path}: not a table.csv of aer-study ({first_line(problem)})") from problem
    cells = pd.concat([frame for frame in frames if len(frame)] or frames).groupby(KEYS, sort=False, dropna=False)
    differing = cells.nunique() > 1  # NaN, a figure that is not known, differs from none
    for (task, arm, seed, temperature), columns in differing[differing.any(axis=1)].iterrows():
        raise UserError(
            f"--merge: two different rows for {task}/{arm}/seed-{seed} at temperature {temperature}: they differ in "
            f"{', '.join(columns.index[columns])}; remove one from its file"
        )
    return cells.first().reset_index()


def read_csv(path: Path) -> pd.DataFrame:
    """The rows of a table.csv; raises OSError, or ValueError where it is none."""
    rows = pd.read_csv(path, dtype=NAMES, keep_default_na=False, na_values=[""])  # an arm may be called None
    if missing := [key for key in KEYS if key not in rows]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    return _typed(rows)


def in_order(rows: pd.DataFrame, tasks: Sequence[str], arms: Sequence[str]) -> pd.DataFrame:
    """The rows by task, arm, seed and temperature: tasks and arms as they are given, what is not among them last."""
    orders = {"task": tasks, "arm": arms}

    def place(column: pd.Series) -> pd.Series:
        order = orders.get(str(column.name))
        return column if order is None else column.map({name: n for n, name in enumerate(order)}).fillna(len(order))

    return rows.sort_values(KEYS, key=place, kind="stable", ignore_index=True)
