"""Sample held-out problems from saved demo models: exact pass@k, distinct right answers, exact entropy.

    python examples/quickstart/held_out.py --task countdown --model BEFORE --label before --model AFTER --label after \
        --prompts 300 --samples 64 --temperature 1.0 --seed 0 --out runs/quickstart/pass_at_k.json

Everything is measured on the saved Hugging Face folder with transformers in float32, apart from the sampler that
trained it: what is reported is what anyone who loads the folder gets.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from aer_eval.metrics.pass_at_k import pass_at_k_table
from aer_eval.whole_file import whole_file
from tasks import MAX_NEW_TOKENS, TASKS, Problem, Task, held_out_problems

KS = (1, 4, 16, 64)


@dataclass(frozen=True)
class Samples:
    """Responses of one model, a row each, the ``num_samples`` rows of a prompt next to each other."""

    tokens: torch.Tensor
    """Sampled token ids, (rows, time)."""
    mask: torch.Tensor
    """True up to and including the end-of-sequence token, (rows, time)."""
    entropy: torch.Tensor
    """Full-vocabulary entropy of the distribution each token was drawn from, nats, (rows, time)."""


@torch.no_grad()
def sample(
    model: Any, prompt_ids: torch.Tensor, num_samples: int, temperature: float, generator: torch.Generator
) -> Samples:
    """Draw ``num_samples`` responses per prompt from the whole softmax: no top-k, no top-p, nothing hidden.

    ``prompt_ids`` is (prompts, length) without padding: all prompts of a task have the same length. The prompts are
    read once and their key-value cache is repeated for the samples.
    """
    eos = model.config.eos_token_id
    output = model(prompt_ids, use_cache=True)
    cache = output.past_key_values
    cache.batch_repeat_interleave(num_samples)
    logits = output.logits[:, -1].repeat_interleave(num_samples, dim=0)
    alive = torch.ones(len(logits), dtype=torch.bool)
    tokens, masks, entropies = [], [], []
    for step in range(MAX_NEW_TOKENS):
        log_probs = torch.log_softmax(logits.float() / temperature, dim=-1)
        probs = log_probs.exp()
        token = torch.multinomial(probs, 1, generator=generator)[:, 0]
        tokens.append(token)
        masks.append(alive)
        entropies.append(-(probs * log_probs).sum(-1))
        alive = alive & (token != eos)
        if step + 1 < MAX_NEW_TOKENS:
            logits = model(token[:, None], past_key_values=cache, use_cache=True).logits[:, -1]
    return Samples(torch.stack(tokens, 1), torch.stack(masks, 1), torch.stack(entropies, 1))


def measure(
    model: Any,
    tokenizer: Any,
    task: Task,
    problems: list[Problem],
    num_samples: int,
    temperature: float,
    seed: int,
    ks: Sequence[int] = KS,
) -> dict[str, Any]:
    """Sample the problems and return pass@k for the k that fit, distinct right answers per prompt, entropy (nats)."""
    prompt_ids = torch.tensor(tokenizer([problem.prompt for problem in problems]).input_ids)
    drawn = sample(model, prompt_ids, num_samples, temperature, torch.Generator().manual_seed(seed))
    responses = [
        tokenizer.decode(row[kept], skip_special_tokens=False)
        for row, kept in zip(drawn.tokens, drawn.mask, strict=True)
    ]
    counts, distinct = [], []
    for i, problem in enumerate(problems):
        group = responses[i * num_samples : (i + 1) * num_samples]
        right = [response for response in group if task.is_correct(response, problem.label)]
        counts.append(len(right))
        distinct.append(len(set(right)))
    return {
        "num_prompts": len(problems),
        "num_samples": num_samples,
        "temperature": temperature,
        "seed": seed,
        "pass_at_k": {str(k): float(pass_at_k_table(num_samples, k)[counts].mean()) for k in ks if k <= num_samples},
        "distinct_correct": sum(distinct) / len(distinct),
        "entropy": (drawn.entropy[drawn.mask].sum() / drawn.mask.sum()).item(),
    }


def evaluate_folder(
    folder: Path,
    label: str,
    task: Task,
    prompts: int,
    samples: int,
    temperatures: Sequence[float] = (1.0,),
    seed: int = 0,
    ks: Sequence[int] = KS,
) -> list[dict[str, Any]]:
    """Load a saved Hugging Face folder in float32; one record a temperature, on the same held-out problems."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    problems = held_out_problems(task, prompts, seed)
    return [
        {
            "label": label if len(temperatures) == 1 else f"{label}, T = {temperature:g}",
            "checkpoint": str(folder),
            **measure(model, tokenizer, task, problems, samples, temperature, seed, ks),
        }
        for temperature in temperatures
    ]


def write_json(records: list[dict[str, Any]], path: Path) -> None:
    """Write the records at once, so that a reader never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(json.dumps(records, indent=2) + "\n")


def main() -> None:
    """Evaluate every --model and write one JSON list."""
    parser = argparse.ArgumentParser(description="pass@k, distinct right answers and entropy of saved demo models")
    parser.add_argument("--model", type=Path, action="append", required=True, help="saved folder; may be repeated")
    parser.add_argument("--label", action="append", help="name of each --model, in order (default: the folder's)")
    parser.add_argument("--task", choices=sorted(TASKS), default="countdown", help="demo task")
    parser.add_argument("--prompts", type=int, default=300, help="held-out prompts; fewer if the task has fewer")
    parser.add_argument("--samples", type=int, default=64, help="samples per prompt")
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0], help="sampling temperatures, above 0")
    parser.add_argument(
        "--k", type=int, nargs="+", default=list(KS), help="k of pass@k; those above --samples are left out"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the prompts drawn and of the sampling")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    labels = args.label or [folder.name for folder in args.model]
    if len(labels) != len(args.model):
        parser.error(f"{len(args.model)} --model but {len(labels)} --label: give one label for each, or none")
    if min(args.temperature) <= 0 or min(args.prompts, args.samples, *args.k) < 1:
        parser.error("--temperature must be above 0, --prompts, --samples and --k at least 1")
    disable_progress_bar()
    records: list[dict[str, Any]] = []
    for folder, label in zip(args.model, labels, strict=True):
        found = evaluate_folder(
            folder, label, TASKS[args.task], args.prompts, args.samples, args.temperature, args.seed, args.k
        )
        for record in found:
            print(record["label"], {key: record[key] for key in ("pass_at_k", "distinct_correct", "entropy")})
        records += found
    write_json(records, args.out)


if __name__ == "__main__":
    main()
