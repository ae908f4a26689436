"""Read run folders: what `aer-train` leaves (log, warnings, samples, configuration), and `pass_at_k.json`."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from aer_eval.settings import flatten
from aer_openrlhf.report.samples import SampleTable, newest_samples
from aer_openrlhf.runlog import CONFIG_FILE, EVAL_FILE, METRICS_FILE, WARNINGS_FILE, read_lines

EVALUATIONS_FILE = "pass_at_k.json"


class RunError(Exception):
    """A run folder that cannot be reported on; the message names the path and the mend."""


@dataclass(frozen=True)
class Evaluation:
    """One row of `pass_at_k.json`: a checkpoint sampled `num_samples` times on each of `num_prompts` prompts."""

    label: str
    pass_at_k: Mapping[int, float]
    checkpoint: str | None = None
    num_prompts: int | None = None
    num_samples: int | None = None
    temperature: float | None = None
    distinct_correct: float | None = None
    entropy: float | None = None

    @property
    def protocol(self) -> tuple[int | None, int | None, float | None]:
        """What must be equal before two evaluations may be compared."""
        return self.num_prompts, self.num_samples, self.temperature


@dataclass(frozen=True, eq=False)
class Run:
    """One training run."""

    name: str
    path: Path
    config: Mapping[str, Any] | None
    """`run_config.json`; None where the file is missing."""
    metrics: pd.DataFrame
    """One row a step, one column a metric; NaN where a step did not log the metric."""
    evaluations: tuple[Evaluation, ...]
    torn_lines: int
    """Lines of the logs that hold no readable row: a killed process leaves one."""
    non_finite: tuple[str, ...] = ()
    """Metrics that were logged as NaN or infinite at some step; those values are blank in `metrics`."""

    warnings: tuple[str, ...] = ()
    """What the guards said, as `warnings.jsonl` has it."""
    samples: SampleTable | None = None
    """The newest sample table."""

    @property
    def method(self) -> str:
        """The method named by the configuration."""
        return str((self.config or {}).get("method", "unknown"))

    @property
    def flags(self) -> dict[str, Any]:
        """The command's arguments under their dotted names, such as `aer.rho`."""
        return dict(flatten((self.config or {}).get("args", {})))

    def series(self, *metrics: str) -> pd.Series:
        """The logged values of the first of `metrics` that this run has, by step; empty where it has none."""
        for metric in metrics:
            if metric in self.metrics:
                return self.metrics[metric].dropna()
        return pd.Series(dtype=float, index=pd.Index([], dtype=int, name="step"))

    def has(self, metrics: Iterable[str]) -> bool:
        """Whether at least one of `metrics` was logged."""
        return any(metric in self.metrics for metric in metrics)


def load_runs(paths: Sequence[str | Path]) -> list[Run]:
    """Load several run folders; names get as many parent folders as it takes to tell the runs apart."""
    folders = list(dict.fromkeys(Path(path).resolve() for path in paths))
    names = short_names(folders)
    return [replace(load_run(folder), name=name) for folder, name in zip(folders, names, strict=True)]


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as it takes to tell different paths apart."""
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(set(paths)):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]


def load_run(path: str | Path) -> Run:
    """Load one run folder; raise `RunError` where it holds nothing to report on."""
    folder = Path(path).resolve()
    log = folder / METRICS_FILE
    if not log.is_file():
        raise RunError(f"{log}: no such file; give the run folder that aer-train wrote (it holds {METRICS_FILE})")
    rows, torn_lines = _read_rows([path for path in (log, folder / EVAL_FILE) if path.is_file()])
    metrics, non_finite = _to_frame(rows)
    if metrics.empty:
        raise RunError(f"{log}: no row with a step and a metric in it; wait for the first training step to end")
    return Run(
        name=folder.name,
        path=folder,
        config=_read_config(folder / CONFIG_FILE),
        metrics=metrics,
        evaluations=read_evaluations(folder),
        torn_lines=torn_lines,
        non_finite=non_finite,
        warnings=_read_warnings(folder / WARNINGS_FILE),
        samples=_read_samples(folder),
    )


def _read_rows(logs: Iterable[Path]) -> tuple[dict[int, dict[str, float]], int]:
    """The metrics of each step and the number of unreadable lines.

    The log of a run's steps comes first, that of its evaluations adds keys to them. Rows of one step are merged, the
    later value winning key by key.
    """
    rows: dict[int, dict[str, float]] = {}
    torn_lines = 0
    for log in logs:
        for line in filter(str.strip, log.read_text(encoding="utf-8", errors="replace").split("\n")):
            row = _parse(line)
            if row is None:
                torn_lines += 1
                continue
            numbers = {key: float(value) for key, value in row.items() if _is_number(value) and key != "step"}
            rows.setdefault(row["step"], {}).update(numbers)
    return rows, torn_lines


def _parse(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and type(row.get("step")) is int else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _to_frame(rows: Mapping[int, Mapping[str, float]]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows as a table, non-finite values blanked, and the names of the metrics that had such values."""
    bad = sorted({key for row in rows.values() for key, value in row.items() if not math.isfinite(value)})
    frame = pd.DataFrame.from_dict(rows, orient="index", dtype=float).sort_index().rename_axis("step")
    frame = frame.where(frame.abs() < math.inf).dropna(axis="columns", how="all")
    return frame, tuple(bad)


def _read_config(path: Path) -> Mapping[str, Any] | None:
    config = _read_json(path)
    if config is not None and not (isinstance(config, dict) and isinstance(config.get("args", {}), dict)):
        raise RunError(f"{path}: not an object with the arguments under 'args'; mend or remove it")
    return config


def read_evaluations(folder: Path) -> tuple[Evaluation, ...]:
    """The evaluations in a folder, none where it has no `pass_at_k.json`; raise `RunError` for a damaged one."""
    path = folder / EVALUATIONS_FILE
    rows = _read_json(path)
    if rows is None:
        return ()
    fields = set(Evaluation.__dataclass_fields__) - {"pass_at_k"}
    try:
        return tuple(
            Evaluation(
                pass_at_k={int(k): float(share) for k, share in sorted(row["pass_at_k"].items(), key=_by_k)},
                **{key: value for key, value in row.items() if key in fields},
            )
            for row in rows
        )
    except (TypeError, ValueError, KeyError, AttributeError) as problem:
        raise RunError(f"{path}: not a list of evaluations ({problem!r}); mend or remove it") from problem


def _read_warnings(path: Path) -> tuple[str, ...]:
    try:
        return tuple(f"step {row['step']}, {row['guard']}: {row['message']}" for row in read_lines(path))
    except KeyError as problem:
        raise RunError(f"{path}: a line without {problem}; mend or remove it") from problem


def _read_samples(folder: Path) -> SampleTable | None:
    try:
        return newest_samples(folder)
    except ValueError as problem:
        raise RunError(str(problem)) from problem


def _by_k(item: tuple[str, float]) -> int:
    return int(item[0])


def _read_json(path: Path) -> Any:
    """The parsed file, or None where there is none."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise RunError(f"{path}: not valid JSON ({problem}); mend or remove it") from problem
