"""`siren`: SIREN, selective entropy held at its first value (arXiv 2509.25133).

    H~ = entropy of the policy renormalised over its nucleus (the most likely tokens up to mass `top_p`)
    M  = mean over responses of the mean of H~ over the tokens above the response's `quantile` of H~, 0 for none
    L  = L_policy + coef * (M - M_0)^2

M_0 is M of the first rollout batch, before its update. A token whose likeliest continuation has mass `top_p` or more
has H~ = 0; where most tokens are such, the quantile is 0 and those with H~ = 0 do not count. Reference implementation:
the authors' Linn3a/siren, verl/verl/workers/actor/dp_actor.py (efficient_top_p_sampling, mask_by_quantile) and
verl/verl/trainer/ppo/ray_trainer.py (the anchor); defaults are those of its exp_scripts/siren.sh.

Known deviations: the square is linearised at the rollout policy, 2 * coef * (M_k - M_0) * M, with M_k over the whole
batch. Its gradient is that of the square at the first optimizer step, and does not depend on how the batch is cut into
micro-batches; theirs squares the mean of each micro-batch under the policy in training. Our nucleus has the token that
reaches `top_p`, as in nucleus sampling; theirs ends before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .base import EntropyMethod, LossInputs, RolloutBatch, StepPlan
from .settings import require, require_not_negative, setting


@dataclass(frozen=True)
class SirenConfig:
    """Settings of `siren`."""

    coef: float = setting(0.005, "coefficient per nat", "weight of the squared distance to the anchor")
    top_p: float = setting(0.8, "probability in (0, 1]", "mass of the nucleus that the entropy is taken over")
    top_k: int = setting(10_000, "tokens", "most likely tokens that the nucleus is looked for in")
    quantile: float = setting(
        0.8, "share in [0, 1)", "only tokens above this quantile of their response's entropy count"
    )

    def __post_init__(self) -> None:
        require_not_negative(self, "coef")
        require(0 < self.top_p <= 1, "top_p", self.top_p, "a probability in (0, 1], for example 0.8")
        require(self.top_k >= 1, "top_k", self.top_k, "a whole number from 1")
        require(0 <= self.quantile < 1, "quantile", self.quantile, "a share in [0, 1), for example 0.8")


def nucleus_entropy(logits: Tensor, top_p: float, top_k: int) -> Tensor:
    """(...) entropy in nats of (..., V) logits, renormalised over the smallest set of tokens with mass `top_p`."""
    log_probs = torch.log_softmax(logits, dim=-1).topk(min(top_k, logits.shape[-1]), dim=-1).values
    mass_before = log_probs.exp().cumsum(-1) - log_probs.exp()
    outside = mass_before >= top_p
    nucleus = torch.log_softmax(log_probs.masked_fill(outside, -torch.inf), dim=-1)
    return -(nucleus.exp() * nucleus.masked_fill(outside, 0.0)).sum(-1)


def selective_means(entropy: Tensor, mask: Tensor, quantile: float) -> Tensor:
    """(B,) mean entropy of each response's tokens above its own `quantile` of entropy, 0 where none is above it.

    entropy, mask: (B, A).
    """
    response = entropy.detach().double().masked_fill(mask == 0, torch.nan)
    threshold = response.nanquantile(quantile, dim=-1, keepdim=True)
    selected = (response > threshold).to(entropy.dtype)  # a comparison with nan is false
    return (entropy * selected).sum(-1) / selected.sum(-1).clamp(min=1)


class Siren(EntropyMethod):
    """Quadratic pull of the selective entropy to its first value."""

    name = "siren"
    config_class = SirenConfig
    has_own_entropy = True
    measured_with = ("top_p", "top_k", "quantile")

    def __init__(self, config: SirenConfig) -> None:
        super().__init__(config)
        self.anchor: float | None = None

    def begin_step(self, batch: RolloutBatch) -> StepPlan:
        assert batch.method_entropy is not None
        entropy = batch.padded(batch.method_entropy.double())
        selective = float(selective_means(entropy, batch.mask(), self.config.quantile).mean())
        if self.anchor is None:
            self.anchor = selective
        coefficient = 2 * self.config.coef * (self.anchor - selective)
        metrics = {"aer/alpha": coefficient, "aer/entropy_selective": selective, "aer/entropy_anchor": self.anchor}
        return StepPlan(torch.full((len(batch.scores),), coefficient), batch.lengths, metrics)

    def token_entropy(self, logits: Tensor) -> Tensor:
        return nucleus_entropy(logits, self.config.top_p, self.config.top_k)

    def loss(self, inputs: LossInputs) -> Tensor:
        assert inputs.entropy is not None
        means = selective_means(inputs.entropy, inputs.mask, self.config.quantile)
        return -(inputs.coefficients * means).sum() / inputs.num_responses * inputs.dp_size

    def state_dict(self) -> dict[str, Any]:
        return {"anchor": self.anchor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.anchor = state["anchor"]
