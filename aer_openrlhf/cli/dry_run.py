"""`aer-train --dry-run`: what a run would be, from its resolved arguments, without starting Ray.

Loads what is cheap: configuration and tokenizer of the model, the first prompts of a local dataset, the reward file.
Memory is counted from the number of weights, and is an estimate: activations and vLLM's cache come on top.
"""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

GIB = 2**30
SHOWN_PROMPTS = 2
BYTES_OF_WEIGHTS, BYTES_OF_GRADIENTS, BYTES_OF_OPTIMIZER = 2, 2, 12  # bf16; float32 master weights and Adam's moments


def describe(args: SimpleNamespace) -> list[str]:
    """The lines that a dry run prints. Raises ValueError, naming the flag and the mend, for what cannot be loaded."""
    tokenizer, weights = _load_model(args.actor.model_name_or_path)
    lines = [f"method       {args.aer.method if args.aer.enable else 'none (OpenRLHF as it is)'}"]
    rows = _rows(args)
    lines += _steps(args, rows)
    lines += _memory(args, weights)
    lines += _prompts(args, rows or [], tokenizer)
    lines += _reward(args, rows or [])
    return lines


def _load_model(name: str) -> tuple[Any, int]:
    """Tokenizer and number of weights, the latter from the configuration alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        config = AutoConfig.from_pretrained(name)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError) as problem:
        reason = " ".join(str(problem).split())
        raise ValueError(f"--actor.model_name_or_path {name}: cannot be loaded ({reason}): give another") from None
    return tokenizer, sum(weight.numel() for weight in model.parameters())


def _steps(args: SimpleNamespace, rows: list[dict] | None) -> list[str]:
    if rows is None:
        return ["steps        not known: the dataset is not a local .jsonl file"]
    prompts = min(len(rows), args.data.max_samples or len(rows)) * args.train.num_episodes
    rollouts = prompts // args.rollout.batch_size
    updates = args.rollout.batch_size * args.rollout.n_samples_per_prompt // args.train.batch_size
    optimizer_steps = rollouts * updates * args.train.max_epochs
    return [
        f"steps        {rollouts} rollouts of {args.rollout.batch_size} prompts, {optimizer_steps} optimizer steps"
    ]


def _rows(args: SimpleNamespace) -> list[dict] | None:
    """The rows of a local .jsonl dataset, which the checks before have read well; None for any other."""
    path = Path(args.data.prompt_dataset)
    if path.suffix != ".jsonl" or not path.is_file():
        return None
    with path.open() as file:
        return [json.loads(line) for line in file if line.strip()]


def _memory(args: SimpleNamespace, weights: int) -> list[str]:
    ranks = args.actor.num_nodes * args.actor.num_gpus_per_node
    stage = args.ds.zero_stage
    shares = {
        "weights": BYTES_OF_WEIGHTS / (ranks if stage == 3 else 1),
        "gradients": BYTES_OF_GRADIENTS / (ranks if stage >= 2 else 1),
        "optimizer": BYTES_OF_OPTIMIZER / (ranks if stage >= 1 else 1),
    }
    parts = ", ".join(f"{name} {weights * share / GIB:.2f}" for name, share in shares.items())
    checkpoint = weights * (BYTES_OF_WEIGHTS + BYTES_OF_OPTIMIZER) / GIB
    folder = Path(args.ckpt.path).absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / GIB
    lines = [
        f"model        {weights / 1e6:.1f} M weights on {ranks} rank(s), ZeRO-{stage}",
        f"memory       GiB a rank, estimated: {parts}; activations and vLLM come on top",
        f"checkpoints  about {checkpoint:.2f} GiB each, at most {args.ckpt.max_num} kept, {free:.1f} GiB free",
    ]
    if not args.ckpt.disable_ds and checkpoint * min(args.ckpt.max_num, 1e6) > free:
        raise ValueError(
            f"--ckpt.path {args.ckpt.path}: {args.ckpt.max_num} checkpoints of about {checkpoint:.1f} GiB do not fit "
            f"into {free:.1f} GiB: give another disk or a smaller --ckpt.max_num"
        )
    return lines


def _prompts(args: SimpleNamespace, rows: list[dict], tokenizer: Any) -> list[str]:
    lines = []
    for row in rows[:SHOWN_PROMPTS]:
        text = row[args.data.input_key]
        if args.data.apply_chat_template:
            messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
            try:
                text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            except ValueError as problem:
                reason = " ".join(str(problem).split())
                raise ValueError(f"--data.apply_chat_template: {reason}; leave it out for a base model") from None
        tokens = len(tokenizer(text, add_special_tokens=False)["input_ids"])
        if tokens + (args.rollout.max_new_tokens or 0) > args.data.max_len:
            lines.append(
                f"             the next prompt and its response do not fit --data.max_len {args.data.max_len}"
            )
        lines.append(f"prompt       {tokens} tokens: {text!r}")
    return lines


def _reward(args: SimpleNamespace, rows: list[dict]) -> list[str]:
    """What the reward file gives for the first label in a box, and for an empty response."""
    urls = args.reward.remote_url or [""]  # OpenRLHF has made a list of it
    url = urls if isinstance(urls, str) else urls[0]
    if not rows or not url.endswith(".py") or not args.data.label_key:
        return ["reward       not tried: it needs a local .py reward, a local .jsonl file and --data.label_key"]
    prompt, label = str(rows[0][args.data.input_key]), rows[0][args.data.label_key]
    spec = importlib.util.spec_from_file_location("dry_run_reward", url)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    responses = [f"\\boxed{{{label}}}", ""]
    results = [float(module.reward_func([prompt + text], [prompt], [label])["rewards"][0]) for text in responses]
    if not all(map(math.isfinite, results)):
        raise ValueError(f"--reward.remote_url {url}: gives {results}, not numbers: mend reward_func")
    return [f"reward       {results[0]:g} for the first label in a box, {results[1]:g} for an empty response"]
