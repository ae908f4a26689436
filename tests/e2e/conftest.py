"""Real runs of `aer-train`: OpenRLHF, Ray, DeepSpeed and vLLM, started as a user starts them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
START_TIMEOUT, RUN_TIMEOUT, EXIT_TIMEOUT = 400, 900, 60
MARK = "AER_TEST_RUN"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@dataclass
class Training:
    """One `aer-train` process and all that it has started, found by a mark in their environment."""

    run_dir: Path
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self) -> Training:
        environment = os.environ | {MARK: self.mark, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'eval'}"}
        environment |= self.environment
        environment.pop("RAY_ADDRESS", None)
        self.log = (self.run_dir.parent / f"{self.run_dir.name}-{self.mark[:6]}.log").open("w+")
        self.process = subprocess.Popen(
            self.command, stdout=self.log, stderr=subprocess.STDOUT, env=environment, cwd=self.run_dir.parent
        )
        return self

    def finish(self, returncode: int = 0) -> Training:
        """Wait for the end and expect it to be this one, with nothing left behind."""
        assert self.process.wait(timeout=RUN_TIMEOUT) == returncode, self.output()[-6000:]
        self.assert_nothing_is_left()
        return self

    def output(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()

    def rows(self) -> list[dict]:
        path = self.run_dir / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for_step(self, step: int) -> None:
        self.wait_until(lambda: any(row["step"] >= step for row in self.rows()))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for what is to come before the run ends."""
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            assert self.process.poll() is None, self.output()[-6000:]
            assert time.monotonic() < deadline, self.output()[-6000:]
            time.sleep(0.05)

    def processes(self) -> list[int]:
        """Living processes that carry this run's mark."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                marked = f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes()
                zombie = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            except OSError:
                continue
            if marked and not zombie:
                found.append(int(entry.name))
        return found

    def assert_nothing_is_left(self) -> None:
        deadline = time.monotonic() + EXIT_TIMEOUT
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.2)
        left = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode()[:80] for pid in self.processes()}
        assert not left

    def kill_all(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    from tests.tiny_model import save_tiny_model

    return {
        "tied": save_tiny_model(tmp_path_factory.mktemp("tied"), tied=True),
        "untied": save_tiny_model(tmp_path_factory.mktemp("untied"), tied=False),
    }


@pytest.fixture(scope="session")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "prompts.jsonl"
    generator = random.Random(0)
    numbers = [generator.randrange(1000) for _ in range(4096)]
    path.write_text("".join(json.dumps({"prompt": f"{n:03d}=", "label": str(n)}) + "\n" for n in numbers))
    return path


@pytest.fixture
def train(tmp_path, tiny_models, prompts):
    """train(flags, name="run", model="tied", steps=6, **environment) -> a started Training; the rest is killed."""
    started: list[Training] = []

    def launch(*flags: str, name: str = "run", model: str = "tied", steps: int = 6, **environment: str) -> Training:
        base = {
            "--actor.model_name_or_path": tiny_models[model],
            "--reward.remote_url": Path(__file__).parent / "reward_digit.py",
            "--data.prompt_dataset": prompts,
            "--data.input_key": "prompt",
            "--data.label_key": "label",
            "--data.max_samples": 16 * steps,
            "--data.max_len": 32,
            "--rollout.max_new_tokens": 6,
            "--rollout.batch_size": 16,
            "--rollout.n_samples_per_prompt": 8,
            "--rollout.micro_batch_size": 32,
            "--train.batch_size": 64,
            "--train.micro_batch_size": 16,
            "--algo.advantage.estimator": "group_norm",
            "--algo.kl.init_coef": 0,
            "--vllm.num_engines": 1,
            "--actor.num_gpus_per_node": 1,
            "--actor.adam.lr": 1e-3,
            "--actor.lr_scheduler": "constant",
            "--actor.lr_warmup_ratio": 0,
            "--ckpt.output_dir": tmp_path / name,
            "--ckpt.path": tmp_path / f"{name}-checkpoints",
        }
        if "--aer.method" not in flags:
            base |= {
                "--aer.normalize": "mean",
                "--aer.eta": 0.1,
                "--aer.alpha_max": 0.5,
                "--aer.rho": 1.0,
                "--aer.tau": 0.95,
            }
        command = [sys.executable, "-m", "aer_openrlhf.cli.train_ppo_ray", "--aer.enable"]
        command += [str(part) for flag in base.items() for part in flag] + [str(flag) for flag in flags]
        started.append(Training(tmp_path / name, command, environment).start())
        return started[-1]

    yield launch
    for training in started:
        training.kill_all()
        training.log.close()
