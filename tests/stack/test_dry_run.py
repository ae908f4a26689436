"""`aer-train --dry-run` through the real parser: it describes, refuses, and starts nothing."""

import sys
from pathlib import Path
from unittest import mock

import pytest

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
def arguments(model_dir, tmp_path):
    data = tmp_path / "prompts.jsonl"
    data.write_text('{"prompt": "123 006=", "label": "6"}\n' * 30)
    keys = ["--data.input_key", "prompt", "--data.label_key", "label", "--data.max_len", "32"]
    paths = ["--ckpt.path", str(tmp_path / "checkpoints"), "--reward.remote_url", str(math_reward.__file__)]
    return [*base_arguments(str(model_dir), str(data)), *keys, *paths, "--rollout.max_new_tokens", "8"]


def test_it_describes_the_run(arguments, tmp_path, capsys):
    dry_run(*arguments)
    printed = capsys.readouterr().out
    # 30 rows / 6 prompts a rollout; 6 * 4 / 8 = 3 optimizer steps each
    assert "5 rollouts of 6 prompts, 15 optimizer steps" in printed
    # embedding 32 * 64; a layer 4 * 64 * 64 + 3 * 64 (biases) + 3 * 64 * 128 + 2 * 64; twice; the last norm 64
    assert "0.1 M weights on 1 rank(s), ZeRO-2" in printed
    assert "8 tokens: '123 006='" in printed
    assert "1 for the first label in a box, 0 for an empty response" in printed
    assert not (tmp_path / "checkpoints").exists() and not Path("ckpt").exists()


def test_what_cannot_be_loaded_is_one_line(arguments, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SystemExit, match=r"aer-train: error: --actor\.model_name_or_path .* cannot be loaded"):
        dry_run(*arguments, "--actor.model_name_or_path", empty)
