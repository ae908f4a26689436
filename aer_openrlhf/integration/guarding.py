"""The guards of a run: fed every step's metrics, restored from the run folder, heard in log and TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import runlog
from ..guards import Guards, GuardWarning
from .leaving import GUARD_EXIT_CODE, LeaveTraining

COUNT = "aer/warnings"


class RunGuards:
    """All guards of a run that writes to `run_dir` and stops for those in `stop_on`."""

    def __init__(self, guards: Guards, run_dir: Path, stop_on: Sequence[str], tensorboard: Any | None) -> None:
        self.guards = guards
        self.run_dir = run_dir
        self.stop_on = stop_on
        self.tensorboard = tensorboard

    def resume(self, step: int) -> None:
        """Go back to checkpoint `step`: later warnings move aside, and the metrics up to it restore what was known.

        What has been told is not told again, but for a guard that now stops the run: it begins anew.
        """
        runlog.rewind(self.run_dir, step, [runlog.WARNINGS_FILE])
        for row in runlog.read_lines(self.run_dir / runlog.METRICS_FILE):
            self.guards.check(row["step"], row)
        told = {warning["guard"] for warning in runlog.read_lines(self.run_dir / runlog.WARNINGS_FILE)}
        self.guards.restart(told, self.stop_on)

    def check(self, step: int, metrics: Mapping[str, Any]) -> tuple[dict[str, float], LeaveTraining | None]:
        """Metrics to log beside the step's own, and how to leave where a guard stops the run."""
        warnings = self.guards.check(step, runlog.numbers_only(metrics))
        for warning in warnings:
            self._tell(warning)
        stops = [warning for warning in warnings if warning.guard in self.stop_on]
        reasons = "; ".join(f"{warning.guard}: {warning.message}" for warning in stops)
        leave = LeaveTraining(f"stopped at step {step} by the guard {reasons}", GUARD_EXIT_CODE) if stops else None
        return {COUNT: float(len(self.guards.warned))}, leave

    def _tell(self, warning: GuardWarning) -> None:
        print(f"[aer-train] WARNING, step {warning.step}, {warning.guard}: {warning.message}", flush=True)
        stopped = warning.guard in self.stop_on
        runlog.append_warning(self.run_dir, warning.step, warning.guard, warning.message, stopped)
        if self.tensorboard is not None:
            self.tensorboard.writer.add_text(f"warnings/{warning.guard}", warning.message, warning.step)


def refuse_stopped(run_dir: Path, stop_on: Sequence[str]) -> None:
    """Raise ValueError for the resume of a run that a guard in `stop_on` has stopped: a person has to decide."""
    for warning in runlog.read_lines(run_dir / runlog.WARNINGS_FILE):
        if warning.get("stopped") and warning.get("guard") in stop_on:
            raise ValueError(
                f"the run in {run_dir} was stopped at step {warning['step']} by the guard {warning['guard']} "
                f"({warning['message']}): to go on, leave {warning['guard']} out of --aer.stop_on"
            )
