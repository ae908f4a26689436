"""Runs that are broken and started again: what a user sees, what is lost, and where the next start goes on."""

import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.processes import family, kill

STEPS = 400  # more than any of the runs comes to


@pytest.fixture
def reward_fault(tmp_path, monkeypatch):
    """A file that makes the reward fail while it is there."""
    path = tmp_path / "fault"
    monkeypatch.setenv("AER_TEST_FAULT", str(path))
    return path


def last_line(training) -> str:
    return training.output().strip().splitlines()[-1]


def newest_checkpoint(training) -> Path:
    folder = training.run_dir.with_name(f"{training.run_dir.name}-checkpoints") / "_actor"
    return folder / (folder / "latest").read_text()


def steps_of(training) -> list[int]:
    return [row["step"] for row in training.rows()]


def test_faults_in_the_run(train, reward_fault):
    """A failing reward, SIGTERM, a truncated checkpoint, and gradients that are not finite."""
    flags = ("--ckpt.save_steps", "1000", "--ckpt.load_enable")
    flags += ("--reward.remote_url", Path(__file__).parent / "reward_faulty.py")
    first = train(*flags, name="a", steps=STEPS)
    first.wait_for_step(3)
    reward_fault.write_text("not a number")
    assert first.process.wait(timeout=60) == 1
    first.assert_nothing_is_left()
    assert "reward_func raised ValueError: could not convert string to float: 'not a number'" in last_line(first)
    before_fault = newest_checkpoint(first)
    assert before_fault.name == f"global_step{first.rows()[-1]['step']}"  # no finished step is lost

    reward_fault.unlink()
    second = train(*flags, name="a", steps=STEPS)
    second.wait_for_step(steps_of(first)[-1] + 2)
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(timeout=60) == 0
    second.assert_nothing_is_left()
    assert "stopped by SIGTERM" in last_line(second)
    steps = steps_of(second)
    assert steps == list(range(1, len(steps) + 1))
    newest = newest_checkpoint(second)
    assert newest.name == f"global_step{steps[-1]}"

    weights = newest / "mp_rank_00_model_states.pt"
    weights.write_bytes(weights.read_bytes()[:-1000])
    wild = ("--aer.eta", "1e300", "--aer.alpha_max", "1e300", "--aer.coef_max", "1e300")
    third = train(*flags, *wild, name="a", steps=STEPS)
    assert third.process.wait(timeout=400) == 1
    third.assert_nothing_is_left()
    assert f"going on from {before_fault.name}" in third.output()
    assert "--aer.eta is 1e+300, was 0.1" in third.output()
    assert "--aer.method aer: the gradients of 2 update(s) are not finite" in last_line(third)
    assert newest_checkpoint(third) == before_fault
    steps = steps_of(third)
    assert steps == list(range(1, len(steps) + 1))


def test_an_engine_without_memory(train):
    """A vLLM engine that fails in its constructor, while policy rank 0 waits for it."""
    run = train(name="c", steps=STEPS, VLLM_CPU_KVCACHE_SPACE="100000")
    run.wait_until(lambda: "EngineCore failed to start" in run.output())
    began = time.monotonic()
    assert run.process.wait(timeout=60) == 1
    run.assert_nothing_is_left()
    print(f"an engine that cannot start: {time.monotonic() - began:.1f} s")
    line = last_line(run)
    assert re.match(r"aer-train: error: a vLLM engine \(process \d+, node \S+\) could not start: RuntimeError: ", line)
    log = Path(re.search(r"the engine's log is (\S+)\): mend", line).group(1))
    assert "less than requested memory for kv" in log.read_text()


def test_killed_processes(train):
    """kill -9 of the driver, an engine, one rank of two, and Ray's node process."""
    flags = ("--ckpt.save_steps", "2", "--ckpt.load_enable", "--actor.num_gpus_per_node", "2")
    killed = train(*flags, name="b", steps=STEPS)  # load_enable with nothing to load yet, as a restart script has it
    killed.wait_for_step(5)
    everyone = family(killed.process.pid)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    assert not psutil.wait_procs(everyone, timeout=60)[1]
    before = {row["step"]: row for row in killed.rows()}
    checkpoint_step = int(newest_checkpoint(killed).name.removeprefix("global_step"))
    assert max(before) - checkpoint_step <= 2

    for kind in ("a vLLM engine", "a policy rank", "the Ray node process"):
        resumed = train(*flags, name="b", steps=STEPS)
        resumed.wait_for_step(steps_of(killed)[-1] + 3)
        seconds = kill(resumed.process, kind)
        print(f"{kind}: {seconds:.1f} s")
        assert seconds < 60
        assert resumed.process.returncode not in (0, None)
        assert kind in last_line(resumed), resumed.output()[-3000:]
        killed = resumed
    assert_the_controller_went_on(killed.rows(), before, checkpoint_step)


def assert_the_controller_went_on(rows, before, checkpoint_step):
    """H_0 is the first run's, alpha moved on from the checkpoint's, and no step stands twice."""
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert row["aer/entropy_initial"] == before[1]["aer/entropy_initial"]
    first_after = rows[checkpoint_step]
    error = first_after["aer/entropy_target"] - first_after["aer/entropy"]
    expected = before[checkpoint_step]["aer/alpha"] + 0.1 * error
    assert first_after["aer/alpha"] == pytest.approx(min(max(expected, 0.0), 0.5), abs=1e-9)
