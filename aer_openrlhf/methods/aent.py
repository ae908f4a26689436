"""`aent`: AEnt, clamped entropy with a band controller (arXiv 2509.03493).

    H~      = entropy of the policy renormalised over the vocabulary without its least likely share `clamp`
    c_(k+1) = clip(c_k - lr * (min(0, H~_k - entropy_low) + max(0, H~_k - entropy_high)), coef_min, coef_max)
    L       = L_policy - c_k * (1/N) * sum_i sum_t H~_it

The coefficient moves only while the batch's clamped entropy is outside the band, and only after `warmup_steps`; the
one in force at step k is that of the steps before. Reference implementations, both the author's: inclusionAI/AReaL,
recipe/AEnt (functional.py, actor.py), and antgroup/AEnt on verl, recipe/aent (aent_torch_functional.py,
ray_aent_trainer.py). Defaults are those of the second's run_aent_math.sh (Qwen2.5-Math-1.5B on MATH, rate 2e-6); its
warm-up of 30 first moves the coefficient at step 30, which is 29 here. AReaL's configuration keeps the coefficient
constant.

Known deviation: H~_k is the exact mean over the rollout batch before its update, theirs that of the update itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .base import EntropyMethod, LossInputs, RolloutBatch, StepPlan, entropy_bonus
from .settings import clip, require, require_coef_in_box, require_not_negative, setting


@dataclass(frozen=True)
class AEntConfig:
    """Settings of `aent`."""

    clamp: float = setting(
        0.33, "share of the vocabulary in [0, 1)", "least likely tokens that the entropy leaves out"
    )
    entropy_low: float = setting(0.15, "nats", "lower end of the band of the clamped entropy")
    entropy_high: float = setting(0.24, "nats", "upper end of the band of the clamped entropy")
    lr: float = setting(2e-3, "coefficient per nat", "step size of the controller outside the band")
    coef_init: float = setting(2e-3, "coefficient", "coefficient until the end of the warm-up")
    coef_min: float = setting(6e-4, "coefficient", "lower bound of the coefficient")
    coef_max: float = setting(9e-3, "coefficient", "upper bound of the coefficient")
    warmup_steps: int = setting(29, "rollout steps", "steps before the controller moves the coefficient")

    def __post_init__(self) -> None:
        require(0 <= self.clamp < 1, "clamp", self.clamp, "a share of the vocabulary in [0, 1), for example 0.4")
        names = ("entropy_low", "entropy_high", "lr", "warmup_steps")
        require_not_negative(self, *names)
        band = self.entropy_low <= self.entropy_high
        require(band, "entropy_low", self.entropy_low, f"at most entropy_high ({self.entropy_high})")
        require_coef_in_box(self)


def clamped_entropy(logits: Tensor, clamp: float) -> Tensor:
    """(...) entropy in nats of (..., V) logits, renormalised over the V - int(clamp * V) most likely tokens."""
    kept = logits.shape[-1] - int(clamp * logits.shape[-1])
    log_probs = torch.log_softmax(logits.topk(kept, dim=-1, sorted=False).values, dim=-1)
    return -(log_probs.exp() * log_probs).sum(-1)


class AEnt(EntropyMethod):
    """Bonus on the clamped entropy, held in a band."""

    name = "aent"
    config_class = AEntConfig
    has_own_entropy = True

    def __init__(self, config: AEntConfig) -> None:
        super().__init__(config)
        self.coef = config.coef_init
        self.steps = 0

    @property
    def alpha_max(self) -> float | None:
        return self.config.coef_max if self.config.coef_max > self.config.coef_min else None

    @property
    def replaced_by_state(self) -> tuple[str, ...]:
        return ("coef_init",)

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        assert batch.method_entropy is not None
        config, in_force = self.config, self.coef
        entropy = float(batch.method_entropy.double().mean())
        self.steps += 1
        if self.steps > config.warmup_steps:
            outside = min(0.0, entropy - config.entropy_low) + max(0.0, entropy - config.entropy_high)
            self.coef = clip(self.coef - config.lr * outside, config.coef_min, config.coef_max)
        metrics = {"aer/alpha": in_force, "aer/entropy_clamped": entropy}
        return StepPlan(torch.full((len(batch.scores),), in_force), batch.lengths, metrics)

    def token_entropy(self, logits: Tensor) -> Tensor:
        return clamped_entropy(logits, self.config.clamp)

    def loss(self, inputs: LossInputs) -> Tensor:
        return entropy_bonus(inputs)

    def state_dict(self) -> dict[str, Any]:
        return {"coef": self.coef, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.coef = clip(float(state["coef"]), self.config.coef_min, self.config.coef_max)
        self.steps = int(state["steps"])
