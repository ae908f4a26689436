"""`fixed`: a constant coefficient on every response token."""

import pytest
import torch

from aer_openrlhf.methods.fixed import Fixed, FixedConfig
from tests.unit.method_inputs import make_batch, make_loss_inputs


def test_every_response_gets_the_coefficient():
    plan = Fixed(FixedConfig(coef=0.25)).begin_step(make_batch([0, 1], [1.0, 2.0, 3.0], [2, 1], 2))
    assert plan.coefficients.tolist() == [0.25, 0.25]
    assert plan.counted_lengths.tolist() == [2, 1]
    assert plan.metrics == {"aer/alpha": 0.25}


def test_loss_by_hand():
    entropy = torch.tensor([[1.0, 2.0], [3.0, 9.0]], requires_grad=True)
    loss = Fixed(FixedConfig()).loss(make_loss_inputs(entropy, [[1, 1], [1, 0]], [0.5, 0.5], num_tokens=3))
    assert loss.item() == pytest.approx(-0.5 * (1 + 2 + 3) / 3)
    loss.backward()
    assert entropy.grad.tolist() == [pytest.approx([-1 / 6, -1 / 6]), pytest.approx([-1 / 6, 0.0])]


@pytest.mark.parametrize("coef", [-0.1, float("nan"), float("inf")])
def test_a_coefficient_that_is_no_number_from_0_is_refused(coef):
    with pytest.raises(ValueError, match=r"coef is .*: give a number not below 0"):
        FixedConfig(coef=coef)
