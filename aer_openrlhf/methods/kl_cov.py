"""`kl_cov`: KL-Cov, a KL penalty on the few tokens of highest covariance (arXiv 2505.22617, equation for KL-Cov).

    L = L_policy + coef * (1/N) * sum over the share `ratio` of tokens with the highest cov_t of |log pi - log pi_old|

cov_t as in `covariance.py`. Reference implementations: PRIME-RL/Entropy-Mechanism-of-RL and verl,
verl/trainer/ppo/core_algos.py (compute_policy_loss_kl_cov); defaults are the authors' 7B script's.

Known deviations: OpenRLHF's PPO clip stays (theirs has none: `--actor.eps_clip_low_high` takes wide bounds); the
threshold that the highest share lies above is that of the rollout batch, theirs that of each micro-batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import LossInputs, RolloutBatch, StepPlan
from .covariance import CovarianceMethod, batch_covariance, token_covariance
from .settings import require, require_not_negative, setting


@dataclass(frozen=True)
class KLCovConfig:
    """Settings of `kl_cov`."""

    ratio: float = setting(2e-3, "share of all tokens in (0, 1]", "tokens of highest covariance that are penalised")
    coef: float = setting(1.0, "coefficient", "weight of the penalty |log pi - log pi_old|; 0 is GRPO")

    def __post_init__(self) -> None:
        require(0 < self.ratio <= 1, "ratio", self.ratio, "a share of all tokens in (0, 1], for example 0.002")
        require_not_negative(self, "coef")


class KLCov(CovarianceMethod):
    """Penalises the drift of the tokens through which entropy falls."""

    name = "kl_cov"
    config_class = KLCovConfig

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        covariance, means = batch_covariance(batch)
        count = max(1, round(self.config.ratio * len(covariance)))
        threshold = float(covariance.topk(count).values[-1])
        weights = torch.full((len(batch.scores),), self.config.coef)
        metrics = {"aer/cov_threshold": threshold}
        return StepPlan(weights, batch.lengths, metrics, shared={**means, "cov_threshold": threshold})

    def loss(self, inputs: LossInputs) -> Tensor:
        selected = (token_covariance(inputs) >= inputs.shared["cov_threshold"]) & inputs.mask.bool()
        drift = (inputs.log_probs - inputs.old_log_probs).abs() * selected
        return (inputs.coefficients.unsqueeze(-1) * drift).sum() / inputs.num_tokens * inputs.dp_size
