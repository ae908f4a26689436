"""A reward that a test can count: of every SAMPLES responses to a prompt labelled "c=N", the first N are right."""

import itertools

SAMPLES = 8
drawn: dict[str, itertools.count] = {}


def reward_func(queries, prompts, labels, **kwargs):
    import torch

    right = torch.tensor([_right(*sample) for sample in zip(queries, prompts, labels, strict=True)])
    return {"rewards": right, "scores": right, "extra_logs": {"answer_tail_chars": torch.full_like(right, -1.0)}}


def _right(query: str, prompt: str, label: str) -> float:
    if not label.startswith("c="):
        return float("1" in query[len(prompt) :])
    return float(next(drawn.setdefault(prompt, itertools.count())) % SAMPLES < int(label[2:]))
