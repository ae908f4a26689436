"""SIGTERM and SIGUSR1: a scheduler asks the run to end, and it ends with a checkpoint where it writes any.

The driver gets the signal, the controller process writes the checkpoint. Between them stands Ray's key-value store,
which needs no shared disk and ends with the cluster.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from typing import Any

from .faults import AGAIN
from .leaving import LeaveTraining

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
LOOK_SECONDS = 1.0


def on_signal(with_checkpoint: bool) -> None:
    """Let the signals ask for a stop. Called in the driver after Ray has set its own SIGTERM handler.

    with_checkpoint: the run writes one as it ends, and the first line says so.
    """
    for number in SIGNALS:
        signal.signal(number, functools.partial(_handle, "with a checkpoint " if with_checkpoint else ""))


def _handle(manner: str, number: int, frame: Any) -> None:
    for each in SIGNALS:
        signal.signal(each, _give_up)
    name = signal.Signals(number).name
    os.write(
        2,
        f"[aer-train] {name}: the run ends {manner}after the update that is under way; "
        "a second signal ends it at once\n".encode(),
    )
    # The handler interrupts Ray's own code in the main thread: what talks to Ray runs elsewhere.
    threading.Thread(target=request, args=(name,), daemon=True).start()


def _give_up(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def request(reason: str) -> None:
    """Ask this Ray job's controller to stop."""
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(_key(), reason.encode())


class StopRequest:
    """The controller's view; asks Ray at most once in LOOK_SECONDS."""

    def __init__(self) -> None:
        self._looked = -LOOK_SECONDS

    def raise_if_made(self) -> None:
        """Raise LeaveTraining if the driver has been asked to stop."""
        from ray.experimental.internal_kv import _internal_kv_get

        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        reason = _internal_kv_get(_key())
        if reason is not None:
            raise LeaveTraining(f"stopped by {reason.decode()}; to go on, {AGAIN}", exit_code=0)


def _key() -> bytes:
    import ray

    return f"aer-stop-{ray.get_runtime_context().get_job_id()}".encode()
