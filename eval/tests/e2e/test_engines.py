"""Each engine against the real thing: killed at about half, resumed, complete; and all give the same samples."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from evaluation import (
    PROBLEMS,
    RUN_TIMEOUT,
    SAMPLES,
    START_TIMEOUT,
    Evaluation,
    environment,
    free_port,
    kill_tree,
    vllm_server,
)

SLOWLY = ("--concurrency", "2")
"""So that a tiny model takes long enough to be killed half-way."""


@pytest.fixture(scope="module")
def reference(tiny_model, problems, tmp_path_factory) -> pd.DataFrame:
    """Samples of the engine `vllm`, from a run that was killed and resumed with two copies of the model."""
    flags = ["--model", str(tiny_model), *SLOWLY]
    run = Evaluation(tiny_model, problems, tmp_path_factory.mktemp("vllm"), flags)
    there = run.kill_at_half()
    assert 0 < there < PROBLEMS * SAMPLES
    run.flags += ["--data-parallel", "2"]
    run.finish()
    return run.assert_complete()


def texts(frame: pd.DataFrame) -> list[tuple[str, int, str, str]]:
    return list(zip(frame["problem_id"], frame["sample_index"], frame["text"], frame["finish_reason"], strict=True))


def test_vllm_survives_kill_9_and_knows_log_probabilities(reference):
    assert reference["text"].groupby(reference["problem_id"]).nunique().min() > 1
    assert reference["mean_logprob"].lt(0).all()
    assert reference["entropy"].eq(-reference["mean_logprob"]).all()  # temperature 1, nothing cut off


def test_a_larger_n_draws_the_difference_and_a_full_store_starts_no_engine(tiny_model, problems, tmp_path):
    run = Evaluation(tiny_model, problems, tmp_path, ["--model", str(tiny_model), "--engine", "hf", "--limit", "10"])
    run.finish(n=4)
    first = run.durable()
    run.finish(n=6)
    assert (first, run.durable()) == (40, 60)
    started = time.monotonic()
    run.finish(n=6)
    assert run.durable() == 60
    assert "pass@1" in run.output()
    assert time.monotonic() - started < 60
    refused = Evaluation(tiny_model, problems, tmp_path, [*run.flags, "--temperature", "0.5"]).start(n=6)
    assert refused.wait(timeout=RUN_TIMEOUT) == 2
    assert "sampling.temperature is 1.0 there, 0.5 here" in (tmp_path / "log.txt").read_text()


def test_hf_draws_the_samples_that_vllm_draws(tiny_model, problems, tmp_path, reference):
    flags = ["--model", str(tiny_model), "--engine", "hf", "--dtype", "float32", "--limit", "20"]
    Evaluation(tiny_model, problems, tmp_path, flags).finish(n=8)
    ours = pd.read_parquet(tmp_path / "countdown3" / "samples")
    both = ours.merge(reference, on=["problem_id", "sample_index"], suffixes=("_hf", "_vllm"), validate="one_to_one")
    assert len(both) == 160
    # One generator a sample, the same noise: only rounding can make them part.
    assert (both["text_hf"] == both["text_vllm"]).mean() > 0.9
    assert both["seed_hf"].eq(both["seed_vllm"]).all()


def test_openai_survives_its_servers_death_and_its_own(tiny_model, problems, tmp_path, reference):
    port, log = free_port(), tmp_path / "server.log"
    url = f"http://127.0.0.1:{port}/v1"
    run = Evaluation(tiny_model, problems, tmp_path / "run", ["--engine", "openai", "--base-url", url])
    with vllm_server(tiny_model, port, log):
        assert 0 < run.kill_at_half() < PROBLEMS * SAMPLES
        process = run.start()
        before = run.durable()
        while run.durable() == before:
            assert process.poll() is None, run.output()[-4000:]
            time.sleep(0.05)
    with vllm_server(tiny_model, port, log):  # the first one is dead, the run still waits
        assert process.wait(timeout=RUN_TIMEOUT) == 0, run.output()[-4000:]
    assert texts(run.assert_complete()) == texts(reference)


def wait_for_cpus(address: str, count: int) -> None:
    """Until the Ray cluster has so many: a node joins when it is ready, however busy the machine is."""
    program = f"import ray; ray.init({address!r}, log_to_driver=False); print(int(ray.cluster_resources()['CPU']))"
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
        if asked.returncode == 0 and asked.stdout.split()[-1] == str(count):
            return
        assert time.monotonic() < deadline, asked.stderr[-2000:]
        time.sleep(1)


def test_ray_on_two_nodes_survives_kill_9(tiny_model, problems, tmp_path, reference):
    port = free_port()
    ray = str(Path(sys.executable).with_name("ray"))
    start = [ray, "start", "--num-cpus=1", "--disable-usage-stats", "--include-dashboard=false", "--block"]
    head = [*start, "--head", f"--port={port}"]
    worker = [ray, "start", "--num-cpus=1", "--disable-usage-stats", "--block", f"--address=127.0.0.1:{port}"]
    nodes = []
    log = (tmp_path / "ray.log").open("w")
    try:
        for count, command in enumerate((head, worker), 1):
            nodes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment()))
            wait_for_cpus(f"127.0.0.1:{port}", count)
        flags = ["--model", str(tiny_model), "--engine", "ray", "--ray-workers", "2", *SLOWLY]
        run = Evaluation(tiny_model, problems, tmp_path / "run", [*flags, "--ray-address", f"127.0.0.1:{port}"])
        assert 0 < run.kill_at_half() < PROBLEMS * SAMPLES
        run.finish()
        assert texts(run.assert_complete()) == texts(reference)
    finally:
        for node in nodes:
            kill_tree(node.pid)
        log.close()


def test_the_command_line_refuses_before_anything_starts(problems, tmp_path):
    command = [sys.executable, "-m", "aer_eval.cli.main", "run", "--suite", "countdown3", "--data", str(problems)]
    for flags, named in (
        (["--allow-mismatch"], "--model is missing"),
        (["--allow-mismatch", "--engine", "openai"], "--base-url"),
        (["--allow-mismatch", "--model", str(tmp_path)], "no config.json"),
        (["--allow-mismatch", "--model", "x", "--base-url", "y"], "--base-url does nothing with --engine vllm"),
        (["--allow-mismatch", "--model", "x", "--temperature", "0", "--n", "2"], "--temperature 0"),
    ):
        result = subprocess.run(
            [*command, "--out", str(tmp_path / "out"), *flags], capture_output=True, text=True, env=dict(os.environ)
        )
        assert result.returncode == 2 and len(result.stderr.splitlines()) == 1 and named in result.stderr, (
            result.stderr
        )
    assert not (tmp_path / "out").exists()
