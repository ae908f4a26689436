"""Ends what a run has started once the run itself is gone, however it went.

Ray's own processes notice the death of a killed driver only after a minute or more, and vLLM's are not Ray's. The
watchdog waits on a pipe whose other end the driver holds: the kernel closes it even after `kill -9`. It remembers the
driver's descendants, since those of a dead driver are nobody's children, and cannot be known by their environment
either: processes that set a title write over it.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys

import psutil

LOOK_SECONDS = 0.5


def start() -> None:
    """Start a watchdog over this process and all its future descendants."""
    subprocess.Popen(
        [sys.executable, "-m", __name__, str(os.getpid())],
        stdin=subprocess.PIPE,  # held by this process until it ends
        start_new_session=True,  # Ctrl-C goes to the driver alone
    )


def watch(driver: psutil.Process) -> set[psutil.Process]:
    """Return all descendants that the driver ever had, once it is gone."""
    seen: set[psutil.Process] = set()
    while not select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
        seen |= _descendants(driver)
    for process in list(seen):  # what was started since the last look
        seen |= _descendants(process)
    return seen


def _descendants(process: psutil.Process) -> set[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return set(process.children(recursive=True))
    return set()


if __name__ == "__main__":
    for process in watch(psutil.Process(int(sys.argv[1]))) - {psutil.Process()}:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
