"""`clip_cov`: Clip-Cov, no gradient for a few tokens of high covariance (arXiv 2505.22617, equation for Clip-Cov).

    of the tokens with cov_low < cov_t < cov_high a random share, `ratio` of all tokens, gives no policy gradient

cov_t as in `covariance.py`; the loss is still divided by all response tokens. Reference implementation: the authors'
PRIME-RL/Entropy-Mechanism-of-RL, verl/trainer/ppo/core_algos.py (compute_policy_loss_clip_cov), the same in verl.
Defaults are those of the authors' recipe/dapo/7b_clip_cov.sh and 32b_clip_cov.sh, which also open the PPO clip
(`--actor.eps_clip_low_high 1 1`).

Known deviations: every candidate is dropped with the same probability, set from the rollout batch; theirs drops a
fixed number, at least one, in each micro-batch. Candidates may be among those that the PPO clip has silenced already.
The means are those of `covariance.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import LossInputs, RolloutBatch, StepPlan
from .covariance import CovarianceMethod, batch_covariance, token_covariance
from .settings import require, setting


@dataclass(frozen=True)
class ClipCovConfig:
    """Settings of `clip_cov`."""

    ratio: float = setting(2e-4, "share of all tokens in [0, 1]", "tokens that lose their policy gradient; 0 is GRPO")
    cov_low: float = setting(1.0, "covariance", "tokens at or below it are never dropped")
    cov_high: float = setting(5.0, "covariance", "tokens at or above it are never dropped")

    def __post_init__(self) -> None:
        require(0 <= self.ratio <= 1, "ratio", self.ratio, "a share of all tokens in [0, 1], for example 0.0002")
        require(self.cov_low < self.cov_high, "cov_low", self.cov_low, f"a number below cov_high ({self.cov_high})")


class ClipCov(CovarianceMethod):
    """Drops tokens from the policy gradient by covariance."""

    name = "clip_cov"
    config_class = ClipCovConfig

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        covariance, means = batch_covariance(batch)
        candidates = float(self._is_candidate(covariance).double().mean())
        drop = min(1.0, self.config.ratio / candidates) if candidates > 0 else 0.0
        active = torch.full((len(batch.scores),), float(self.config.ratio > 0))
        metrics = {"aer/cov_candidate_share": candidates}
        return StepPlan(active, batch.lengths, metrics, shared={**means, "drop_probability": drop})

    def advantages(self, inputs: LossInputs) -> Tensor:
        """The advantages, 0 for the tokens that are dropped."""
        candidates = self._is_candidate(token_covariance(inputs))
        dropped = candidates & (torch.rand_like(inputs.log_probs) < inputs.shared["drop_probability"])
        return inputs.advantages.masked_fill(dropped, 0.0)

    def _is_candidate(self, covariance: Tensor) -> Tensor:
        return (covariance > self.config.cov_low) & (covariance < self.config.cov_high)
