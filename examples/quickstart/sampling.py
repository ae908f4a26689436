"""Samples from a demo model held in memory: exact pass@k, distinct right answers, exact entropy.

The sampler is apart from the one that trains: transformers in float32, the whole softmax.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from aer_eval.metrics.pass_at_k import pass_at_k_table
from tasks import Problem, Task

KS = (1, 4, 16, 64)
SHRINK = 0.8
"""The rows that have ended leave the batch once fewer than this share of it goes on: leaving copies the cache."""


@dataclass(frozen=True)
class Samples:
    """Responses of one model, a row each, the ``num_samples`` rows of a prompt next to each other."""

    tokens: torch.Tensor
    """Sampled token ids, (rows, time); time is that of the longest response."""
    mask: torch.Tensor
    """True up to and including the end-of-sequence token, (rows, time)."""
    entropy: torch.Tensor
    """Full-vocabulary entropy of the distribution each token was drawn from, nats, (rows, time)."""


@torch.no_grad()
def sample(
    model: Any,
    prompt_ids: torch.Tensor,
    num_samples: int,
    max_new_tokens: int,
    temperature: float,
    generator: torch.Generator,
) -> Samples:
    """Draw ``num_samples`` responses per prompt from the whole softmax: no top-k, no top-p, nothing hidden.

    ``prompt_ids`` is (prompts, length) without padding: all prompts of a task have the same length. The prompts are
    read once and their key-value cache is repeated for the samples; a row that has ended leaves the model's batch.
    """
    eos = model.config.eos_token_id
    output = model(prompt_ids, use_cache=True)
    cache = output.past_key_values
    cache.batch_repeat_interleave(num_samples)
    logits = output.logits[:, -1].repeat_interleave(num_samples, dim=0)
    alive = torch.ones(len(logits), dtype=torch.bool)
    in_batch = torch.arange(len(logits))
    tokens, masks, entropies = [], [], []
    for step in range(max_new_tokens):
        log_probs = torch.log_softmax(logits.float() / temperature, dim=-1)
        probs = log_probs.exp()
        token = torch.multinomial(probs, 1, generator=generator)[:, 0]
        tokens.append(token)
        masks.append(alive)
        entropies.append(-(probs * log_probs).sum(-1))
        alive = alive & (token != eos)
        if step + 1 == max_new_tokens or not alive.any():
            break
        if alive.sum() < SHRINK * len(in_batch):
            going_on = alive[in_batch].nonzero()[:, 0]
            cache.batch_select_indices(going_on)
            in_batch = in_batch[going_on]
        # Rows that have ended keep their last logits: every row draws the same random numbers whoever ends when.
        logits[in_batch] = model(token[in_batch, None], past_key_values=cache, use_cache=True).logits[:, -1]
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
    generator = torch.Generator().manual_seed(seed)
    drawn = sample(model, prompt_ids, num_samples, task.max_new_tokens, temperature, generator)
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
