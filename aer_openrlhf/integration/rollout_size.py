"""How many responses of a rollout are trained on: those that fill whole optimizer steps on every rank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def responses_a_unit(given: Mapping[str, Any]) -> int:
    """The responses that are trained on together or not at all. given: values by their dotted names.

    A multiple of `--train.batch_size` and of a prompt's responses; without dynamic batches of what gives every rank as
    many micro batches as the others, too.
    """
    unit = math.lcm(given["train.batch_size"], given["rollout.n_samples_per_prompt"])
    if given["train.dynamic_batch_enable"]:
        return unit
    sharding = given["ds.ring_attn_size"] * given["ds.tensor_parallel_size"]
    ranks = given["actor.num_nodes"] * given["actor.num_gpus_per_node"] // sharding
    return math.lcm(unit, given["rollout.micro_batch_size"] * ranks) if ranks > 1 else unit


def full_rollout(given: Mapping[str, Any]) -> int:
    """Responses of a rollout that the data fill."""
    return given["rollout.batch_size"] * given["rollout.n_samples_per_prompt"]


def trained_responses(given: Mapping[str, Any], responses: int) -> int:
    """How many of a rollout's responses are trained on: all of a full one, of a smaller one whole units.

    OpenRLHF 0.11.2 trains on what an episode leaves, however little (trainer/ppo_utils/samples_generator.py). Ranks
    that get fewer micro batches than the others then leave the reductions early, and the run hangs; gradients that do
    not fill an optimizer step stay and go into the next rollout's.
    """
    return responses if responses >= full_rollout(given) else responses - responses % responses_a_unit(given)


def refuse_uneven(given: Mapping[str, Any]) -> None:
    """Raise ValueError, with the mend, where a full rollout is not whole units. Dynamic batches drop the rest."""
    unit, responses = responses_a_unit(given), full_rollout(given)
    if given["train.dynamic_batch_enable"] or responses % unit == 0:
        return
    prompts = unit // given["rollout.n_samples_per_prompt"]
    raise ValueError(
        f"--rollout.batch_size {given['rollout.batch_size']} makes {responses} responses a rollout, which optimizer "
        f"steps and ranks share evenly in multiples of {unit} (--train.batch_size, --rollout.micro_batch_size times "
        f"ranks): give --rollout.batch_size {math.ceil(given['rollout.batch_size'] / prompts) * prompts}, or "
        "--train.dynamic_batch_enable"
    )


def refuse_too_few(given: Mapping[str, Any], prompts: int) -> None:
    """Raise ValueError, with the mend, where all prompts of a dataset fill no optimizer step."""
    responses = prompts * given["rollout.n_samples_per_prompt"]
    if trained_responses(given, responses) == 0:
        raise ValueError(
            f"--data.prompt_dataset: {prompts} prompts make {responses} responses, and optimizer steps take "
            f"{responses_a_unit(given)} or a multiple: give more prompts, or a smaller --train.batch_size"
        )
