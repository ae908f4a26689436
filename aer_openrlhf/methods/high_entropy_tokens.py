"""`high_entropy_tokens`: policy gradient from the forking tokens alone (arXiv 2506.01939, "Beyond the 80/20 Rule").

    A'_t = A_t * [H_t >= Q],   Q the (1 - share) quantile of token entropy over the whole rollout batch

The loss is still divided by all response tokens, as in the paper's objective and in huggingface/trl,
trl/trainer/grpo_trainer.py (get_high_entropy_mask). Reference implementation: the authors'
Shenzhi-Wang/Beyond-the-80-20-Rule-RLVR, verl/trainer/ppo/core_algos.py (get_global_entropy_top_mask) and
verl/workers/actor/dp_actor.py; the default share is the paper's 20 %.

Known deviations: Q is that of the rollout batch before its update, kept over its optimizer steps; their code takes the
highest share of each micro-batch. Their code divides by the tokens that are trained: a gradient 1 / share times as
large, which Adam takes out and gradient clipping does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import EntropyMethod, LossInputs, RolloutBatch, StepPlan
from .settings import require, setting


@dataclass(frozen=True)
class HighEntropyTokensConfig:
    """Settings of `high_entropy_tokens`."""

    share: float = setting(
        0.2, "share of all tokens in (0, 1]", "tokens of highest entropy that are trained; 1 is GRPO"
    )

    def __post_init__(self) -> None:
        require(0 < self.share <= 1, "share", self.share, "a share of all tokens in (0, 1], for example 0.2")


class HighEntropyTokens(EntropyMethod):
    """Trains the tokens of highest entropy."""

    name = "high_entropy_tokens"
    config_class = HighEntropyTokensConfig
    has_entropy_term = False
    selects_tokens = True

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        count = max(1, round(self.config.share * len(batch.entropy)))
        threshold = float(batch.entropy.topk(count).values[-1])
        active = torch.full((len(batch.scores),), float(self.config.share < 1))
        return StepPlan(active, batch.lengths, {"aer/entropy_threshold": threshold}, {"entropy_threshold": threshold})

    def advantages(self, inputs: LossInputs) -> Tensor:
        assert inputs.entropy is not None
        return inputs.advantages * (inputs.entropy.detach() >= inputs.shared["entropy_threshold"])
