"""The numbers of a study: one row a task, arm, seed and temperature, as a compact CSV and as Markdown over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from aer_eval.errors import UserError, first_line
from aer_eval.metrics.markdown import ABSENT, table
from aer_eval.whole_file import whole_file
from aer_openrlhf.report.runs import Evaluation, RunError, load_run, read_evaluations
from aer_openrlhf.report.runs import Run as Trained

from . import folder
from .definition import START, Run
from .frontier import distances

KEYS = ["task", "arm", "seed", "temperature"]
NAMES = {"task": str, "arm": str, "seed": int}
LAST_STEPS = 20
"""Over which the final entropy is averaged."""
HEADINGS = {
    "distinct_correct": "distinct right",
    "sample_entropy": "entropy (nats)",
    "entropy_over_initial": f"entropy / H_0, last {LAST_STEPS} steps",
    "target_over_initial": "target / H_0",
    "entropy_over_target": "entropy / target",
    "train_seconds": "wall time (s)",
}


def collect(runs: Sequence[Run]) -> pd.DataFrame:
    """The rows of the finished runs; a run without an evaluation has one row, without a temperature.

    Raises:
        UserError: a finished run's files cannot be read.
    """
    rows = [row for run in runs if folder.state(run) == "finished" for row in _rows(run)]
    return _typed(pd.DataFrame(rows, columns=None if rows else KEYS))


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with every figure a float, NaN where it is not known, however they were come by."""
    figures = [column for column in rows if column not in NAMES]
    return rows.astype({**dict.fromkeys(figures, float), **NAMES})


def _rows(run: Run) -> list[dict[str, Any]]:
    cell = {"task": run.task, "arm": run.arm, "seed": run.seed}
    try:
        if not run.train:
            return [{**cell, **_figures(evaluation)} for evaluation in read_evaluations(run.folder)]
        trained = load_run(run.folder)
    except RunError as problem:
        raise UserError(f"{run.name}: {problem}") from problem
    rest = {**entropy_figures(trained), "train_seconds": _train_seconds(run)}
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


def entropy_figures(trained: Trained) -> dict[str, Any]:
    """Entropy of the last steps in nats, over H_0, and over the target where a controller has followed one."""
    entropy = trained.series("aer/entropy")
    if entropy.empty:
        return {"steps": int(trained.metrics.index[-1])}
    last = float(entropy.iloc[-LAST_STEPS:].mean())
    target, alpha = trained.series("aer/entropy_target"), trained.series("aer/alpha")
    followed = not target.empty and (alpha.empty or float(alpha.max()) > 0)
    return {
        "steps": int(trained.metrics.index[-1]),
        "entropy": _rounded(last),
        "entropy_over_initial": _rounded(last / float(entropy.iloc[0])),
        "entropy_over_target": _rounded(last / float(target.iloc[-1])) if followed else None,
    }


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
    """The rows, with those of earlier CSV files; a row that stands in several must be the same in all.

    Raises:
        UserError: no such CSV, or two different rows for one task, arm, seed and temperature.
    """
    frames = [rows]
    for path in others:
        try:
            frames.append(_typed(pd.read_csv(path, dtype=NAMES)))
        except (OSError, ValueError, KeyError) as problem:
            raise UserError(f"--merge {path}: not a table.csv of aer-study ({first_line(problem)})") from problem
    merged = pd.concat([frame for frame in frames if len(frame)] or frames).drop_duplicates()
    twice = merged[merged.duplicated(KEYS)]
    if len(twice):
        first = twice.iloc[0]
        cell = f"{first['task']}/{first['arm']}/seed-{first['seed']} at temperature {first['temperature']}"
        raise UserError(f"--merge: two different rows for {cell}; remove one from its file")
    return merged.reset_index(drop=True)


