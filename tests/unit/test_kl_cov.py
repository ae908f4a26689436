"""`kl_cov`: a penalty on the drift of the tokens of highest covariance."""

import pytest
import torch

from aer_openrlhf.methods.kl_cov import KLCov, KLCovConfig
from tests.unit.method_inputs import make_batch, make_loss_inputs

# mean advantage 0, mean log-prob -2: covariances 2 * 1, 1 * -1, -1 * 1, -2 * -1
ADVANTAGES, LOG_PROBS = [2.0, 1.0, -1.0, -2.0], [-1.0, -3.0, -1.0, -3.0]


def make_step():
    return make_batch([1, 0], [0.0] * 4, [2, 2], 2, advantages=ADVANTAGES, log_probs=LOG_PROBS)


def selected(ratio, advantages, log_probs):
    """Which of the tokens of two responses are penalised before the policy has moved."""
    batch = make_batch(
        [1, 0], [0.0] * len(advantages), [len(advantages) // 2] * 2, 2, advantages=advantages, log_probs=log_probs
    )
    method = KLCov(KLCovConfig(ratio=ratio))
    plan = method.begin_step(batch)
    old = batch.padded(batch.log_probs)
    drifted = (old - 1.0).requires_grad_()
    inputs = make_loss_inputs(
        None,
        batch.mask(),
        plan.coefficients,
        1,
        advantages=batch.padded(batch.advantages),
        log_probs=drifted,
        old_log_probs=old,
        # the policy has drifted by 1 everywhere: the covariance of the rollout policy is that about a mean of one less
        shared={**plan.shared, "log_prob_mean": plan.shared["log_prob_mean"] - 1.0},
    )
    method.loss(inputs).backward()
    return drifted.grad.flatten().bool().tolist()


def test_the_share_of_highest_covariance_is_penalised():
    advantages, log_probs = [3.0, 1.0, -1.0, -3.0], [-1.0, -3.0, -2.5, -1.5]
    # mean 0 and -2: covariances 3, -1, 0.5, -1.5
    assert selected(0.5, advantages, log_probs) == [True, False, True, False]
    assert selected(0.75, advantages, log_probs) == [True, True, True, False]
    assert selected(1.0, advantages, log_probs) == [True] * 4
    assert selected(1e-6, advantages, log_probs) == [True, False, False, False]  # one at least


def test_no_more_than_the_share_where_covariances_are_equal():
    log_probs = [-1.0, -3.0, -2.5, -1.5]
    assert selected(0.25, [0.0] * 4, log_probs) == [False] * 4  # no response is better than another
    assert selected(0.75, ADVANTAGES, LOG_PROBS) == [True, False, False, True]  # 2, -1, -1, 2: two of three
    assert selected(0.5, ADVANTAGES, LOG_PROBS) == [True, False, False, True]


def test_the_threshold_is_the_highest_covariance_that_is_not_penalised():
    assert KLCov(KLCovConfig(ratio=0.5)).begin_step(make_step()).metrics == {"aer/cov_threshold": -1.0}
    assert KLCov(KLCovConfig(ratio=0.25)).begin_step(make_step()).metrics == {"aer/cov_threshold": 2.0}


def test_loss_and_gradient_by_hand():
    method = KLCov(KLCovConfig(ratio=0.5, coef=0.3))
    plan = method.begin_step(make_step())
    old = torch.tensor(LOG_PROBS).view(2, 2)
    log_probs = (old + torch.tensor([[0.5, -0.1], [0.1, -0.5]])).requires_grad_()
    inputs = make_loss_inputs(
        None,
        torch.ones(2, 2, dtype=torch.long),
        plan.coefficients,
        4,
        dp_size=2,
        advantages=torch.tensor(ADVANTAGES).view(2, 2),
        log_probs=log_probs,
        old_log_probs=old,
        shared=plan.shared,
    )
    # under the policy in training 2 * 1.5 = 3, 1 * -1.1, -1 * 1.1, -2 * -1.5 = 3; threshold -1: the first and the last
    loss = method.loss(inputs)
    assert loss.item() == pytest.approx(0.3 * (0.5 + 0.5) / 4 * 2)
    loss.backward()
    assert log_probs.grad.tolist() == [pytest.approx([0.15, 0.0]), pytest.approx([0.0, -0.15])]


def test_coefficient_0_leaves_the_batch_alone():
    assert KLCov(KLCovConfig(coef=0.0)).begin_step(make_step()).coefficients.tolist() == [0.0, 0.0]


def test_what_makes_no_sense_is_refused():
    for ratio in (0.0, 1.1):
        with pytest.raises(ValueError, match=f"ratio is {ratio}: give a share of all tokens in"):
            KLCovConfig(ratio=ratio)
    with pytest.raises(ValueError, match=r"coef is -1\.0"):
        KLCovConfig(coef=-1.0)


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
