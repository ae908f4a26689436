"""Kill, resume, interrupt: what survives, and that nothing is left running."""

import json
import os
import signal

import pandas
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.e2e.conftest import RUN_TIMEOUT


def test_kill_and_resume_continue_the_controller(train):
    """kill -9 of the driver; the resumed run takes over the checkpoint's controller and never anchors again."""
    flags = ("--ckpt.save_steps", "2", "--ckpt.load_enable")
    killed = train(*flags, steps=40)  # load_enable with nothing to load yet, as a restart script has it
    killed.wait_for_step(5)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    killed.assert_nothing_is_left()
    before = {row["step"]: row for row in killed.rows()}
    latest = killed.run_dir.with_name("run-checkpoints") / "_actor" / "latest"  # DeepSpeed's pointer
    checkpoint_step = int(latest.read_text().removeprefix("global_step"))

    resumed = train(*flags, steps=40)
    resumed.wait_for_step(max(before) + 3)
    resumed.process.send_signal(signal.SIGINT)
    resumed.process.wait(timeout=60)
    resumed.assert_nothing_is_left()
    steps = [row["step"] for row in resumed.rows()]
    assert steps == list(range(1, len(steps) + 1))  # the steps after the checkpoint were moved aside, then redone
    assert checkpoint_step % 2 == 0
    assert checkpoint_step <= max(before)
    after = resumed.rows()[checkpoint_step:]
    for row in after:
        assert row["aer/entropy_initial"] == before[1]["aer/entropy_initial"]
    expected = before[checkpoint_step]["aer/alpha"] + 0.1 * (after[0]["aer/entropy_target"] - after[0]["aer/entropy"])
    assert after[0]["aer/alpha"] == pytest.approx(min(max(expected, 0.0), 0.5), abs=1e-9)


def test_an_empty_checkpoint_folder_and_a_sidecar_without_deepspeed_checkpoints(train, tmp_path):
    """OpenRLHF alone dies on an empty `_actor` folder with KeyError: 'episode'. A guard stops the first run."""
    (tmp_path / "first-checkpoints" / "_actor").mkdir(parents=True)
    flags = ("--ckpt.load_enable", "--ckpt.disable_ds", "--ckpt.save_hf", "--ckpt.save_steps", "30")
    flags += ("--logger.tensorboard_dir", str(tmp_path / "tensorboard"))
    guard = ("--aer.stop_on", "all_wrong", "--aer.guard.all_wrong", "0.01", "--aer.guard.patience", "2")
    first = train(*flags, *guard, name="first", steps=40)
    assert first.process.wait(timeout=RUN_TIMEOUT) == 3, first.output()[-6000:]
    first.assert_nothing_is_left()
    *_, stopped = [json.loads(line) for line in (first.run_dir / "warnings.jsonl").read_text().splitlines()]
    last = first.rows()[-1]
    assert (stopped["guard"], stopped["stopped"], stopped["step"]) == ("all_wrong", True, last["step"])
    assert f"aer-train: stopped at step {last['step']} by the guard all_wrong: in " in first.output()
    assert last["aer/warnings"] == 1.0
    events = EventAccumulator(str(next((tmp_path / "tensorboard").iterdir()))).Reload()
    assert {"warnings/all_wrong/text_summary", "custom_scalars__config__"} <= set(events.Tags()["tensors"])
    prompts = pandas.read_parquet(first.run_dir / "samples" / "step_000001.parquet").groupby("prompt_index")
    assert prompts.size().tolist() == [8] * 4
    assert (prompts["score"].mean() == prompts["group_accuracy"].first()).all()
    folder = tmp_path / "first-checkpoints" / f"global_step{last['step']}_hf"
    state = json.loads((folder / "aer_state.json").read_text())
    assert state["alpha"] == last["aer/alpha"]

    second = train(*flags, "--actor.model_name_or_path", str(folder), name="second", steps=1).finish()
    (row,) = second.rows()
    assert row["aer/entropy_initial"] == first.rows()[0]["aer/entropy_initial"]
