"""`aer-train --dry-run`: what a run would be, from its resolved arguments, without starting Ray.

Prompts come out of OpenRLHF's own data pipeline; the model is built without weights, from its configuration.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..integration import checkpoints, flags
from ..integration.rollout_size import refuse_too_few, trained_responses
from . import memory
from .memory import ModelShape

GIB = 2**30
SHOWN_PROMPTS = 2
MEASURED_PROMPTS = 1000


def describe(args: SimpleNamespace) -> list[str]:
    """The lines that a dry run prints. Raises ValueError, naming the flag and the mend, for what cannot be loaded."""
    tokenizer, model = _load_model(args)
    weights = sum(weight.numel() for weight in model.parameters())
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    shape = ModelShape.of(model.config, weights, trained)
    data = _load_data(args, tokenizer)
    rollouts, steps = _steps(args, len(data))
    return [
        _method(args),
        steps,
        *_prompts(args, data, tokenizer),
        _reward(args, data, tokenizer.eos_token or ""),
        *_machines(args, shape, _has_fused_head(args, model)),
        *_checkpoints(args, shape, rollouts),
    ]


def _method(args: SimpleNamespace) -> str:
    if not args.aer.enable:
        return "method       none (OpenRLHF as it is)"
    settings = asdict(flags.build_method(args).config)
    return f"method       {args.aer.method}: " + ", ".join(f"{name} {value}" for name, value in settings.items())


def _load_model(args: SimpleNamespace) -> tuple[Any, Any]:
    """Tokenizer, as OpenRLHF makes it, and the policy without its weights, on torch's meta device."""
    import torch
    from openrlhf.utils.utils import get_tokenizer
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    name = args.actor.model_name_or_path
    try:
        tokenizer = get_tokenizer(name, None, use_fast=not args.data.disable_fast_tokenizer)
        config = AutoConfig.from_pretrained(name, trust_remote_code=True)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=True)
    except (OSError, ValueError) as problem:
        raise ValueError(
            f"--actor.model_name_or_path {name}: cannot be loaded ({_line(problem)}): give another"
        ) from None
    if args.ds.lora.rank > 0:
        model = get_peft_model(model, LoraConfig(r=args.ds.lora.rank, target_modules=args.ds.lora.target_modules))
    return tokenizer, model


def _has_fused_head(args: SimpleNamespace, model: Any) -> bool:
    if not args.aer.enable or args.aer.fused_head == "off":
        return False
    from ..integration.fused_head import reason_against

    actor = SimpleNamespace(model=SimpleNamespace(module=model))
    return reason_against(actor, args, flags.build_method(args)) is None


def _load_data(args: SimpleNamespace, tokenizer: Any) -> Any:
    """OpenRLHF's PromptDataset, chat template and input template applied."""
    from datasets.utils.logging import disable_progress_bar
    from openrlhf.trainer.ppo_trainer import prepare_datasets

    if args.data.apply_chat_template and not tokenizer.chat_template:
        raise ValueError(
            "--data.apply_chat_template: the tokenizer has no chat template; leave it out for a base model"
        )
    disable_progress_bar()
    strategy = SimpleNamespace(
        args=args,
        print=lambda *words: None,
        is_rank_0=lambda: False,
        setup_dataloader=lambda dataset, *rest, **options: dataset,
    )
    try:
        prompts, _, _ = prepare_datasets(strategy, tokenizer)
    except Exception as problem:  # whatever `datasets` and a chat template's own code may raise
        names = f"--data.prompt_dataset {args.data.prompt_dataset}" + (
            " or --eval.dataset" if args.eval.dataset else ""
        )
        raise ValueError(f"{names}: cannot be loaded ({type(problem).__name__}: {_line(problem)})") from None
    return prompts


