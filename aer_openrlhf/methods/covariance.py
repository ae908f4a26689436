"""Token covariance of advantage and log-probability, which `clip_cov` and `kl_cov` select tokens by.

    cov_t = (A_t - mean A) * (log pi_t - mean log pi)

Tokens with a high one are those through which the policy gradient lowers entropy (arXiv 2505.22617, section 4).

Both means are those of the rollout batch at the policy before the update, so that what is selected does not depend on
micro-batches and ranks; the reference implementation takes them over each micro-batch, under the policy in training.
"""

from __future__ import annotations

from torch import Tensor

from .base import EntropyMethod, LossInputs, RolloutBatch


def batch_covariance(batch: RolloutBatch) -> tuple[Tensor, dict[str, float]]:
    """(N,) covariance of every response token at the rollout policy, and the means for `token_covariance`."""
    assert batch.advantages is not None and batch.log_probs is not None
    advantages, log_probs = batch.advantages.double(), batch.log_probs.double()
    means = {"advantage_mean": float(advantages.mean()), "log_prob_mean": float(log_probs.mean())}
    return (advantages - means["advantage_mean"]) * (log_probs - means["log_prob_mean"]), means


def token_covariance(inputs: LossInputs) -> Tensor:
    """(B, A) covariance of every token under the policy in training, without gradient."""
    centred = inputs.log_probs.detach() - inputs.shared["log_prob_mean"]
    return (inputs.advantages - inputs.shared["advantage_mean"]) * centred


class CovarianceMethod(EntropyMethod):
    """A method that chooses single tokens by covariance; it reads no entropy."""

    has_entropy_term = False
    needs_entropy = False
    selects_tokens = True
