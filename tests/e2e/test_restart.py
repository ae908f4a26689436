"""Starting from an empty checkpoint folder, and from Hugging Face weights with their state beside them."""

import json


def test_an_empty_checkpoint_folder_and_a_sidecar_without_deepspeed_checkpoints(train, tmp_path):
    """OpenRLHF alone dies on an empty `_actor` folder with KeyError: 'episode'."""
    (tmp_path / "first-checkpoints" / "_actor").mkdir(parents=True)
    flags = ("--ckpt.load_enable", "--ckpt.disable_ds", "--ckpt.save_hf", "--ckpt.save_steps", "3")
    first = train(*flags, name="first", steps=3).finish()
    folder = tmp_path / "first-checkpoints" / "global_step3_hf"
    state = json.loads((folder / "aer_state.json").read_text())
    assert state["alpha"] == first.rows()[-1]["aer/alpha"]

    second = train(*flags, "--actor.model_name_or_path", str(folder), name="second", steps=1).finish()
    (row,) = second.rows()
    assert row["aer/entropy_initial"] == first.rows()[0]["aer/entropy_initial"]
