"""What an entropy method is: a few pure functions and a little state.

A method lives in two kinds of process. The controller process calls `begin_step` once per rollout step, before the
loss of that step is formed, with the whole batch of all ranks; it answers with one coefficient a response. Every
policy rank calls the others once per micro-batch; they see only that micro-batch and must not keep state.

Four places to act, and a method fills one to three of them:

    begin_step      the coefficient of every response: constant, controlled, by difficulty
    token_entropy   an entropy other than that of the full vocabulary: clamped, nucleus
    advantages      what the policy loss sees: shaped advantages, or 0 for tokens that are to give no gradient
    loss            a term beside the policy loss: an entropy bonus, a KL penalty
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

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
    method_entropy: Tensor | None = None
    """(N,) `EntropyMethod.token_entropy` of every response token, None where the method has none of its own."""
    log_probs: Tensor | None = None
    """(N,) log-probability of every response token; None only in a batch that is made by hand."""
    advantages: Tensor | None = None
    """(N,) advantage of every response token; None only in a batch that is made by hand."""

    def __post_init__(self) -> None:
        if len(self.scores) == 0 or len(self.scores) % self.group_size:
            raise ValueError(f"{len(self.scores)} responses are not whole groups of {self.group_size}")
        if int(self.lengths.sum()) != len(self.entropy):
            raise ValueError(f"{len(self.entropy)} token entropies for {int(self.lengths.sum())} response tokens")
        for entropy in (self.entropy, self.method_entropy):
            if entropy is not None and not bool(torch.isfinite(entropy).all()):
                raise ValueError(
                    "the token entropies of the rollout batch are not finite: look for logits that are not, for "
                    "example a vocabulary that the model masks with -inf"
                )

    def response_of_token(self) -> Tensor:
        """(N,) index of the response that each token belongs to."""
        return torch.arange(len(self.lengths)).repeat_interleave(self.lengths)

    def position_in_response(self) -> Tensor:
        """(N,) position of each token in its response, from 0."""
        first_token = self.lengths.cumsum(0) - self.lengths
        return torch.arange(len(self.entropy)) - first_token[self.response_of_token()]

    def padded(self, values: Tensor) -> Tensor:
        """(B, A) token values of shape (N,), a response a row, 0 after its end."""
        return torch.nn.utils.rnn.pad_sequence(values.split(self.lengths.tolist()), batch_first=True)

    def mask(self) -> Tensor:
        """(B, A) 1 for the tokens of each response, in the layout of `padded`."""
        return self.padded(torch.ones(len(self.entropy)))


@dataclass(frozen=True)
class StepPlan:
    """A method's answer to one rollout batch."""

    coefficients: Tensor
    """(B,) float32 coefficient of each response, constant through all optimizer steps of the rollout. A micro-batch
    whose coefficients are all 0 is left to OpenRLHF as it is, at no cost. Methods without an entropy term give their
    strength, or 1 where they act."""
    counted_lengths: Tensor
    """(B,) how many leading response tokens of each response the entropy term counts."""
    metrics: dict[str, float]
    """The method's own numbers under stable names, for example `aer/alpha`."""
    shared: dict[str, float] = field(default_factory=dict)
    """Numbers that every micro-batch of the step needs: batch means, thresholds."""


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
    entropy: Tensor | None
    """(B, A) token entropy in nats, with gradient: the method's own where it has one, else that of the full
    vocabulary. None where the method does not need it."""
    mask: Tensor
    """(B, A) 1 for response tokens."""
    coefficients: Tensor
    """(B,) this micro-batch's part of `StepPlan.coefficients`."""
    counted_lengths: Tensor
    """(B,) this micro-batch's part of `StepPlan.counted_lengths`."""
    num_tokens: Tensor
    """() response tokens of the optimizer step, divided by the accumulation steps that DeepSpeed divides the loss by
    (with dynamic batches by none)."""
    num_responses: Tensor
    """() responses of the optimizer step, divided as `num_tokens`."""
    dp_size: int
    """Data-parallel ranks."""
    shared: Mapping[str, float] = field(default_factory=dict)
    """`StepPlan.shared` of this step."""

    def counted(self) -> Tensor:
        """(B, A) 1 for the response tokens that the entropy term counts."""
        position = self.mask.cumsum(-1)
        return self.mask * (position <= self.counted_lengths.unsqueeze(-1))