def summary(rows: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Mean, standard deviation (n - 1; NaN for one seed) and number of seeds by arm, and by ``keys``."""
    figures = [column for column in rows if column not in [*KEYS, "num_prompts", "num_samples", "steps"]]
    groups = rows.groupby(["arm", *keys], sort=False, dropna=False)
    return (
        groups[figures]
        .agg(["mean", "std", "count"])
        .join(pd.concat({("seed", "count"): groups["seed"].nunique()}, axis=1))
    )


def markdown(rows: pd.DataFrame, command: str, reference: str, each_seed: bool = False) -> str:
    """A table a task and temperature, an arm a line, then the distances to the reference's frontier.

    Args:
        rows: what ``collect`` or ``merge`` gave.
        command: the command that makes the tables, for the first line.
        reference: the arm whose frontier the others are compared with.
        each_seed: whether every seed has a line of its own, before the means.
    """
    if rows.empty:
        return f"Made by `{command}`.\n\nNo run is finished.\n"
    if "entropy_over_target" in rows:
        rows = rows.assign(target_over_initial=rows["entropy_over_initial"] / rows["entropy_over_target"])
    passes = [column for column in rows if str(column).startswith("pass@")]
    columns = [column for column in [*passes, *HEADINGS] if column in rows and rows[column].notna().any()]
    headings = ["arm", "seed" if each_seed else "seeds", *(HEADINGS.get(column, column) for column in columns)]
    parts = [f"Made by `{command}`.\n\nMean ± standard deviation over seeds (n - 1)."]
    for (task, temperature), group in rows.groupby(["task", "temperature"], dropna=False):
        title = f"## {task}" if pd.isna(temperature) else f"## {task}, temperature {temperature:g}"
        lines = [*(_seed_lines(group, columns) if each_seed else []), *_mean_lines(group, columns, each_seed)]
        parts += [title + _protocol(group), table(headings, lines)]
    parts += [_distances(str(task), group, reference) for task, group in rows.groupby("task", sort=False)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _seed_lines(rows: pd.DataFrame, columns: Sequence[str]) -> list[list[str]]:
    return [
        [arm, ABSENT if arm == START else str(seed), *(_cell(line, column) for column in columns)]
        for (arm, seed), line in summary(rows, "seed").iterrows()
    ]


def _mean_lines(rows: pd.DataFrame, columns: Sequence[str], each_seed: bool) -> list[list[str]]:
    """A line an arm; below the lines of the seeds, only where there are several to take a mean of."""
    lines = []
    for arm, line in summary(rows).iterrows():
        seeds = int(line["seed", "count"])
        told = f"mean of {seeds}" if each_seed else ABSENT if arm == START else str(seeds)
        if seeds > 1 or not each_seed:
            lines.append([str(arm), told, *(_cell(line, column) for column in columns)])
    return lines


def _protocol(rows: pd.DataFrame) -> str:
    """What the evaluations of a table have in common, for its title; nothing where it is not known or differs."""
    known = [name for name in ("num_prompts", "num_samples") if name in rows and rows[name].nunique(dropna=False) == 1]
    told = [f"{rows[name].iloc[0]:g} {name.removeprefix('num_')}" for name in known if rows[name].notna().all()]
    return "".join(f", {text}" for text in told)


def _distances(task: str, rows: pd.DataFrame, reference: str) -> str:
    """Nothing where no arm has a seed and a range of pass@1 in common with the reference."""
    found = distances(rows, reference)
    columns = [column for column in found if column not in ("arm", "seed")]
    found = found.dropna(subset=columns, how="all")
    if found.empty or not columns:
        return ""
    groups = found.groupby("arm", sort=False)
    figures = groups[columns].agg(["mean", "std"]).join(groups.size().rename(("seed", "count")))
    lines = [
        [str(arm), str(int(line["seed", "count"])), *(_cell(line, column, sign="+") for column in columns)]
        for arm, line in figures.iterrows()
    ]
    told = (
        f"pass@k above {reference}'s at the same pass@1 or more, seed by seed: the mean distance of the two frontiers "
        "over the pass@1 that both reach."
    )
    return f"## {task}, above the frontier of {reference}\n\n{told}\n\n{table(['arm', 'seeds', *columns], lines)}"


def _cell(line: Any, column: str, sign: str = "") -> str:
    mean, deviation = line[column, "mean"], line[column, "std"]
    if pd.isna(mean):
        return ABSENT
    digits = 0 if column == "train_seconds" else 2 if column == "distinct_correct" else 3
    text = f"{mean:{sign}.{digits}f}"
    return text if pd.isna(deviation) else f"{text} ± {deviation:.{digits}f}"