def _steps(args: SimpleNamespace, prompts: int) -> tuple[int, str]:
    """Number of rollouts, and a line; the last rollout of an episode takes what the prompts that are left fill."""
    full, rest = divmod(prompts, args.rollout.batch_size)
    samples, batch = args.rollout.n_samples_per_prompt, args.train.batch_size
    last = rest * samples
    if args.aer.enable:
        given = flags.by_dotted_name(args)
        refuse_too_few(given, prompts)
        last = trained_responses(given, last)
    updates = full * (args.rollout.batch_size * samples // batch) + last // batch
    rollouts = (full + (last > 0)) * args.train.num_episodes
    updates *= args.train.num_episodes * args.train.max_epochs
    bound = "at most " if args.algo.dynamic_filtering_enable else ""
    return rollouts, (
        f"steps        {prompts} prompts, {args.train.num_episodes} times: {bound}{rollouts} rollouts of "
        f"{args.rollout.batch_size} prompts x {samples} responses, {updates} optimizer steps"
    )


def _prompts(args: SimpleNamespace, data: Any, tokenizer: Any) -> list[str]:
    room = args.data.max_len - (args.rollout.max_new_tokens or 0)
    if room <= 0:
        raise ValueError(
            f"--rollout.max_new_tokens {args.rollout.max_new_tokens} leaves no room for a prompt: give a "
            f"--data.max_len above it, it is {args.data.max_len}"
        )
    measured = data.prompts[:MEASURED_PROMPTS]
    lengths = [len(ids) for ids in tokenizer(text=measured, add_special_tokens=False)["input_ids"]]
    lines = [
        f"prompt       {length} tokens, label {label!r}: {text!r}"
        for length, label, text in list(zip(lengths, data.labels, data.prompts, strict=False))[:SHOWN_PROMPTS]
    ]
    lines.append(f"prompts      the longest of the first {len(measured)} has {max(lengths)} tokens, {room} fit")
    too_long = sum(length > room for length in lengths)
    if too_long:
        lines.append(f"             {too_long} lose their beginning: raise --data.max_len by {max(lengths) - room}")
    return lines


def _reward(args: SimpleNamespace, data: Any, end: str) -> str:
    """What the reward file gives for a right answer, another row's answer, and none."""
    urls = args.reward.remote_url or [""]  # OpenRLHF has made a list of it
    url = urls if isinstance(urls, str) else urls[0]
    if not url.endswith(".py") or not args.data.label_key:
        return "reward       not tried: that needs a local .py file and --data.label_key"
    label = data.labels[0]
    other = next((found for found in data.labels if found != label), None)
    tries = {"its label in a box": f"\\boxed{{{label}}}", "its label alone": str(label), "no answer": ""}
    if other is not None:
        tries["another row's label in a box"] = f"\\boxed{{{other}}}"
    try:
        reward_func = _load_reward(url)
        prompt = data.prompts[0]
        results = {
            name: float(reward_func([prompt + text + end], [prompt], [label])["rewards"][0])
            for name, text in tries.items()
        }
    except Exception as problem:  # the user's own code
        raise ValueError(f"--reward.remote_url {url}: {type(problem).__name__}: {_line(problem)}") from None
    if not all(map(math.isfinite, results.values())):
        raise ValueError(f"--reward.remote_url {url}: gives {list(results.values())}, not numbers: mend reward_func")
    line = "reward       of the first prompt: " + ", ".join(f"{value:g} for {name}" for name, value in results.items())
    told_apart = len(set(results.values())) > 1
    return line if told_apart else line + " (it tells none apart: try it on a right answer in your task's own form)"


def _load_reward(url: str) -> Callable[..., dict[str, Any]]:
    spec = importlib.util.spec_from_file_location("dry_run_reward", url)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reward_func


def _machines(args: SimpleNamespace, shape: ModelShape, fused_head: bool) -> list[str]:
    """GPUs by group, and the memory of the policy, the reference model and vLLM."""
    ranks = args.actor.num_nodes * args.actor.num_gpus_per_node
    engines = args.vllm.num_engines or 0
    resident = memory.resident_weights(shape, ranks, args.ds.zero_stage)
    state = memory.training_state(shape, ranks, args.ds.zero_stage)
    on_host = memory.BF16 * shape.weights * engines if args.vllm.enable_sleep else 0.0
    if args.ds.adam_offload:
        on_host += state.pop("optimizer") * ranks
    if args.ds.enable_sleep:
        on_host += sum(state.values()) * ranks
    policy = resident | state | _batch(args, shape, fused_head)
    adapters = f", {shape.trained / 1e6:.1f} M of them trained" if shape.trained < shape.weights else ""
    lines = [
        f"model        {shape.weights / 1e6:.1f} M weights, {_gib(memory.BF16 * shape.weights)} GiB in bf16{adapters}",
        _gpus(args, ranks),
        f"policy       GiB a GPU, ZeRO-{args.ds.zero_stage}: {_parts(policy)}",
    ]
    if args.algo.kl.init_coef > 0:
        reference_ranks = args.ref.num_nodes * args.ref.num_gpus_per_node
        lines.append(
            f"reference    GiB a GPU: {_parts(memory.resident_weights(shape, reference_ranks, args.ds.zero_stage))}"
        )
    engine = memory.BF16 * shape.weights / args.vllm.tensor_parallel_size
    cache = memory.cache_per_token(shape) / args.vllm.tensor_parallel_size
    lines.append(
        f"vLLM         {args.vllm.gpu_memory_utilization:g} of a GPU's memory: weights {_gib(engine)} GiB, the rest "
        f"is cache of {cache / 1024:.4g} KiB a token"
    )
    if on_host:
        lines.append(f"host memory  {_gib(on_host)} GiB in all for what sleeps or is offloaded there")
    return lines


def _batch(args: SimpleNamespace, shape: ModelShape, fused_head: bool) -> dict[str, float]:
    """What a micro-batch needs at the peak."""
    trained = args.train.micro_batch_size * args.data.max_len
    forward = args.rollout.micro_batch_size * args.data.max_len
    if args.train.dynamic_batch_enable:  # one sequence goes in whole, however long
        trained = max(args.train.max_tokens_per_gpu, args.data.max_len)
        forward = max(args.rollout.max_tokens_per_gpu, args.data.max_len)
    head = {"fused head": args.aer.fused_head_mb * 2**20}
    if not fused_head:
        head = {"logits": memory.logits(shape, trained, forward)}
    return {"activations": memory.activations(shape, trained, args.actor.gradient_checkpointing_enable)} | head


def _gpus(args: SimpleNamespace, ranks: int) -> str:
    import torch

    engines = (args.vllm.num_engines or 0) * args.vllm.tensor_parallel_size
    shared = args.train.colocate_all and not args.train.async_enable
    groups = {"policy": ranks}
    if args.algo.kl.init_coef > 0 and not (args.train.colocate_actor_ref or args.train.colocate_all):
        groups["reference"] = args.ref.num_nodes * args.ref.num_gpus_per_node
    if not shared:
        groups["vLLM"] = engines
    if args.critic.model_name_or_path and not args.train.colocate_all:
        groups["critic"] = args.critic.num_nodes * args.critic.num_gpus_per_node
    parts = ", ".join(f"{name} {count}" for name, count in groups.items()) + (", vLLM on the same" if shared else "")
    return f"GPUs         {sum(groups.values())} ({parts}); this machine has {torch.cuda.device_count()}"


def _checkpoints(args: SimpleNamespace, shape: ModelShape, rollouts: int) -> list[str]:
    """Where a run would go on from, and the space of its checkpoints. Raises ValueError where there is too little."""
    folder = Path(args.ckpt.path).absolute()
    lines = []
    if args.ckpt.load_enable:
        planned = checkpoints.plan_resume(args)[0] if args.aer.enable else None
        found = planned or checkpoints.pointed_at(folder / checkpoints.ACTOR)
        lines.append(f"resume       {f'from {found.name}' if found else 'nothing there yet'}")
    saves = rollouts // args.ckpt.save_steps if args.ckpt.save_steps > 0 else 0
    kept = 0 if args.ckpt.disable_ds else min(saves, args.ckpt.max_num)
    exported = saves if args.ckpt.save_hf else 0
    one, weights = memory.checkpoint(shape), memory.BF16 * shape.weights
    needed = kept * one + exported * weights
    free = checkpoints.free_space(folder)
    lines.append(
        f"checkpoints  {_gib(needed)} GiB: {kept} of {_gib(one)} GiB to resume from, {exported} of {_gib(weights)} "
        f"GiB in Hugging Face form, which are never removed; {_gib(free)} GiB free"
    )
    if needed > free:
        raise ValueError(
            f"--ckpt.path {args.ckpt.path}: {_gib(needed)} GiB of checkpoints do not fit into {_gib(free)} GiB: give "
            "another disk, a smaller --ckpt.max_num, or a larger --ckpt.save_steps"
        )
    return lines


def _parts(sizes: dict[str, float]) -> str:
    return ", ".join(f"{name} {_gib(size)}" for name, size in sizes.items()) + f"; about {_gib(sum(sizes.values()))}"


def _gib(size: float) -> str:
    return f"{size / GIB:.2f}" if size < 100 * GIB else f"{size / GIB:.0f}"


def _line(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:300]
