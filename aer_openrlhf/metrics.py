"""What every run logs about one rollout batch, whatever the method: difficulty, and where entropy sits.

Pure tensors. A metric that is not known (no hard prompt in the batch, no answer position reported) is absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from .methods.base import RolloutBatch, group_accuracy

HARD_BELOW, EASY_ABOVE = 1 / 3, 2 / 3
DECILES = 10


def rollout_metrics(batch: RolloutBatch, coefficients: Tensor | None) -> dict[str, float]:
    """Metrics of one rollout batch under stable names; docs/metrics.md explains each.

    coefficients: (B,) entropy coefficient of each response, None for a method without an entropy term.
    """
    metrics = {"aer/entropy": float(batch.entropy.double().mean())}
    if coefficients is not None:
        metrics["aer/coef_mean"] = float(coefficients.double().mean())
    return metrics | difficulty_metrics(batch, coefficients) | position_metrics(batch)


def difficulty_metrics(batch: RolloutBatch, coefficients: Tensor | None) -> dict[str, float]:
    """Group accuracy, and entropy, score and coefficient by difficulty: hard g < 1/3, middle, easy g > 2/3."""
    accuracy = group_accuracy(batch.scores, batch.group_size)
    metrics = {
        "aer/group_accuracy": float(accuracy.mean()),
        "aer/all_wrong_share": float((accuracy == 0).double().mean()),
        "aer/all_right_share": float((accuracy == 1).double().mean()),
    }
    hard, easy = accuracy < HARD_BELOW, accuracy > EASY_ABOVE
    for name, prompts in (("hard", hard), ("middle", ~hard & ~easy), ("easy", easy)):
        metrics[f"aer/share_{name}"] = float(prompts.double().mean())
        if not prompts.any():
            continue
        responses = prompts.repeat_interleave(batch.group_size)
        metrics[f"aer/entropy_{name}"] = float(batch.entropy[responses[batch.response_of_token()]].double().mean())
        metrics[f"aer/reward_{name}"] = float(batch.scores[responses].double().mean())
        if coefficients is not None:
            metrics[f"aer/coef_{name}"] = float(coefficients[responses].double().mean())
    return metrics


def position_metrics(batch: RolloutBatch) -> dict[str, float]:
    """Where entropy sits: by relative position in the response, how concentrated, before and after the answer."""
    entropy = batch.entropy.double()
    response, position = batch.response_of_token(), batch.position_in_response()
    decile = (2 * position + 1) * DECILES // (2 * batch.lengths[response])  # of the middle of the token
    metrics = {}
    for index in range(DECILES):
        in_decile = entropy[decile == index]
        if len(in_decile):
            metrics[f"aer/entropy_decile_{index + 1:02d}"] = float(in_decile.mean())
    share = top10_share(entropy)
    if share is not None:
        metrics["aer/entropy_top10_share"] = share
    if batch.answer_lengths is not None:
        after = position >= batch.answer_lengths[response]
        for name, tokens in (("before", entropy[~after]), ("after", entropy[after])):
            if len(tokens):
                metrics[f"aer/entropy_{name}_answer"] = float(tokens.mean())
    return metrics


def top10_share(entropy: Tensor) -> float | None:
    """Share of all entropy that the top 10 % of (N,) tokens carry; None where there is no entropy at all."""
    total = float(entropy.sum())
    if not total > 0:
        return None
    return float(torch.topk(entropy, math.ceil(len(entropy) / 10)).values.sum()) / total


def sampler_gap(pairs: Iterable[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """How far the sampler's policy is from the trainer's: mean absolute difference of token log-probabilities.

    pairs: per micro-batch (sampler log-probs, trainer log-probs, response mask), each (B, A).
    """
    total, tokens = 0.0, 0
    for sampler, trainer, mask in pairs:
        response = mask.bool()
        total += float((sampler[response].double() - trainer[response].double()).abs().sum())
        tokens += int(response.sum())
    return {"aer/sampler_logprob_gap": total / tokens} if tokens else {}
