"""How a run ends before its last step: with a checkpoint, one line that says why, and an exit code of its own."""

from __future__ import annotations

GUARD_EXIT_CODE = 3


class LeaveTraining(Exception):
    """Raised in the controller process once the checkpoint is written; it reaches the driver through Ray."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason, exit_code)  # both, so that it survives pickling
        self.reason = reason
        self.exit_code = exit_code
