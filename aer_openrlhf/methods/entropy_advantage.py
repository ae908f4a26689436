"""`entropy_advantage`: entropy-based advantage shaping (arXiv 2506.14758, "Reasoning with Exploration").

    A'_t = A_t + min(alpha * H_t, |A_t| / kappa),   H_t without gradient

Uncertain tokens of right answers get more of the credit and those of wrong ones less of the blame; the bound keeps the
sign of the advantage. H_t is that of the policy in training. The authors have published no code; compared with the
baseline in Linn3a/siren, verl/verl/workers/actor/dp_actor.py (baseline_entropy_adv), which has alpha 0.4 and kappa 1.
The paper asks for a kappa above 1; that it trained with 2 is second-hand. No known deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import EntropyMethod, LossInputs, RolloutBatch, StepPlan
from .settings import require, require_not_negative, setting


@dataclass(frozen=True)
class EntropyAdvantageConfig:
    """Settings of `entropy_advantage`."""

    alpha: float = setting(
        0.4, "advantage per nat", "how much of a token's entropy is added to its advantage; 0 is GRPO"
    )
    kappa: float = setting(2.0, "ratio, 1 or more", "the addition is at most |advantage| / kappa")

    def __post_init__(self) -> None:
        require_not_negative(self, "alpha")
        require(self.kappa >= 1, "kappa", self.kappa, "1 or more: below 1 the advantage would change its sign")


class EntropyAdvantage(EntropyMethod):
    """Adds a bounded share of the token entropy to the advantage."""

    name = "entropy_advantage"
    config_class = EntropyAdvantageConfig
    has_entropy_term = False
    selects_tokens = True

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        return StepPlan(torch.full((len(batch.scores),), self.config.alpha), batch.lengths, {})

    def advantages(self, inputs: LossInputs) -> Tensor:
        assert inputs.entropy is not None
        bonus = inputs.coefficients.unsqueeze(-1) * inputs.entropy.detach()
        return inputs.advantages + torch.minimum(bonus, inputs.advantages.abs() / self.config.kappa)
