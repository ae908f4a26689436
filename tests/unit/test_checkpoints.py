"""Which checkpoint is gone on from, and which flags it goes with."""

import errno
import os
import shutil
from types import SimpleNamespace

import pytest
import torch

from aer_openrlhf.integration import checkpoints
from aer_openrlhf.integration.faults import AGAIN, RunFault
from aer_openrlhf.integration.flags import add_arguments, build_method


def arguments(folder, *flags: str, temperature: float = 1.0) -> SimpleNamespace:
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    root = SimpleNamespace()
    for name, value in vars(parser.parse_args([*flags])).items():
        node, *path = root, *name.split(".")
        for part in path[:-1]:
            if not hasattr(node, part):
                setattr(node, part, SimpleNamespace())
            node = getattr(node, part)
        setattr(node, path[-1], value)
    root.ckpt = SimpleNamespace(path=str(folder), load_enable=True)
    root.rollout = SimpleNamespace(temperature=temperature)
    return root


def write(folder, step: int, args: SimpleNamespace) -> None:
    """A checkpoint as DeepSpeed and we write it, a minute after the one before."""
    target = folder / "_actor" / f"global_step{step}"
    target.mkdir(parents=True)
    state = checkpoints.state_of(build_method(args), args)
    torch.save({"module": torch.ones(1000), "global_step": step, "aer": state}, target / "mp_rank_00_model_states.pt")
    torch.save({"optimizer": torch.ones(1000)}, target / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    checkpoints.write_state(target, state)
    os.utime(target / checkpoints.STATE_FILE, (60.0 * step, 60.0 * step))
    (folder / "_actor" / "latest").write_text(f"global_step{step}")


@pytest.fixture
def three(tmp_path):
    """Checkpoints of steps 1, 2 and 3."""
    for step in (1, 2, 3):
        write(tmp_path, step, arguments(tmp_path))
    return tmp_path


def latest(folder) -> str:
    return (folder / "_actor" / "latest").read_text()


def test_whole_checkpoints_are_left_alone(three, capsys):
    checkpoints.prepare_resume(arguments(three))
    assert latest(three) == "global_step3"
    assert capsys.readouterr().out == ""


def test_a_truncated_newest_checkpoint_gives_way_to_the_one_before(three, capsys):
    broken = three / "_actor" / "global_step3" / "zero_pp_rank_0_mp_rank_00_optim_states.pt"
    broken.write_bytes(broken.read_bytes()[:-100])
    checkpoints.prepare_resume(arguments(three))
    assert latest(three) == "global_step2"
    assert (three / "damaged" / "global_step3").is_dir()
    assert not (three / "_actor" / "global_step3").exists()
    printed = capsys.readouterr().out
    assert f"{broken} is cut off at" in printed
    assert "going on from global_step2" in printed


def test_a_checkpoint_that_not_every_rank_finished_gives_way(three, capsys):
    (three / "_actor" / "global_step3" / checkpoints.STATE_FILE).unlink()
    checkpoints.prepare_resume(arguments(three))
    assert latest(three) == "global_step2"
    assert "not all ranks have finished" in capsys.readouterr().out


def write_stock(folder, step: int) -> None:
    """A checkpoint of a run without --aer.enable."""
    write(folder, step, arguments(folder))
    target = folder / "_actor" / f"global_step{step}"
    (target / checkpoints.STATE_FILE).unlink()
    torch.save({"module": torch.ones(1000), "global_step": step}, target / "mp_rank_00_model_states.pt")


def test_a_whole_checkpoint_of_a_run_without_aer_is_refused_and_stays(three):
    write_stock(three, 4)
    folder = three / "_actor"
    message = (
        f"the checkpoint {folder}/global_step4 was written without --aer.enable, the initial entropy is not in it: "
        f"leave --aer.enable out, write global_step3, which has it, into {folder}/latest, or start a new run from its "
        "Hugging Face folder without --ckpt.load_enable"
    )
    with pytest.raises(ValueError) as refused:
        checkpoints.prepare_resume(arguments(three))
    assert str(refused.value) == message
    assert latest(three) == "global_step4" and (folder / "global_step4").is_dir()
    assert not (three / "damaged").exists()


def test_stock_checkpoints_alone_are_refused(tmp_path):
    write_stock(tmp_path, 1)
    with pytest.raises(ValueError, match=r"without --aer.enable.*: leave --aer.enable out, or start a new run"):
        checkpoints.prepare_resume(arguments(tmp_path))


def test_a_cut_off_checkpoint_of_a_run_without_aer_is_damaged(three, capsys):
    write_stock(three, 4)
    model = three / "_actor" / "global_step4" / "mp_rank_00_model_states.pt"
    model.write_bytes(model.read_bytes()[:-100])
    checkpoints.prepare_resume(arguments(three))
    assert latest(three) == "global_step3"
    assert "going on from global_step3" in capsys.readouterr().out


def test_a_plan_says_what_would_happen_and_changes_nothing(three, capsys):
    broken = three / "_actor" / "global_step3"
    (broken / checkpoints.STATE_FILE).unlink()
    plan = checkpoints.plan_resume(arguments(three, "--aer.eta", "0.2"))
    assert plan == (three / "_actor" / "global_step2", broken)
    assert latest(three) == "global_step3" and broken.is_dir()
    printed = capsys.readouterr().out
    assert "going on from global_step2" in printed and "--aer.eta is 0.2, was 0.001" in printed


def test_an_empty_pointer_is_mended(three):
    (three / "_actor" / "latest").write_text("")
    checkpoints.prepare_resume(arguments(three))
    assert latest(three) == "global_step3"


def test_an_older_checkpoint_chosen_by_hand_is_respected(three):
    (three / "_actor" / "latest").write_text("global_step1")
    checkpoints.prepare_resume(arguments(three))
    assert latest(three) == "global_step1"


def test_no_readable_checkpoint_is_refused(tmp_path):
    write(tmp_path, 1, arguments(tmp_path))
    (tmp_path / "_actor" / "global_step1" / "mp_rank_00_model_states.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no checkpoint can be read \(.*model_states.pt is cut off at 0 bytes\)"):
        checkpoints.prepare_resume(arguments(tmp_path))


def test_nothing_to_resume_is_no_fault(tmp_path):
    checkpoints.prepare_resume(arguments(tmp_path))
    (tmp_path / "_actor").mkdir()
    checkpoints.prepare_resume(arguments(tmp_path))


@pytest.mark.parametrize(
    "flags",
    [
        ("--aer.eta", "0.2"),
        ("--aer.tau", "0.7"),
        ("--aer.alpha_max", "1"),
        ("--aer.rho", "1"),
        ("--aer.normalize", "mean"),
        ("--aer.target_entropy", "0.5"),
    ],
)
def test_what_acts_from_the_next_step_on_may_change_and_is_said(three, capsys, flags):
    checkpoints.prepare_resume(arguments(three, *flags))
    printed = capsys.readouterr().out
    assert f"global_step3 goes on with other settings: {flags[0]} is " in printed


def test_what_the_checkpoint_takes_the_place_of_is_said_to_have_no_effect(three, capsys):
    flags = ("--aer.alpha_init", "0.001")
    checkpoints.prepare_resume(arguments(three, *flags))
    assert "--aer.alpha_init is 0.001, was 0.0, without effect: the checkpoint's" in capsys.readouterr().out
    checkpoints.prepare_resume(arguments(three, *flags, "--aer.eta", "0"))
    assert "without effect" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--aer.method", "skywork"), "was written with aer, .*: give --aer.method aer, or start a new run"),
        (("--aer.entropy_tokens", "until_answer"), "measured with all: give --aer.entropy_tokens all, or"),
        (("--aer.anchor_steps", "3"), "measured with 1: give --aer.anchor_steps 1, or"),
    ],
)
def test_what_the_initial_entropy_was_measured_with_may_not_change(three, flags, expected):
    with pytest.raises(ValueError, match=expected):
        checkpoints.prepare_resume(arguments(three, *flags))


