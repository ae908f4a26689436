"""Ends what a run has started once the run itself is gone, however it went.

Ray's own processes notice the death of a killed driver only after a minute or more, and vLLM's workers are not Ray's.
The watchdog waits on a pipe whose other end the driver holds: the kernel closes it even after `kill -9`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import psutil

MARK = "AER_RUN_MARK"


def start() -> None:
    """Mark this process's future children through their environment and start a watchdog over them."""
    os.environ[MARK] = uuid.uuid4().hex
    subprocess.Popen(
        [sys.executable, "-m", __name__, os.environ[MARK]],
        stdin=subprocess.PIPE,  # held by this process until it ends
        start_new_session=True,  # Ctrl-C goes to the driver alone
    )


def kill_marked(mark: str) -> None:
    """Kill every process with this mark in its environment, this one aside."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.kill()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


if __name__ == "__main__":
    sys.stdin.read()
    kill_marked(sys.argv[1])
