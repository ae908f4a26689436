"""Starting from an empty checkpoint folder, and from Hugging Face weights with their state beside them."""

import json

import pandas
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.e2e.conftest import RUN_TIMEOUT


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
