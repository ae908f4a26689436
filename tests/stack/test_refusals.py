"""Bad command lines end in one line that names the flag and the mend, before any process starts."""

import sys
from unittest import mock

import pytest

from aer_openrlhf.cli import train_ppo_ray
from tests.stack.openrlhf_args import base_arguments, parse


def refusal(capsys, *argv) -> str:
    """The one line that a bad command line prints after the usage."""
    with (
        mock.patch.object(sys, "argv", ["aer-train", *map(str, argv)]),
        mock.patch("ray.init", side_effect=AssertionError("started Ray")),
        pytest.raises(SystemExit) as stop,
    ):
        train_ppo_ray.main()
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--actor.entropy_coef", "0.001"], "leave --actor.entropy_coef out"),
        (["--actor.entropy_coef", "0"], "leave --actor.entropy_coef out"),
        (["--rollout.n_samples_per_prompt", "1"], "give --rollout.n_samples_per_prompt 8"),
        (["--algo.advantage.estimator", "gae"], "estimator gae has none: give one of group_norm"),
        (["--algo.advantage.estimator", "reinforce"], "estimator reinforce has none"),
        (["--algo.advantage.estimator", "flash_reinforce"], "estimator flash_reinforce has none"),
        (["--aer.rho", "0"], "--aer.rho is 0.0: give an accuracy in (0, 1]"),
        (["--aer.rho", "1.01"], "--aer.rho is 1.01"),
        (["--aer.tau", "1"], "--aer.tau is 1.0: give a fraction of the initial entropy in (0, 1)"),
        (["--aer.alpha_init", "0.5"], "--aer.alpha_init is 0.5: give <= alpha_max (0.01)"),
        (["--aer.difficulty", "cubic"], "invalid choice: 'cubic'"),
        (["--aer.eta", "fast"], "argument --aer.eta: invalid float value: 'fast'"),
        (["--aer.rhoo", "0.5"], "unrecognized arguments: --aer.rhoo"),
        (["--aer.method", "sac"], "invalid choice: 'sac'"),
        (
            ["--aer.method", "skywork", "--aer.tau", "0.7"],
            "--aer.tau belongs to --aer.method aer, the method is skywork",
        ),
        (["--aer.fixed.coef", "0.1"], "--aer.fixed.coef belongs to --aer.method fixed, the method is aer"),
        (["--aer.method", "skywork", "--aer.skywork.coef_init", "1"], "--aer.skywork.coef_init is 1.0: give a number"),
        (["--aer.method", "kl_cov", "--actor.policy_loss_type", "gspo"], "give --actor.policy_loss_type ppo"),
        (["--aer.method", "kl_cov", "--train.batch_size", "24"], "give --train.batch_size 12 or less"),
        (["--aer.stop_on", "entropy_low,chaos"], "--aer.stop_on: there is no guard 'chaos': give one of entropy_high"),
        (["--aer.stop_on", "all_wrong", "--ckpt.disable_ds"], "leave that out, or give --ckpt.save_hf"),
        (
            ["--aer.reward_timeout", "inf"],
            "--aer.reward_timeout is inf: give seconds above 0 and up to 1e+08, such as 600",
        ),
        (["--aer.fused_head_mb", "inf"], "--aer.fused_head_mb is inf: give MiB above 0, such as 256"),
        (
            ["--rollout.batch_size", "5"],
            "multiples of 8 (--train.batch_size, --rollout.micro_batch_size times ranks): ",
        ),
        (["--rollout.batch_size", "5"], "give --rollout.batch_size 6, or --train.dynamic_batch_enable"),
        (["--aer.sample_tables", "-1"], "--aer.sample_tables is -1: give 0 or a number of steps"),
        (["--aer.guard.patience", "0"], "--aer.guard.patience is 0: give a whole number from 1"),
        (["--aer.normalize", "mean", "--aer.alpha_max", "3"], "--aer.alpha_max is 3.0: give at most coef_max (2.0)"),
        (["--reward.remote_url", ""], "give --reward.remote_url (docs/rewards.md) or --train.agent_func_path"),
        (["--vllm.num_engines", "0"], "give --vllm.num_engines 1 or more"),
        (["--actor.model_name_or_path", "/no/such/model"], "--actor.model_name_or_path /no/such/model"),
        (["--data.prompt_dataset", "missing.jsonl"], "--data.prompt_dataset missing.jsonl: there is no such file"),
        (["--reward.remote_url", "missing.py"], "--reward.remote_url missing.py: there is no such file"),
        (["--train.agent_func_path", "missing.py"], "--train.agent_func_path missing.py: there is no such file"),
        (["--train.enable_ema"], "--train.enable_ema needs a CUDA device: leave --train.enable_ema out"),
        (["--train.partial_rollout_enable"], "--train.partial_rollout_enable requires --train.async_enable"),
    ],
)
def test_refused_with_the_mend(capsys, model_dir, flags, expected):
    line = refusal(capsys, *base_arguments(str(model_dir)), "--aer.enable", *flags)
    assert expected in line
    assert line.startswith("aer-train: error: ")


def test_a_run_folder_that_cannot_be_made_is_refused(capsys, model_dir, tmp_path):
    taken = tmp_path / "a_file"
    taken.write_text("")
    line = refusal(capsys, *base_arguments(str(model_dir)), "--aer.enable", "--aer.run_dir", taken / "run")
    assert line.startswith(f"aer-train: error: --aer.run_dir {taken}/run: cannot be written (")
    assert line.endswith("): give another folder")


def test_what_aer_refuses_is_openrlhfs_business_while_aer_is_off(model_dir, capsys):
    args = parse(*base_arguments(str(model_dir)), "--actor.entropy_coef", "0.001", "--aer.rho", "9")
    assert args.actor.entropy_coef == 0.001
    assert args.aer.enable is False
    # --aer.fused_head off is one of the base arguments
    line = "[aer-train] without --aer.enable these have no effect: --aer.fused_head, --aer.rho\n"
    assert line in capsys.readouterr().out


def test_every_flag_is_in_the_help_beside_openrlhfs(capsys):
    with mock.patch.object(sys, "argv", ["aer-train", "--help"]), pytest.raises(SystemExit) as stop:
        train_ppo_ray.main()
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in ("enable", "rho", "tau", "eta", "alpha_init", "alpha_max", "coef_max", "difficulty", "normalize"):
        assert f"--aer.{name}" in shown
    for name in ("update", "entropy_tokens", "anchor_steps", "target_entropy", "run_dir"):
        assert f"--aer.{name}" in shown
    assert "--actor.entropy_coef" in shown
    assert "target entropy as a fraction of the initial entropy H_0 [fraction in (0, 1), default 0.4]" in shown
    assert "removes all-wrong and all-right groups before AER sees them" in shown
