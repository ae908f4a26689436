"""AER: Adaptive Entropy Regularization (arXiv 2510.10959, Findings of ACL 2026).

The paper's prose fixes the structure; the equations here are our reconstruction:

    g(q)     = mean score of the prompt's responses                  group accuracy
    w(q)     = max(0, (rho - g) / rho)                               difficulty weight
    H*       = tau * H_0                                             target entropy
    alpha_k  = clip(alpha_{k-1} + eta * (H* - H_k), 0, alpha_max)    global coefficient
    lambda_i = alpha_k * w(q_i)                                      coefficient of response i
    L        = L_policy - (1/N) * sum_i sum_t lambda_i * H(pi(.|q_i, o_i,<t))

H_k is the token-mean entropy of rollout batch k at the policy about to be updated, H_0 that of the initial policy.
`normalize="mean"` and `entropy_tokens="until_answer"` are ours, beyond the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from .base import EntropyMethod, LossInputs, RolloutBatch, StepPlan, entropy_bonus, group_accuracy
from .settings import clip, require, require_not_negative, setting

Difficulty = Literal["linear", "step", "uniform"]
Normalize = Literal["none", "mean"]
Update = Literal["proportional", "sign"]
EntropyTokens = Literal["all", "until_answer"]


@dataclass(frozen=True)
class AERConfig:
    """AER's settings, one field a flag `--aer.<field>`. Invalid values raise ValueError naming the field."""

    rho: float = setting(
        0.5, "accuracy in (0, 1]", "difficulty threshold: prompts whose group accuracy reaches it get no entropy bonus"
    )
    tau: float = setting(0.4, "fraction in (0, 1)", "target entropy as a fraction of the initial entropy H_0")
    eta: float = setting(
        1e-3,
        "coefficient per nat of error (proportional) or per step (sign)",
        "step size of the controller; 0 keeps the coefficient at alpha_init",
    )
    alpha_init: float = setting(0.0, "coefficient", "global coefficient before the first rollout step")
    alpha_max: float = setting(
        0.01, "coefficient", "upper bound of the global coefficient; 0 trains plain GRPO and logs every entropy metric"
    )
    coef_max: float = setting(
        2.0, "coefficient", "upper bound of one response's coefficient; acts with --aer.normalize mean only"
    )
    difficulty: Difficulty = setting(
        "linear",
        "name",
        "difficulty weight of a prompt with group accuracy g: linear = max(0, (rho - g) / rho), "
        "step = 1 below rho and 0 from it on, uniform = 1 (the ablation)",
    )
    normalize: Normalize = setting(
        "none",
        "name",
        "none: coefficient = alpha * weight (the paper's product form). mean: alpha * weight / mean weight, so "
        "that alpha is the mean coefficient of the batch and keeps its grip as prompts become easy, while no "
        "coefficient is at coef_max; use it with an alpha_max above 0.01",
    )
    update: Update = setting(
        "proportional", "name", "controller: proportional adds eta * (target - entropy), sign adds or subtracts eta"
    )
    entropy_tokens: EntropyTokens = setting(
        "all",
        "name",
        "response tokens that count, for control and bonus alike: all (the paper), or until_answer: up to the end "
        "of the graded answer, where the reward function reports answer_tail_chars",
    )
    anchor_steps: int = setting(
        1,
        "rollout steps",
        "rollout batches that H_0 is measured on; the coefficient is held at alpha_init until "
        "then, unless target_entropy is given",
    )
    target_entropy: float | None = setting(None, "nats", "absolute target entropy instead of tau * H_0")

    def __post_init__(self) -> None:
        require(0 < self.rho <= 1, "rho", self.rho, "an accuracy in (0, 1], for example 0.5")
        require(0 < self.tau < 1, "tau", self.tau, "a fraction of the initial entropy in (0, 1), for example 0.4")
        require_not_negative(self, "eta", "alpha_init", "alpha_max")
        require(self.alpha_init <= self.alpha_max, "alpha_init", self.alpha_init, f"<= alpha_max ({self.alpha_max})")
        require(0 < self.coef_max < math.inf, "coef_max", self.coef_max, "a number above 0")
        require(self.anchor_steps >= 1, "anchor_steps", self.anchor_steps, "a whole number from 1")
        if self.target_entropy is not None:
            require(0 < self.target_entropy < math.inf, "target_entropy", self.target_entropy, "nats above 0")
        if self.normalize == "mean":
            wanted = f"at most coef_max ({self.coef_max}), which bounds the mean under normalize mean, or raise that"
            require(self.alpha_max <= self.coef_max, "alpha_max", self.alpha_max, wanted)
        choices = {"difficulty": Difficulty, "normalize": Normalize, "update": Update, "entropy_tokens": EntropyTokens}
        for name, allowed in choices.items():
            value = getattr(self, name)
            require(value in get_args(allowed), name, value, "one of " + ", ".join(get_args(allowed)))


def difficulty_weight(accuracy: Tensor, rho: float, kind: Difficulty) -> Tensor:
    """Weight w(q) in [0, 1] of every prompt: 1 for an all-wrong group, exactly 0 from group accuracy `rho` on.

    accuracy: (P,) group accuracies. Returns (P,) float64. Our reconstruction of the paper's difficulty-aware
    coefficient allocation (`linear`); `step` and `uniform` are for comparison.
    """
    accuracy = accuracy.double()
    below = accuracy < rho - 1e-6  # scores are float32: 0.7 is a little less than a rho of 0.7
    if kind == "linear":
        return torch.where(below, (rho - accuracy) / rho, 0.0)
    if kind == "step":
        return below.double()
    return torch.ones_like(accuracy)


