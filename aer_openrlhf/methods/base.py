"""What an entropy method is: two pure functions and a little state.

A method lives in two kinds of process. The controller process calls `begin_step` once per rollout step, before the
loss of that step is formed, with the whole batch of all ranks; it answers with one coefficient a response. Every
policy rank calls `loss` once per micro-batch; it sees only that micro-batch and must not keep state.

The tensors handed over are those that entropy methods in the literature act on: a constant or controlled coefficient
(`begin_step`), selective or clamped entropy terms (`loss` with `entropy` and `counted`), covariance and KL penalties
(`loss` with `log_probs`, `old_log_probs` and `advantages`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def group_accuracy(scores: Tensor, group_size: int) -> Tensor:
    """Mean score of every prompt's group.

    scores: (B,) raw correctness in [0, 1], the `group_size` responses of a prompt consecutive. Returns (B/G,) float64.
    Raises ValueError for a score outside [0, 1]: difficulty would be meaningless.
    """
    low, high = float(scores.min()), float(scores.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(
            f"the reward function returned scores from {low} to {high}, AER needs correctness in [0, 1]: let it "
            'return "scores" (1 right, 0 wrong) beside "rewards"'
        )
    return scores.double().view(-1, group_size).mean(-1)


@dataclass(frozen=True)
class RolloutBatch:
    """One rollout step over all ranks, at the policy that is about to be updated.

    B responses in prompt order, so that the `group_size` responses of one prompt are consecutive; N response tokens,
    response after response.
    """

    scores: Tensor
    """(B,) raw correctness of each response in [0, 1], before any length penalty or shaping."""
    entropy: Tensor
    """(N,) exact full-vocabulary entropy in nats of every response token at the rollout temperature."""
    lengths: Tensor
    """(B,) response tokens of each response; sums to N."""
    answer_lengths: Tensor | None
    """(B,) response tokens up to the end of the graded answer (the whole length where there is no answer), or None
    where the reward function does not report it."""
    group_size: int
    """G, responses per prompt."""

    def __post_init__(self) -> None:
        if len(self.scores) == 0 or len(self.scores) % self.group_size:
            raise ValueError(f"{len(self.scores)} responses are not whole groups of {self.group_size}")
        if int(self.lengths.sum()) != len(self.entropy):
            raise ValueError(f"{len(self.entropy)} token entropies for {int(self.lengths.sum())} response tokens")

    def response_of_token(self) -> Tensor:
        """(N,) index of the response that each token belongs to."""
        return torch.arange(len(self.lengths)).repeat_interleave(self.lengths)

    def position_in_response(self) -> Tensor:
        """(N,) position of each token in its response, from 0."""
        first_token = self.lengths.cumsum(0) - self.lengths
        return torch.arange(len(self.entropy)) - first_token[self.response_of_token()]


@dataclass(frozen=True)
class StepPlan:
    """A method's answer to one rollout batch."""

    coefficients: Tensor
    """(B,) float32 entropy coefficient of each response, constant through all optimizer steps of the rollout."""
    counted_lengths: Tensor
    """(B,) how many leading response tokens of each response the entropy term counts."""
    metrics: dict[str, float]
    """The method's own numbers under stable names, for example `aer/alpha`."""


@dataclass(frozen=True)
class LossInputs:
    """One micro-batch on one policy rank: B responses padded to A tokens.

    `num_tokens` and `dp_size` are OpenRLHF's normalizers (`openrlhf/utils/loss_utils.py`): a sum over this rank's
    tokens divided by `num_tokens` and multiplied by `dp_size` becomes, after DeepSpeed has averaged gradients over
    ranks and accumulation steps, one mean over all response tokens of the optimizer step.
    """

    log_probs: Tensor
    """(B, A) log-probabilities of the taken tokens under the policy in training, with gradient."""
    old_log_probs: Tensor
    """(B, A) the same under the policy before the update."""
    advantages: Tensor
    """(B, A)"""
    entropy: Tensor
    """(B, A) full-vocabulary token entropy in nats, with gradient."""
    mask: Tensor
    """(B, A) 1 for response tokens."""
    coefficients: Tensor
    """(B,) this micro-batch's part of `StepPlan.coefficients`."""
    counted_lengths: Tensor
    """(B,) this micro-batch's part of `StepPlan.counted_lengths`."""
    num_tokens: Tensor
    """() response tokens of the optimizer step (divided by the accumulation steps)."""
    dp_size: int
    """Data-parallel ranks."""

    def counted(self) -> Tensor:
        """(B, A) 1 for the response tokens that the entropy term counts."""
        position = self.mask.cumsum(-1)
        return self.mask * (position <= self.counted_lengths.unsqueeze(-1))


class EntropyMethod(ABC):
    """The interface that the integration calls; see the module's docstring for who calls what, when."""

    @abstractmethod
    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        """Look at a rollout batch, move the method's state by one step, and set every response's coefficient."""

    @abstractmethod
    def loss(self, inputs: LossInputs) -> Tensor:
        """() the term to add to the policy loss of one micro-batch. Never called where every coefficient is 0."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """The state that `begin_step` carries from step to step, as plain numbers (safe in any checkpoint)."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state; an incomplete or foreign one raises ValueError."""