class EntropyMethod(ABC):
    """The interface that the integration calls; see the module's docstring for who calls what, when."""

    name: ClassVar[str]
    """Name of the method in `--aer.method`, of its file, its flags `--aer.<name>.<field>` and its test."""
    config_class: ClassVar[type]
    """Frozen dataclass of the method's settings, made with `settings.setting`."""
    has_entropy_term: ClassVar[bool] = True
    """Whether the coefficients weigh an entropy term; then they are logged."""
    needs_entropy: ClassVar[bool] = True
    """Whether `advantages` or `loss` read `LossInputs.entropy`."""
    has_own_entropy: ClassVar[bool] = False
    """Whether the method defines `token_entropy`."""

    selects_tokens: ClassVar[bool] = False
    """Whether the method treats single tokens of a response differently in the policy loss: refused with gspo."""
    measured_with: ClassVar[tuple[str, ...]] = ()
    """Settings under which the saved state was measured: a resumed run cannot change them."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def alpha_max(self) -> float | None:
        """Upper bound of `aer/alpha` where a controller moves it, None where nothing does."""
        return None

    @property
    def replaced_by_state(self) -> tuple[str, ...]:
        """Settings that a saved state takes the place of: in a resumed run they have no effect."""
        return ()

    @classmethod
    def refusal(cls, flags: Mapping[str, Any]) -> str | None:
        """Why the method cannot work with other flags, and the mend, as one line; None where it can.

        flags: OpenRLHF's flags by their dotted names (`actor.policy_loss_type`).
        """
        if cls.selects_tokens and flags.get("actor.policy_loss_type") == "gspo":
            return (
                f"--aer.method {cls.name} selects tokens, gspo has one ratio a response: give "
                "--actor.policy_loss_type ppo"
            )
        return None

    @abstractmethod
    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        """Look at a rollout batch, move the method's state by one step, and set every response's coefficient."""

    def token_entropy(self, logits: Tensor) -> Tensor:
        """(...) entropy in nats from (..., V) float32 logits at the rollout temperature."""
        raise TypeError(f"{self.name} has no entropy of its own")

    def advantages(self, inputs: LossInputs) -> Tensor:
        """(B, A) advantages for OpenRLHF's policy loss. Never called where every coefficient is 0."""
        return inputs.advantages

    def loss(self, inputs: LossInputs) -> Tensor | None:
        """() a term to add to the policy loss of one micro-batch. Never called where every coefficient is 0."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """The state that `begin_step` carries from step to step, as plain numbers (safe in any checkpoint)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state; an incomplete or foreign one raises ValueError."""
        missing = self.state_dict().keys() - state.keys()
        if missing:
            raise ValueError(f"the saved state of {self.name} lacks {', '.join(sorted(missing))}")


def entropy_bonus(inputs: LossInputs) -> Tensor:
    """() - (1/N) * sum_i sum_t lambda_i * H_it over the tokens that count.

    The coefficient of largest size is taken out of the sum. With equal coefficients the weights are then exactly 1 and
    the term is, bit for bit, OpenRLHF's own `--actor.entropy_coef` (openrlhf/trainer/ray/ppo_actor.py, training_step).
    """
    assert inputs.entropy is not None
    largest = inputs.coefficients[inputs.coefficients.abs().argmax()]
    weight = (inputs.coefficients / largest).unsqueeze(-1)
    weighted_sum = (weight * inputs.entropy * inputs.counted()).sum()
    return -(weighted_sum / inputs.num_tokens * inputs.dp_size * largest)
