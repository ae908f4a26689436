"""`aer-train --dry-run` through the real parser: it describes, refuses, and starts nothing."""

import json
import re
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from aer_openrlhf.cli import train_ppo_ray
from aer_openrlhf.rewards import math as math_reward
from tests.stack.openrlhf_args import base_arguments


def dry_run(*argv) -> None:
    with (
        mock.patch.object(sys, "argv", ["aer-train", *map(str, argv), "--aer.enable", "--dry-run"]),
        mock.patch("ray.init", side_effect=AssertionError("started Ray")),
    ):
        train_ppo_ray.main()


@pytest.fixture
def refused(capsys):
    """Asserts that a command line ends in one line that matches."""

    def check(line: str, *argv) -> None:
        with pytest.raises(SystemExit) as end:
            dry_run(*argv)
        assert end.value.code == 2
        assert re.match(f"aer-train: error: {line}", capsys.readouterr().err.splitlines()[-1])

    return check


@pytest.fixture
def arguments(model_dir, tmp_path):
    data = tmp_path / "prompts.jsonl"
    data.write_text('{"prompt": "123 006=", "label": "6"}\n{"prompt": "123 007=", "label": "7"}\n' * 16)
    keys = ["--data.input_key", "prompt", "--data.label_key", "label", "--data.max_len", "32"]
    paths = ["--ckpt.path", str(tmp_path / "checkpoints"), "--reward.remote_url", str(math_reward.__file__)]
    return [*base_arguments(str(model_dir), str(data)), *keys, *paths, "--rollout.max_new_tokens", "8"]


def test_it_describes_the_run(arguments, tmp_path, capsys):
    dry_run(*arguments, "--ckpt.save_steps", "2", "--ckpt.save_hf", "--ckpt.load_enable")
    printed = capsys.readouterr().out
    # 32 rows are 5 rollouts of 6 prompts and one of 2; 6 * 4 / 8 = 3 optimizer steps each, 2 * 4 / 8 = 1
    assert "6 rollouts of 6 prompts x 4 responses, 16 optimizer steps" in printed
    assert "method       aer: rho 0.5, tau 0.4" in printed
    assert "8 tokens, label '6': '123 006='" in printed
    assert "the longest of the first 32 has 8 tokens, 24 fit" in printed
    assert "1 for its label in a box, 0 for its label alone, 0 for no answer, 0 for another row's label" in printed
    assert "GPUs         2 (policy 1, vLLM 1); this machine has 0" in printed
    assert "cache of 0.5 KiB a token" in printed  # 2 * 2 layers * 64 * 2 bytes
    assert "resume       nothing there yet" in printed
    assert "3 of 0.00 GiB to resume from, 3 of 0.00 GiB in Hugging Face form" in printed
    assert not (tmp_path / "checkpoints").exists() and not Path("ckpt").exists()


def test_what_fills_no_optimizer_step_is_left_out(arguments, refused, capsys):
    # 32 rows are 6 rollouts of 5 prompts x 8 and one of 2 x 8, which is less than a step of 20
    sizes = ["--rollout.n_samples_per_prompt", "8", "--train.batch_size", "20", "--rollout.batch_size", "5"]
    dry_run(*arguments, *sizes)
    assert "6 rollouts of 5 prompts x 8 responses, 12 optimizer steps" in capsys.readouterr().out
    few = (
        r"--data\.prompt_dataset: 32 prompts make 128 responses, and optimizer steps take 200 or a multiple: give more"
    )
    refused(few, *arguments, "--rollout.batch_size", "50", "--train.batch_size", "200")


def test_it_names_the_checkpoint_and_the_prompts_that_do_not_fit(arguments, tmp_path, capsys):
    latest = tmp_path / "checkpoints/_actor/latest"
    latest.parent.mkdir(parents=True)
    latest.write_text("global_step4")
    dry_run(*arguments, "--ckpt.load_enable", "--rollout.max_new_tokens", "27")
    printed = capsys.readouterr().out
    assert "resume       from global_step4" in printed
    assert "32 lose their beginning: raise --data.max_len by 3" in printed  # 8 + 27 - 32


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoints/_actor/global_step4"
    folder.mkdir(parents=True)
    torch.save({"module": torch.ones(8), "aer": {"alpha": 0.0}}, folder / "mp_rank_00_model_states.pt")
    (folder.parent / "latest").write_text("global_step4")
    state = {"method": "aer", "settings": {}, "temperature": 1.0}
    (folder / "aer_state.json").write_text(json.dumps(state))
    return folder


def test_it_names_the_checkpoint_before_a_damaged_one(arguments, checkpoint, capsys):
    (checkpoint.parent / "latest").write_text("global_step6")  # begun, never finished
    dry_run(*arguments, "--ckpt.load_enable")
    assert "resume       from global_step4" in capsys.readouterr().out


def test_it_refuses_what_the_resume_would_refuse(arguments, checkpoint, refused):
    line = r"--aer\.method skywork: .*: give --aer\.method aer, or"
    refused(line, *arguments, "--ckpt.load_enable", "--aer.method", "skywork")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--rollout.max_new_tokens", "32"], r"--rollout\.max_new_tokens 32 leaves no room for a prompt"),
        (["--data.prompt_dataset", "PROMPTS@x,missing/hub"], r"--data\.prompt_dataset .* cannot be loaded"),
        (["--reward.remote_url", "REWARD"], r"--reward\.remote_url .*: ZeroDivisionError: division by zero"),
        (
            ["--ckpt.save_steps", "1", "--ckpt.max_num", "6"],
            r"--ckpt\.path .* GiB of checkpoints do not fit into 0\.00 GiB: .* smaller --ckpt\.max_num",
        ),
    ],
)
def test_what_would_fail_later_is_one_line_now(arguments, flags, line, tmp_path, monkeypatch, refused):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    reward = tmp_path / "reward.py"
    reward.write_text("def reward_func(queries, prompts, labels):\n    return 1 / 0\n")
    flags = [flag.replace("PROMPTS", str(tmp_path / "prompts.jsonl")).replace("REWARD", str(reward)) for flag in flags]
    with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=1024)):
        refused(line, *arguments, *flags)


def test_what_cannot_be_loaded_is_one_line(arguments, tmp_path, refused):
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(r"--actor\.model_name_or_path .* cannot be loaded", *arguments, "--actor.model_name_or_path", empty)