def test_another_temperature_is_refused_where_a_value_was_measured(three, tmp_path):
    with pytest.raises(ValueError, match=r"--rollout.temperature is 0.7: .* give --rollout.temperature 1.0, or"):
        checkpoints.prepare_resume(arguments(three, temperature=0.7))
    fixed = tmp_path / "fixed"
    write(fixed, 1, arguments(fixed, "--aer.method", "fixed"))
    checkpoints.prepare_resume(arguments(fixed, "--aer.method", "fixed", temperature=0.7))


def test_a_failed_write_names_the_disk_of_a_folder_that_could_not_be_made(tmp_path):
    folder = tmp_path / "absent" / "checkpoints"
    free = shutil.disk_usage(tmp_path).free / 2**30
    denied = PermissionError(errno.EACCES, "Permission denied", str(folder))
    with pytest.raises(RunFault) as fault, checkpoints.writing("--ckpt.path", str(folder)):
        raise denied
    line = str(fault.value)
    assert line.startswith(f"--ckpt.path {folder}: the weights could not be written ({denied}; ")
    assert float(line.split("; ")[1].split(" GiB")[0]) == pytest.approx(free, abs=1.0)
    assert line.endswith(f"make room there, or give another folder; checkpoints from before are whole. Then {AGAIN}")


def test_a_failed_write_without_a_word_is_named_by_its_class(tmp_path):
    with pytest.raises(RunFault, match=r"could not be written \(OSError; "), checkpoints.writing("--f", str(tmp_path)):
        raise OSError
    with pytest.raises(MemoryError), checkpoints.writing("--f", str(tmp_path)):
        raise MemoryError


def test_nothing_can_be_looked_at_but_the_root(monkeypatch):
    monkeypatch.setattr("os.path.exists", lambda path: str(path) == "/")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free={"/": 7}[str(path)]))
    assert checkpoints.free_space("/closed/folder") == 7
