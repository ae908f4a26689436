"""`aer-report --follow`: the report goes along with the runs until they have ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from aer_openrlhf.report.runs import EVALUATIONS_FILE
from aer_openrlhf.runlog import END_FILE, EVAL_FILE, METRICS_FILE, WARNINGS_FILE

WATCHED = (METRICS_FILE, EVAL_FILE, WARNINGS_FILE, EVALUATIONS_FILE)


def follow(run_dirs: Sequence[Path], write: Callable[[float | None], None], interval: float) -> None:
    """Call `write` whenever a run has logged something new, and a last time when all have ended or at Ctrl-C.

    A run has ended when `aer-train` has said so in its folder; one that was killed has not, and is waited for.

    Args:
        run_dirs: folders that may be empty yet; nothing is written until all have logged a step.
        write: takes the seconds after which the page loads itself anew, None for never.
        interval: seconds between two looks.
    """
    seen = None
    if missing := [str(run_dir) for run_dir in run_dirs if not _stamp(run_dir / METRICS_FILE)]:
        print(f"aer-report: waiting for the first step in {', '.join(missing)}", file=sys.stderr)
    try:
        while not _all(run_dirs, END_FILE):
            now = [_stamp(run_dir / name) for run_dir in run_dirs for name in WATCHED]
            if now != seen and _all(run_dirs, METRICS_FILE):
                write(interval)
                seen = now
            time.sleep(interval)
    except KeyboardInterrupt:
        if seen is None:
            raise
    write(None)


def _all(run_dirs: Sequence[Path], name: str) -> bool:
    return all(_stamp(run_dir / name) for run_dir in run_dirs)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file does; None where there is none, or nothing in it yet."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_mtime_ns, status.st_size) if status.st_size else None
