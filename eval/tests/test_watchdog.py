"""A killed driver takes along what it has started."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

# A child that starts a grandchild of its own.
CHILD = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
time.sleep(60)
"""
DRIVER = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
from aer_eval import watchdog
watchdog.start()
print(subprocess.Popen([sys.executable, "-c", {CHILD!r}]).pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_everything_ends_with_the_driver(end):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    started = [psutil.Process(int(driver.stdout.readline())) for _ in range(2)]
    started += psutil.Process(driver.pid).children(recursive=True)  # the watchdog itself too
    time.sleep(2)  # several looks of the watchdog
    driver.send_signal(end)
    driver.wait(timeout=10)
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
