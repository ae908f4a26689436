"""From the token entropies of sampled responses to an estimate of H_0, with its standard error over prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..metrics import top10_share


@dataclass(frozen=True)
class EntropyEstimate:
    """The entropy of a model on some prompts at one temperature."""

    entropy: float
    """Token mean over all responses, nats a token: what `aer/entropy` is for a rollout batch."""
    standard_error: float | None
    """Of `entropy`, over prompts, in nats; None with a single prompt."""
    top10_share: float | None
    """Share of all entropy that the top 10 % of tokens carry; None where there is no entropy at all."""
    prompts: int
    samples: int
    tokens: int
    truncated_share: float
    """Share of responses that ran into the token limit."""


def estimate(entropies: Sequence[Tensor], prompt_of: Sequence[int], truncated: Sequence[bool]) -> EntropyEstimate:
    """Summarise the responses.

    entropies: for each response (tokens,) entropies in nats; prompt_of: for each response the index of its prompt;
    truncated: whether each ran into the token limit. Raises ValueError where there is no token.
    """
    prompts = sorted(set(prompt_of))
    place = {prompt: row for row, prompt in enumerate(prompts)}
    sums, tokens = (torch.zeros(len(prompts), dtype=torch.float64) for _ in range(2))
    for entropy, prompt in zip(entropies, prompt_of, strict=True):
        sums[place[prompt]] += entropy.double().sum()
        tokens[place[prompt]] += len(entropy)
    if not tokens.sum() > 0:
        raise ValueError("the responses have no tokens")
    return EntropyEstimate(
        entropy=float(sums.sum() / tokens.sum()),
        standard_error=ratio_standard_error(sums, tokens),
        top10_share=top10_share(torch.cat(list(entropies)).double()),
        prompts=len(prompts),
        samples=len(entropies),
        tokens=int(tokens.sum()),
        truncated_share=sum(truncated) / len(truncated),
    )


def ratio_standard_error(sums: Tensor, tokens: Tensor) -> float | None:
    """Standard error of sum(sums) / sum(tokens), the prompts being the sample; None with fewer than two.

    sums, tokens: (P,) entropy and tokens of each prompt's responses. A token mean is a ratio of two sums over prompts;
    to first order its error is that of the mean of the residuals sums - ratio * tokens (Cochran, Sampling Techniques,
    chapter 6).
    """
    count = len(sums)
    if count < 2:
        return None
    residuals = sums - sums.sum() / tokens.sum() * tokens
    return math.sqrt(count / (count - 1) * float(residuals.square().sum())) / float(tokens.sum())
