"""`skywork`: adaptive entropy control of Skywork-OR1 (MAGIC; arXiv 2505.22312, section on adaptive entropy control).

    c_(k+1) = clip(c_k + delta if H_k < H* else c_k - delta, coef_min, coef_max)
    L       = L_policy - c_k * [H_k < H*] * (1/N) * sum_i sum_t H_it

A constant step towards an absolute target; the term is on only below it. The coefficient in force at step k is that of
the steps before. Reference implementation: the authors' SkyworkAI/Skywork-OR1, verl/trainer/ppo/core_algos.py
(EntController), ray_trainer.py and verl/workers/actor/dp_actor.py; defaults are those of every script in
or1_scripts/train (7B and 32B).

Known deviations: H_k is the exact entropy of the rollout batch; theirs is the sampled estimate - mean log pi_old. The
bonus is switched by the entropy of its own step, in their code by that of the step before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .base import EntropyMethod, LossInputs, RolloutBatch, StepPlan, entropy_bonus
from .settings import clip, require_coef_in_box, require_not_negative, setting


@dataclass(frozen=True)
class SkyworkConfig:
    """Settings of `skywork`."""

    target_entropy: float = setting(0.2, "nats", "absolute target entropy; the bonus is on only below it")
    delta: float = setting(
        1e-4, "coefficient per rollout step", "step of the coefficient, up below the target, else down"
    )
    coef_init: float = setting(0.0, "coefficient", "coefficient before the first rollout step")
    coef_min: float = setting(0.0, "coefficient", "lower bound of the coefficient")
    coef_max: float = setting(0.005, "coefficient", "upper bound of the coefficient")

    def __post_init__(self) -> None:
        require_not_negative(self, "target_entropy", "delta")
        require_coef_in_box(self)


class Skywork(EntropyMethod):
    """Sign controller on an absolute target."""

    name = "skywork"
    config_class = SkyworkConfig

    def __init__(self, config: SkyworkConfig) -> None:
        super().__init__(config)
        self.coef = config.coef_init

    @property
    def alpha_max(self) -> float | None:
        return self.config.coef_max if self.config.coef_max > self.config.coef_min else None

    @property
    def replaced_by_state(self) -> tuple[str, ...]:
        return ("coef_init",)

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        config = self.config
        below = float(batch.entropy.double().mean()) < config.target_entropy
        in_force = self.coef if below else 0.0
        step = config.delta if below else -config.delta
        self.coef = clip(self.coef + step, config.coef_min, config.coef_max)
        metrics = {"aer/alpha": in_force, "aer/entropy_target": config.target_entropy}
        return StepPlan(torch.full((len(batch.scores),), in_force), batch.lengths, metrics)

    def loss(self, inputs: LossInputs) -> Tensor:
        return entropy_bonus(inputs)

    def state_dict(self) -> dict[str, Any]:
        return {"coef": self.coef}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.coef = clip(float(state["coef"]), self.config.coef_min, self.config.coef_max)
