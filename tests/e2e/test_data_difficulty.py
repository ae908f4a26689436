"""`aer-data difficulty` with the demo's start model on real vLLM: killed, resumed, and every number counted again."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest

from aer_eval.engines.vllm import CPU_ENVIRONMENT
from aer_openrlhf.data.difficulty import CLASSES
from aer_openrlhf.integration.preflight import check_rows
from aer_openrlhf.rewards import countdown
from model import make_model
from tasks import EOS, TASKS, train_problems, write_jsonl
from tests.e2e.conftest import RUN_TIMEOUT, START_TIMEOUT, Training

PROMPTS, SAMPLES = 300, 32


@pytest.fixture
def command(tmp_path, monkeypatch) -> Training:
    for name, value in {**CPU_ENVIRONMENT, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    task, prompts = TASKS["countdown"], tmp_path / "prompts.jsonl"
    write_jsonl(train_problems(task, PROMPTS, seed=0), prompts)
    arguments = [
        "difficulty",
        prompts,
        tmp_path / "out",
        "--model",
        make_model(task, cache=Path("runs/cache")).resolve(),
    ]
    arguments += ["--answer-type", "countdown3", "--n", SAMPLES, "--chunk", "8", "--max-tokens", "6"]
    run = Training(tmp_path / "out", [sys.executable, "-m", "aer_openrlhf.cli.data", *map(str, arguments)])
    yield run
    run.kill_all()


def test_a_killed_split_goes_on_and_its_pass_rates_are_those_of_the_samples(command):
    store = command.run_dir / "prompts" / "samples"
    command.start()
    deadline = time.monotonic() + START_TIMEOUT
    while not list(store.glob("*.parquet")):
        assert command.process.poll() is None and time.monotonic() < deadline, command.output()[-4000:]
        time.sleep(0.05)
    command.process.send_signal(signal.SIGKILL)
    command.process.wait()
    command.assert_nothing_is_left()
    parts = {path: path.stat().st_mtime for path in store.glob("*.parquet")}
    assert 0 < len(pd.concat(map(pd.read_parquet, parts))) < PROMPTS * SAMPLES

    command.start()
    assert command.process.wait(timeout=RUN_TIMEOUT) == 0, command.output()[-4000:]
    assert {path: path.stat().st_mtime for path in parts} == parts  # what the kill left is used, and not drawn again
    samples = pd.read_parquet(store)
    assert len(samples) == len(samples.drop_duplicates(["problem_id", "sample_index"])) == PROMPTS * SAMPLES

    labels = {
        row["prompt"]: row["label"] for row in map(json.loads, (command.run_dir.parent / "prompts.jsonl").open())
    }
    rates = defaultdict(list)
    problems = {row["id"]: row for row in json.loads((store.parent / "store.json").read_text())["problems"]}
    for name, group in samples.groupby("problem_id"):
        prompt = problems[name]["problem"]
        ends = group["finish_reason"].map({"stop": EOS, "length": ""})
        right = [countdown.is_correct(response, labels[prompt]) for response in group["text"] + ends]
        rates[prompt].append(sum(right) / len(right))
    found = defaultdict(list)
    for name in CLASSES:
        path = command.run_dir / f"{name}.jsonl"
        if path.exists():
            check_rows(path, "prompt", "label", chat=False)  # what aer-train asks of a dataset
            for row in map(json.loads, path.open()):
                assert row["n"] == SAMPLES and row["label"] == labels[row["prompt"]]
                found[row["prompt"]].append(row["pass_rate"])
    assert {prompt: sorted(values) for prompt, values in found.items()} == {
        prompt: sorted(values) for prompt, values in rates.items()
    }
