"""OpenRLHF's own nested arguments for a command line, through the real `aer-train` up to `train(args)`."""

import sys
from types import SimpleNamespace
from unittest import mock

from aer_openrlhf.cli import train_ppo_ray
from aer_openrlhf.platforms import current_platform


def parse(*argv: str) -> SimpleNamespace:
    captured: list[SimpleNamespace] = []
    with (
        mock.patch.object(train_ppo_ray, "_train_with_aer", lambda stock: captured.append),
        mock.patch.object(sys, "argv", ["aer-train", *argv]),
    ):
        train_ppo_ray.main()
    (args,) = captured
    current_platform().configure(args)
    return args


def base_arguments(model: str, data: str = "hub/none") -> list[str]:
    """A valid group_norm command line on one rank."""
    flags = {
        "--actor.model_name_or_path": model,
        "--data.prompt_dataset": data,
        "--reward.remote_url": "http://127.0.0.1:9",
        "--actor.num_gpus_per_node": "1",
        "--vllm.num_engines": "1",
        "--algo.advantage.estimator": "group_norm",
        "--algo.kl.init_coef": "0",
        "--rollout.n_samples_per_prompt": "4",
        "--rollout.batch_size": "6",
        "--rollout.micro_batch_size": "8",
        "--train.batch_size": "8",
        "--train.micro_batch_size": "4",
        "--actor.adam.lr": "1e-2",
        "--actor.lr_scheduler": "constant",
        "--actor.lr_warmup_ratio": "0",
        "--aer.fused_head": "off",  # what equals stock bit for bit, does so with the stock head
    }
    return [part for flag in flags.items() for part in flag]
