"""One policy rank without Ray: OpenRLHF's real PolicyModelActor, DeepSpeed engine and ppo_train on fixed experiences.

Its words, given by rank_server.py: OUTPUT RANK WORLD_SIZE PORT MODEL VARIANT [OpenRLHF flags]

VARIANT: `stock` trains OpenRLHF's own class, `aer:C` ours with the coefficient C on every response, `aer:mixed` ours
with a different one each, `method` ours with the plan of the method that the flags choose, `load` only loads the
weights, `aer:full_disk` only writes checkpoints. Saves {"params", "status", "entropy"} or what the variant gives.
"""

import contextlib
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

NUM_SAMPLES, PROMPT_TOKENS, VOCABULARY = 24, 4, 32


def make_experiences(old_log_probs):
    """24 responses of 1 to 6 tokens in three micro-batches of 8, with made-up advantages.

    old_log_probs: (sequences, action_mask, attention_mask) -> (B, A).
    """
    from openrlhf.trainer.ppo_utils.experience import Experience

    generator = torch.Generator().manual_seed(0)
    experiences = []
    for start in range(0, NUM_SAMPLES, 8):
        lengths = torch.randint(1, 7, (8,), generator=generator)
        width = PROMPT_TOKENS + int(lengths.max())
        sequences = torch.randint(3, VOCABULARY, (8, width), generator=generator)
        attention = (torch.arange(width) < PROMPT_TOKENS + lengths.unsqueeze(-1)).long()
        sequences = sequences * attention
        action_mask = attention[:, 1:].clone()
        action_mask[:, : PROMPT_TOKENS - 1] = 0
        advantages = torch.randn(8, 1, generator=generator) * action_mask
        experiences.append(
            Experience(
                sequences=sequences,
                attention_mask=attention,
                action_mask=action_mask,
                action_log_probs=old_log_probs(sequences, action_mask, attention),
                advantages=advantages,
                total_length=attention.sum(-1).float(),
                index=list(range(start, start + 8)),
                info={"reward": torch.zeros(8), "sample": torch.arange(start, start + 8)},
            )
        )
    return experiences


def coefficients_of(variant: str) -> torch.Tensor:
    if variant == "aer:mixed":
        return torch.linspace(0, 0.5, NUM_SAMPLES) * (torch.arange(NUM_SAMPLES) % 3 > 0)
    return torch.full((NUM_SAMPLES,), float(variant.removeprefix("aer:")))


def send_plan(args, experiences, entropy):
    """The method's real plan for these experiences: six prompts of four responses, half of them right.

    It is the plan of the second step: the first has the same batch with three times the entropy, as after a collapse.
    """
    from dataclasses import replace

    from aer_openrlhf.integration.experience_maker import EntropyExperienceMaker
    from aer_openrlhf.integration.flags import build_method

    maker = EntropyExperienceMaker.__new__(EntropyExperienceMaker)
    maker.args, maker.method = args, build_method(args)
    maker._pop_rollout_entropy = lambda num_experiences: entropy  # without Ray there is one rank to ask, this one
    batch, order = maker._rollout_batch(experiences, (torch.arange(NUM_SAMPLES) % 2).float())
    own = None if batch.method_entropy is None else 3 * batch.method_entropy
    maker.method.begin_step(replace(batch, entropy=3 * batch.entropy, method_entropy=own))
    maker._send(maker.method.begin_step(batch), experiences, order)


def mismatched_weights(model, folder: str) -> list[str]:
    """Names of weights that differ from the file's, gathered from all ranks."""
    import deepspeed
    from safetensors.torch import load_file

    expected = load_file(os.path.join(folder, "model.safetensors"))
    wrong = []
    for name, parameter in model.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter]):
            if not torch.equal(parameter.data, expected[name]):
                wrong.append(name)
    return wrong


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """100 kB are left in the folder: of its disk, where it is a mounted one, else of what a file may hold."""
    if folder.is_mount():
        rest = folder / "rest"
        rest.write_bytes(bytes(shutil.disk_usage(folder).free - 100_000))
        yield
        rest.unlink()
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def checkpoint_on_a_full_disk(actor) -> dict:
    """Two checkpoints, the second beyond what the disk takes."""
    from aer_openrlhf.integration.faults import RunFault

    folder = Path(actor.strategy.args.ckpt.path)
    actor.save_checkpoint("global_step1", {"global_step": 1})
    with full_disk(folder):
        try:
            actor.save_checkpoint("global_step2", {"global_step": 2})
        except RunFault as fault:
            message = str(fault)
    path, states = actor.strategy.load_ckpt(actor.actor.model, str(folder / "_actor"))
    return {"message": message, "loaded": path, "states": states}


def main(words: list[str]) -> None:
    output, rank, world_size, port, model, variant, *argv = words
    from tests.stack.openrlhf_args import base_arguments, parse

    args = parse(*base_arguments(model), "--actor.num_gpus_per_node", world_size, *argv)

    from openrlhf.trainer.ray import ppo_actor
    from openrlhf.utils import get_strategy

    from aer_openrlhf.integration.compat import raw_class
    from aer_openrlhf.integration.faults import RunFault
    from aer_openrlhf.integration.policy_actor import COEFFICIENT_KEY, COUNTED_KEY, PolicyModelActorImpl

    torch.set_num_threads(1)
    ours = variant.startswith(("aer", "method"))
    cls = PolicyModelActorImpl if ours else raw_class(ppo_actor.PolicyModelActor)
    actor = cls(int(world_size), int(rank), "127.0.0.1", int(port))
    actor.init_model_from_pretrained(get_strategy(args), model, 100, None)
    engine = actor.actor.model
    if variant == "load":
        torch.save({"mismatched": mismatched_weights(engine.module, model)}, output)
        return
    if variant == "aer:full_disk":
        torch.save(checkpoint_on_a_full_disk(actor), output)
        return

    experiences = make_experiences(lambda *tensors: actor.forward(tensors[0], tensors[1], tensors[2]))
    entropy = actor.pop_rollout_entropy() if ours else []
    if variant == "method":
        send_plan(args, experiences, entropy)
    elif ours:
        coefficients = coefficients_of(variant)
        for experience in experiences:
            samples = experience.info["sample"]
            experience.info[COEFFICIENT_KEY] = coefficients[samples]
            experience.info[COUNTED_KEY] = experience.action_mask.sum(-1)
    samples_per_rank = NUM_SAMPLES // int(world_size)
    for experience in experiences:  # a rank trains on its contiguous share of the samples
        keep = (experience.info["sample"] // samples_per_rank == int(rank)).nonzero().flatten()
        if len(keep):
            actor.append(select(experience, keep))
    try:
        status = actor.fit(kl_ctl=0.0)
    except RunFault as fault:
        torch.save({"fault": str(fault)}, output)
        return

    from deepspeed.utils import safe_get_full_fp32_param

    params = {name: safe_get_full_fp32_param(p).clone() for name, p in engine.module.named_parameters()}
    torch.save({"params": params, "status": status, "entropy": entropy}, output)


def select(experience, rows):
    """The rows of an experience, as a smaller one."""
    from dataclasses import fields, replace

    changed = {}
    for entry in fields(experience):
        value = getattr(experience, entry.name)
        if isinstance(value, torch.Tensor):
            changed[entry.name] = value[rows]
    changed["info"] = {key: value[rows] for key, value in experience.info.items()}
    changed["index"] = [experience.index[row] for row in rows.tolist()]
    return replace(experience, **changed)
