"""The processes of a run, by what they are."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import psutil

TITLES = {
    "a policy rank": "ray::PolicyModelActor",
    "a vLLM engine": "ray::RolloutRayActor",
    "the controller process": "ray::PPOTrainer",
    "the Ray node process": "raylet/raylet",
    "the Ray head process": "gcs_server",
}


def family(driver: int) -> list[psutil.Process]:
    """All descendants of a living driver."""
    return psutil.Process(driver).children(recursive=True)


def find(driver: int, kind: str) -> psutil.Process | None:
    """A process of the run by its kind in TITLES; the last one started, where there are several."""
    found = None
    for process in family(driver):
        try:
            command = process.cmdline()[:1]
        except psutil.Error:
            continue
        if command and TITLES[kind] in command[0]:
            found = process
    return found


def kill(driver: subprocess.Popen, kind: str) -> float:
    """kill -9; returns the seconds until the driver has ended and none of the run's processes is left."""
    everyone, victim = family(driver.pid), find(driver.pid, kind)
    assert victim is not None, kind
    began = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    driver.wait(timeout=120)
    _, left = psutil.wait_procs(everyone, timeout=60)
    assert not left, left
    return time.monotonic() - began
