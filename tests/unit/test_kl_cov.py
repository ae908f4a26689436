"""`kl_cov`: a penalty on the drift of the tokens of highest covariance."""

import pytest
import torch

from aer_openrlhf.methods.kl_cov import KLCov, KLCovConfig
from tests.unit.method_inputs import make_batch, make_loss_inputs

# mean advantage 0, mean log-prob -2: covariances 2 * 1, 1 * -1, -1 * 1, -2 * -1
ADVANTAGES, LOG_PROBS = [2.0, 1.0, -1.0, -2.0], [-1.0, -3.0, -1.0, -3.0]


def make_step():
    return make_batch([1, 0], [0.0] * 4, [2, 2], 2, advantages=ADVANTAGES, log_probs=LOG_PROBS)


def test_the_threshold_is_that_of_the_highest_share():
    assert KLCov(KLCovConfig(ratio=0.5)).begin_step(make_step()).metrics == {"aer/cov_threshold": 2.0}
    assert KLCov(KLCovConfig(ratio=0.75)).begin_step(make_step()).metrics == {"aer/cov_threshold": -1.0}
    assert KLCov(KLCovConfig(ratio=1e-6)).begin_step(make_step()).metrics == {"aer/cov_threshold": 2.0}  # one at least


def test_loss_and_gradient_by_hand():
    method = KLCov(KLCovConfig(ratio=0.5, coef=0.3))
    plan = method.begin_step(make_step())
    old = torch.tensor(LOG_PROBS).view(2, 2)
    log_probs = (old + torch.tensor([[0.5, 0.1], [0.1, -0.5]])).requires_grad_()
    inputs = make_loss_inputs(
        None,
        torch.ones(2, 2, dtype=torch.long),
        plan.coefficients,
        4,
        advantages=torch.tensor(ADVANTAGES).view(2, 2),
        log_probs=log_probs,
        old_log_probs=old,
        shared={**plan.shared, "cov_threshold": 1.5},
    )
    # covariances under the policy in training: 2 * 1.5 = 3, 1 * -0.9, -1 * 1.1, -2 * -1.5 = 3: the first and the last
    loss = method.loss(inputs)
    assert loss.item() == pytest.approx(0.3 * (0.5 + 0.5) / 4)
    loss.backward()
    assert log_probs.grad.tolist() == [pytest.approx([0.075, 0.0]), pytest.approx([0.0, -0.075])]


def test_coefficient_0_leaves_the_batch_alone():
    assert KLCov(KLCovConfig(coef=0.0)).begin_step(make_step()).coefficients.tolist() == [0.0, 0.0]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"ratio is 0\.0"):
        KLCovConfig(ratio=0.0)
    with pytest.raises(ValueError, match=r"coef is -1\.0"):
        KLCovConfig(coef=-1.0)
    assert "--aer.method kl_cov selects tokens" in KLCov.refusal(make_flags(64) | {"actor.policy_loss_type": "gspo"})


def make_flags(train_batch_size, **changed):
    """16 prompts with 8 responses each."""
    flags = {
        "rollout.batch_size": 16,
        "rollout.n_samples_per_prompt": 8,
        "train.batch_size": train_batch_size,
        "train.max_epochs": 1,
        "aer.kl_cov.coef": 1.0,
    }
    return flags | changed


def test_one_optimizer_step_a_rollout_is_refused_as_it_has_no_drift():
    assert "give --train.batch_size 64 or less" in KLCov.refusal(make_flags(128))
    assert KLCov.refusal(make_flags(64)) is None
    assert KLCov.refusal(make_flags(128, **{"train.max_epochs": 2})) is None
    assert KLCov.refusal(make_flags(128, **{"aer.kl_cov.coef": 0.0})) is None  # asked for: it is GRPO
