"""Rollout batches and micro-batches written by hand, for the tests of the methods."""

import torch

from aer_openrlhf.methods.base import LossInputs, RolloutBatch


def make_batch(scores, entropy, lengths, group_size, answer_lengths=None, **tokens):
    """tokens: further (N,) fields of `RolloutBatch` as lists, for example log_probs."""
    return RolloutBatch(
        scores=torch.tensor(scores, dtype=torch.float32),
        entropy=torch.tensor(entropy, dtype=torch.float32),
        lengths=torch.tensor(lengths),
        answer_lengths=None if answer_lengths is None else torch.tensor(answer_lengths),
        group_size=group_size,
        **{name: torch.tensor(values, dtype=torch.float32) for name, values in tokens.items()},
    )


def make_loss_inputs(entropy, mask, coefficients, num_tokens, dp_size=1, counted_lengths=None, **changed):
    """changed: fields of `LossInputs` that are not to be all 0, for example advantages."""
    mask = torch.as_tensor(mask)
    zeros = torch.zeros(mask.shape, dtype=entropy.dtype if entropy is not None else torch.float32)
    fields = {
        "log_probs": zeros,
        "old_log_probs": zeros,
        "advantages": zeros,
        "entropy": entropy,
        "mask": mask,
        "coefficients": torch.as_tensor(coefficients, dtype=zeros.dtype),
        "counted_lengths": mask.sum(-1) if counted_lengths is None else torch.tensor(counted_lengths),
        "num_tokens": torch.tensor(float(num_tokens), dtype=torch.float64),
        "num_responses": torch.tensor(float(len(mask)), dtype=torch.float64),
        "dp_size": dp_size,
    }
    return LossInputs(**(fields | changed))
