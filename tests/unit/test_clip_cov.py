"""`clip_cov`: a random few of the tokens in a band of covariance lose their policy gradient."""

import pytest
import torch

from aer_openrlhf.methods.clip_cov import ClipCov, ClipCovConfig
from tests.unit.method_inputs import make_batch, make_loss_inputs

# mean advantage 3, mean log-prob -2: covariances 1 * 1, 1 * -1, -1 * 1, -1 * -1
ADVANTAGES, LOG_PROBS = [4.0, 4.0, 2.0, 2.0], [-1.0, -3.0, -1.0, -3.0]


def make_step():
    return make_batch([1, 0], [0.0] * 4, [2, 2], 2, advantages=ADVANTAGES, log_probs=LOG_PROBS)


def test_plan_by_hand():
    plan = ClipCov(ClipCovConfig(ratio=0.125, cov_low=0.5, cov_high=2.0)).begin_step(make_step())
    assert plan.metrics == {"aer/cov_candidate_share": 0.5}
    # an eighth of all tokens is a quarter of the candidates
    assert plan.shared == {"advantage_mean": 3.0, "log_prob_mean": -2.0, "drop_probability": 0.25}
    assert plan.coefficients.tolist() == [1.0, 1.0]


def inputs_for(plan, rows=1):
    shape = (2 * rows, 2)
    return make_loss_inputs(
        None,
        torch.ones(shape, dtype=torch.long),
        [1.0] * shape[0],
        4,
        advantages=torch.tensor(ADVANTAGES * rows).view(shape),
        log_probs=torch.tensor(LOG_PROBS * rows).view(shape),
        shared=plan.shared,
    )


def test_candidates_are_dropped_and_nothing_else_is_touched():
    method = ClipCov(ClipCovConfig(ratio=1.0, cov_low=0.5, cov_high=2.0))
    plan = method.begin_step(make_step())
    assert plan.shared["drop_probability"] == 1.0
    assert method.advantages(inputs_for(plan)).tolist() == [[0.0, 4.0], [2.0, 0.0]]


@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (0.5, 1.0)])
def test_a_token_at_a_limit_is_no_candidate(low, high):
    plan = ClipCov(ClipCovConfig(cov_low=low, cov_high=high)).begin_step(make_step())
    assert plan.metrics == {"aer/cov_candidate_share": 0.0}


def test_the_share_that_is_dropped_is_the_ratio_of_all_tokens():
    torch.manual_seed(0)
    method = ClipCov(ClipCovConfig(ratio=0.125, cov_low=0.5, cov_high=2.0))
    shaped = method.advantages(inputs_for(method.begin_step(make_step()), rows=5000))
    # 20,000 tokens: a standard deviation of 0.0022
    assert float((shaped == 0).double().mean()) == pytest.approx(0.125, abs=0.01)


def test_ratio_0_and_no_candidate_leave_the_batch_alone():
    assert ClipCov(ClipCovConfig(ratio=0.0)).begin_step(make_step()).coefficients.tolist() == [0.0, 0.0]
    method = ClipCov(ClipCovConfig(cov_low=3.0))
    plan = method.begin_step(make_step())
    assert plan.shared["drop_probability"] == 0.0
    assert method.advantages(inputs_for(plan)).tolist() == [[4.0, 4.0], [2.0, 2.0]]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"cov_low is 5.0: give a number below cov_high \(5.0\)"):
        ClipCovConfig(cov_low=5.0)
    with pytest.raises(ValueError, match=r"ratio is 1\.5"):
        ClipCovConfig(ratio=1.5)
    assert ClipCov.refusal({"actor.policy_loss_type": "ppo"}) is None
