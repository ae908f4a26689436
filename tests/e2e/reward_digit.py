"""A reward for tests: right is a response that holds the digit 1 and ends properly."""

import torch


def reward_func(queries, prompts, labels, **kwargs):
    right = torch.tensor(
        [
            float("1" in query[len(prompt) :] and query.endswith("<eos>"))
            for query, prompt in zip(queries, prompts, strict=True)
        ]
    )
    return {"rewards": right, "scores": right, "extra_logs": {"answer_tail_chars": torch.full_like(right, 5.0)}}