def prompt_coefficients(alpha: float, weight: Tensor, normalize: Normalize, coef_max: float) -> Tensor:
    """Coefficient lambda of every prompt: alpha * w, or min(alpha * w / mean(w), coef_max) for `mean`.

    weight: (P,) difficulty weights. Returns (P,) float64. If no prompt has weight, every coefficient is 0.
    """
    weight = weight.double()
    if normalize == "none":
        return alpha * weight
    mean_weight = weight.mean()
    if mean_weight == 0:
        return torch.zeros_like(weight)
    return (alpha * (weight / mean_weight)).clamp(max=coef_max)


class EntropyController:
    """Holds the batch entropy at a fraction of the run's initial entropy by moving one global coefficient.

    The floor at 0 keeps the integral from winding down while entropy is above the target, and control goes on while
    the coefficient is 0.
    """

    def __init__(self, config: AERConfig) -> None:
        self.config = config
        self.alpha = config.alpha_init
        self.steps = 0
        self._anchor_sum = 0.0
        self._anchor_tokens = 0

    @property
    def anchored(self) -> bool:
        """Whether H_0 is measured."""
        return self.steps >= self.config.anchor_steps

    @property
    def initial_entropy(self) -> float | None:
        """H_0 in nats, None until the anchor steps are over."""
        return self._anchor_sum / self._anchor_tokens if self.anchored else None

    @property
    def target(self) -> float | None:
        """H* in nats, None while it is not known."""
        if self.config.target_entropy is not None:
            return self.config.target_entropy
        return self.config.tau * self.initial_entropy if self.initial_entropy is not None else None

    def update(self, entropy_sum: float, num_tokens: int) -> float:
        """Move the coefficient by one rollout step, before the loss of that step, and return it.

        entropy_sum: sum over all counted tokens of all ranks, in nats; num_tokens: their number. Raises ValueError if
        there is no token or the entropy is not finite.
        """
        if num_tokens <= 0 or not math.isfinite(entropy_sum):
            raise ValueError(f"entropy of the rollout batch is {entropy_sum} nats over {num_tokens} tokens")
        if not self.anchored:
            self._anchor_sum += entropy_sum
            self._anchor_tokens += num_tokens
        self.steps += 1
        if self.target is not None:
            error = self.target - entropy_sum / num_tokens
            if self.config.update == "sign":
                error = float((error > 0) - (error < 0))
            self.alpha = clip(self.alpha + self.config.eta * error, 0.0, self.config.alpha_max)
        return self.alpha

    def state_dict(self) -> dict[str, float | int]:
        """Plain numbers; with `load_state_dict` a resumed run continues exactly as an uninterrupted one."""
        return {
            "alpha": self.alpha,
            "steps": self.steps,
            "anchor_sum": self._anchor_sum,
            "anchor_tokens": self._anchor_tokens,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state that has every key of `state_dict`: H_0 is never measured again.

        With `eta` 0 the coefficient is that of the settings; else it is cut to their bounds, which may have changed.
        """
        if self.config.eta > 0:
            self.alpha = clip(float(state["alpha"]), 0.0, self.config.alpha_max)
        self.steps = int(state["steps"])
        self._anchor_sum = float(state["anchor_sum"])
        self._anchor_tokens = int(state["anchor_tokens"])


class AER(EntropyMethod):
    """Difficulty-weighted entropy bonus with a controlled coefficient (our reconstruction)."""

    name = "aer"
    config_class = AERConfig
    measured_with = ("entropy_tokens", "anchor_steps")

    def __init__(self, config: AERConfig) -> None:
        super().__init__(config)
        self.controller = EntropyController(config)

    @property
    def alpha_max(self) -> float | None:
        return self.config.alpha_max if self.config.alpha_max > 0 and self.config.eta > 0 else None

    @property
    def replaced_by_state(self) -> tuple[str, ...]:
        return ("alpha_init",) if self.config.eta > 0 else ()

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        config = self.config
        accuracy = group_accuracy(batch.scores, batch.group_size)
        weight = difficulty_weight(accuracy, config.rho, config.difficulty)
        counted_lengths = self._counted_lengths(batch)
        counted = batch.position_in_response() < counted_lengths[batch.response_of_token()]
        counted_entropy = batch.entropy.double()[counted]
        alpha = self.controller.update(float(counted_entropy.sum()), len(counted_entropy))
        coefficients = prompt_coefficients(alpha, weight, config.normalize, config.coef_max)
        metrics = {
            "aer/entropy": float(counted_entropy.mean()),
            "aer/alpha": alpha,
            "aer/coef_mean": float(coefficients.mean()),
            "aer/weight_mean": float(weight.mean()),
            "aer/active_share": float((weight > 0).double().mean()),
        }
        known = {"aer/entropy_initial": self.controller.initial_entropy, "aer/entropy_target": self.controller.target}
        metrics |= {name: value for name, value in known.items() if value is not None}
        return StepPlan(coefficients.repeat_interleave(batch.group_size).float(), counted_lengths, metrics)

    def _counted_lengths(self, batch: RolloutBatch) -> Tensor:
        if self.config.entropy_tokens == "all":
            return batch.lengths
        if batch.answer_lengths is None:
            raise ValueError(
                "entropy_tokens is until_answer, but the reward function does not report answer_tail_chars in "
                "extra_logs: let it do so, or give all"
            )
        return batch.answer_lengths

    def loss(self, inputs: LossInputs) -> Tensor:
        """- (1/N) * sum_i sum_t lambda_i * H_it."""
        return entropy_bonus(inputs)

    def state_dict(self) -> dict[str, Any]:
        return self.controller.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.controller.load_state_dict(state)
