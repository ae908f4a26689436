"""Evaluation during training: pass@k without bias for k = 1, 2, 4, ... n, from OpenRLHF's samples and rewards.

OpenRLHF computes the metrics of an evaluation in one function of its trainer module; a wrapper around that function
is all there is to attach, where the method that calls it looks it up.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from aer_eval.metrics.pass_at_k import pass_at_k, powers_of_two

UNKNOWN = "unknown"
"""OpenRLHF's name for the data source of a prompt that an agent has rewritten."""
RIGHT = 1.0
"""A sample is right from this score on; without scores the reward decides."""


def log_pass_at_k(evaluate: Callable[..., Any]) -> None:
    """Let a method of OpenRLHF that evaluates, in this process, log what `pass_at_k_metrics` gives.

    Ray sends an actor's class by value, with the globals of its methods: they are not those of the imported module.
    """
    names = inspect.unwrap(evaluate).__globals__  # under `torch.no_grad`
    stock = names["compute_eval_metrics"]

    def compute_eval_metrics(eval_dataloader: Any, samples_list: list, n_samples_per_prompt: int) -> dict[str, float]:
        logs = stock(eval_dataloader, samples_list, n_samples_per_prompt)
        if not samples_list:
            return logs
        source_of = {
            prompt: source
            for sources, prompts, *_ in eval_dataloader
            for prompt, source in zip(prompts, sources, strict=True)
        }
        prompts = [sample.prompts[0] for sample in samples_list[::n_samples_per_prompt]]
        return logs | pass_at_k_metrics(
            [source_of.get(prompt, UNKNOWN) for prompt in prompts],
            _by_prompt([sample.rewards for sample in samples_list], n_samples_per_prompt),
            _by_prompt([_score(sample) for sample in samples_list], n_samples_per_prompt),
        )

    names["compute_eval_metrics"] = compute_eval_metrics


def _score(sample: Any) -> Any:
    return sample.rewards if sample.scores is None else sample.scores


def _by_prompt(values: Sequence[Any], n: int) -> np.ndarray:
    """(prompts, n) from a value a sample; a prompt's samples are consecutive."""
    return np.array([float(value) for value in values]).reshape(-1, n)


def pass_at_k_metrics(sources: Sequence[str], rewards: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Metrics of one evaluation under OpenRLHF's names, a set for each data source.

    sources: the data source of each prompt; rewards, scores: (prompts, n) of its samples. Gives
    `eval_SOURCE_pass{k}` for k = 1, 2, 4, ... n, the mean over prompts of 1 - C(n - c, k) / C(n, k) with c right of n
    samples (Chen et al., arXiv 2107.03374), and `eval_SOURCE_reward_mean`.
    """
    places = defaultdict(list)
    for place, source in enumerate(sources):
        places[source].append(place)
    n = scores.shape[1]
    metrics = {}
    for source, rows in places.items():
        correct = (scores[rows] >= RIGHT).sum(axis=1)
        for k in powers_of_two(n):
            metrics[f"eval_{source}_pass{k}"] = float(pass_at_k(np.full(len(rows), n), correct, k).mean())
        metrics[f"eval_{source}_reward_mean"] = float(rewards[rows].mean())
    return metrics
