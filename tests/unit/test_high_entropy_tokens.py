"""`high_entropy_tokens`: the tokens of highest entropy alone are trained."""

import pytest
import torch

from aer_openrlhf.methods.high_entropy_tokens import HighEntropyTokens, HighEntropyTokensConfig
from tests.unit.method_inputs import make_batch, make_loss_inputs

ENTROPY = [0.1, 0.9, 0.3, 0.2, 0.8]


def test_the_threshold_is_global_and_the_rest_loses_its_gradient():
    method = HighEntropyTokens(HighEntropyTokensConfig(share=0.4))
    plan = method.begin_step(make_batch([0, 1], ENTROPY, [3, 2], 2))
    assert plan.shared["entropy_threshold"] == pytest.approx(0.8)  # 2 of 5 tokens
    entropy = torch.tensor([[0.1, 0.9, 0.3], [0.2, 0.8, 0.0]])
    advantages = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, 0.0]])
    inputs = make_loss_inputs(
        entropy, [[1, 1, 1], [1, 1, 0]], plan.coefficients, 5, advantages=advantages, shared=plan.shared
    )
    assert method.advantages(inputs).tolist() == [[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]


def test_one_token_at_least_is_trained_and_share_1_is_stock():
    batch = make_batch([0, 1], ENTROPY, [3, 2], 2)
    plan = HighEntropyTokens(HighEntropyTokensConfig(share=0.01)).begin_step(batch)
    assert plan.metrics["aer/entropy_threshold"] == pytest.approx(0.9)
    assert plan.coefficients.tolist() == [1.0, 1.0]
    assert HighEntropyTokens(HighEntropyTokensConfig(share=1.0)).begin_step(batch).coefficients.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match=f"share is {share}"):
        HighEntropyTokensConfig(share=share)
