"""Faults of a real policy rank: an update that is not finite, and a checkpoint on a full disk."""

import shutil
import subprocess

import pytest


@pytest.mark.parametrize(
    ("stage", "expected"),
    [("2", "the gradients of 3 update(s) are not finite"), ("3", "the policy loss is nan")],
)
def test_an_update_that_is_not_finite_raises(run_ranks, model_dir, stage, expected):
    """DeepSpeed leaves the update out without a word under ZeRO-2, and carries it out under ZeRO-3."""
    (broken,) = run_ranks(1, model_dir, "aer:inf", "--ds.zero_stage", stage)
    assert broken == {"fault": expected}


def test_one_broken_update_of_zero3_is_seen_in_the_weights(run_ranks, model_dir):
    """All responses in one update: its loss is finite, and no later one is there to show the damage."""
    flags = ("--ds.zero_stage", "3", "--train.batch_size", "24", "--train.micro_batch_size", "24")
    (broken,) = run_ranks(1, model_dir, "aer:inf", *flags)
    assert broken["fault"].startswith("the gradients are not finite, and neither is model.")


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a tmpfs of its own; an ordinary one where we may not mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
    mounted = shutil.which("mount") is not None and subprocess.run(mount).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_checkpoint_before_and_names_the_folder(run_ranks, model_dir, small_disk):
    (result,) = run_ranks(1, model_dir, "aer:full_disk", "--ckpt.path", small_disk)
    assert result["message"].startswith(f"--ckpt.path {small_disk}: the weights could not be written (")
    if small_disk.is_mount():
        assert "0.0 GiB free): make room there" in result["message"]
    assert result["loaded"].endswith("_actor/global_step1/mp_rank_00_model_states.pt")
    assert result["states"]["global_step"] == 1
