"""`fixed`: a constant entropy coefficient on every response token, as in OpenRLHF's own `--actor.entropy_coef`.

    L = L_policy - coef * (1/N) * sum_i sum_t H_it

The classical entropy bonus (Williams and Peng 1991; in PPO, arXiv 1707.06347, equation 9). Unlike
`--actor.entropy_coef` it logs every entropy metric; `coef` 0 is GRPO with metrics. Bit for bit the upstream term
(openrlhf/trainer/ray/ppo_actor.py, training_step). No known deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import EntropyMethod, LossInputs, RolloutBatch, StepPlan, entropy_bonus
from .settings import require_not_negative, setting


@dataclass(frozen=True)
class FixedConfig:
    """Settings of `fixed`."""

    coef: float = setting(1e-3, "coefficient", "entropy coefficient; 0 trains GRPO and logs every entropy metric")

    def __post_init__(self) -> None:
        require_not_negative(self, "coef")


class Fixed(EntropyMethod):
    """Constant entropy bonus."""

    name = "fixed"
    config_class = FixedConfig

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        return StepPlan(
            torch.full((len(batch.scores),), self.config.coef), batch.lengths, {"aer/alpha": self.config.coef}
        )

    def loss(self, inputs: LossInputs) -> Tensor:
        return entropy_bonus(inputs)
