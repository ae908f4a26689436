"""What the end-to-end tests start and look at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

import pandas as pd
import psutil

from aer_eval.engines.vllm import CPU_ENVIRONMENT
from aer_eval.sampling.store import read_samples
from aer_eval.sampling.units import base_seed
from aer_eval.suites.load import load_suite

START_TIMEOUT, RUN_TIMEOUT, EXIT_TIMEOUT = 300, 600, 60
PROBLEMS, SAMPLES = 150, 32


@dataclass
class Evaluation:
    """One `aer-eval run` on the problems."""

    model: Path
    problems: Path
    out: Path
    flags: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.out / "countdown3"

    def start(self, n: int = SAMPLES) -> subprocess.Popen[str]:
        command = [
            *(sys.executable, "-m", "aer_eval.cli.main", "run", "--suite", "countdown3"),
            *("--data", str(self.problems), "--allow-mismatch", "--out", str(self.out)),
            *("--n", str(n), "--chunk", "8", "--max-tokens", "6", *self.flags),
        ]
        self.out.mkdir(parents=True, exist_ok=True)
        self.log = (self.out / "log.txt").open("a+")
        return subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, text=True, env=environment())

    def finish(self, n: int = SAMPLES) -> Evaluation:
        assert self.start(n).wait(timeout=RUN_TIMEOUT) == 0, self.output()[-4000:]
        return self

    def output(self) -> str:
        return Path(self.log.name).read_text()

    def kill_at_half(self) -> int:
        """Start, kill -9 the driver once about half of the samples are durable; return how many there are then."""
        process = self.start()
        descendants: set[psutil.Process] = set()
        deadline = time.monotonic() + START_TIMEOUT
        while self.durable() < PROBLEMS * SAMPLES // 3:
            assert process.poll() is None, self.output()[-4000:]
            assert time.monotonic() < deadline, self.output()[-4000:]
            descendants |= set(psutil.Process(process.pid).children(recursive=True))
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(descendants, timeout=EXIT_TIMEOUT)
        assert not [process for process in alive if process.is_running() and process.status() != "zombie"]
        return self.durable()

    def durable(self) -> int:
        parts = (self.store / "samples").glob("*.parquet")
        return sum(len(pd.read_parquet(part, columns=["sample_index"])) for part in parts)

    def assert_complete(self, n: int = SAMPLES) -> pd.DataFrame:
        """Exactly the expected rows, each with its own seed, once."""
        frame = read_samples(self.store)
        rows = {(row.problem_id, row.sample_index, row.seed) for row in frame.itertuples()}
        ids = [problem.id for problem in load_suite("countdown3", self.problems, allow_mismatch=True).problems]
        assert rows == {(name, index, base_seed(0, name) + index) for name in ids for index in range(n)}
        assert len(frame) == len(rows)
        assert frame["token_count"].between(1, 6).all()
        assert frame["finish_reason"].isin(["stop", "length"]).all()
        return frame


def environment() -> dict[str, str]:
    # A Ray that an earlier test has kept to this machine would let no second node join.
    more_nodes = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    return {**CPU_ENVIRONMENT, **os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more_nodes}


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def vllm_server(model: Path, port: int, log: Path) -> Iterator[subprocess.Popen]:
    """vLLM's own OpenAI server on loopback, answering; killed with all it has started."""
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", str(port)),
        *("--served-model-name", "tiny", "--enforce-eager", "--gpu-memory-utilization", "0.1"),
    ]
    with log.open("a") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment())
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.5)
        yield server
    finally:
        kill_tree(server.pid)


def kill_tree(pid: int) -> None:
    if psutil.pid_exists(pid):
        driver = psutil.Process(pid)
        for process in [*driver.children(recursive=True), driver]:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
