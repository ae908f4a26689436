"""`kl_cov`: KL-Cov, a KL penalty on the few tokens of highest covariance (arXiv 2505.22617, equation for KL-Cov).

    L = L_policy + coef * (1/N) * sum over the share `ratio` of tokens with the highest cov_t of |log pi - log pi_old|

cov_t as in `covariance.py`. Reference implementation: the authors' PRIME-RL/Entropy-Mechanism-of-RL,
verl/trainer/ppo/core_algos.py (compute_policy_loss_kl_cov), the same in verl. Defaults are those of the authors'
recipe/dapo/7b_kl_cov.sh (0.2 % and 1); their 32B script has a ratio of 2e-4, verl's own configuration 2e-4 and 0.1.

Known deviations: OpenRLHF's PPO clip stays, theirs has none: `--actor.eps_clip_low_high 1 1e9` takes it out. The
threshold that the highest share lies above is that of the rollout batch at the rollout policy, theirs that of each
micro-batch under the policy in training. Of tokens with equal covariance at the limit none is penalised (where every
advantage is 0, no token at all), theirs takes as many as make up the share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

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

    @classmethod
    def refusal(cls, flags: Mapping[str, Any]) -> str | None:
        responses = flags["rollout.batch_size"] * flags["rollout.n_samples_per_prompt"]
        one_step = responses // flags["train.batch_size"] * flags["train.max_epochs"] <= 1
        if one_step and flags["aer.kl_cov.coef"] > 0:
            return (
                "--aer.method kl_cov penalises drift from the rollout policy, and the first optimizer step has none: "
                f"give --train.batch_size {responses // 2} or less, for two optimizer steps a rollout or more"
            )
        return super().refusal(flags)

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        covariance, means = batch_covariance(batch)
        count = max(1, round(self.config.ratio * len(covariance)))
        # The highest covariance that is not penalised: of equal ones at the limit none is, instead of all.
        threshold = float(pad(covariance, (0, 1), value=-torch.inf).topk(count + 1).values[-1])
        weights = torch.full((len(batch.scores),), self.config.coef)
        metrics = {"aer/cov_threshold": threshold}
        return StepPlan(weights, batch.lengths, metrics, shared={**means, "cov_threshold": threshold})

    def loss(self, inputs: LossInputs) -> Tensor:
        selected = (token_covariance(inputs) > inputs.shared["cov_threshold"]) & inputs.mask.bool()
        drift = (inputs.log_probs - inputs.old_log_probs).abs() * selected
        return (inputs.coefficients.unsqueeze(-1) * drift).sum() / inputs.num_tokens * inputs.dp_size
