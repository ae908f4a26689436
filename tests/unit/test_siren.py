"""`siren`: the entropy of the nucleus at the uncertain tokens, pulled to its first value."""

import math

import pytest
import torch

from aer_openrlhf.methods.siren import Siren, SirenConfig, nucleus_entropy, selective_means
from tests.unit.method_inputs import make_batch, make_loss_inputs


def test_nucleus_entropy_by_hand():
    # 0.5 + 0.3 reach a mass of 0.8: entropy of 5/8, 3/8
    logits = torch.tensor([0.1, 0.5, 0.1, 0.3]).log()
    expected = -(5 / 8 * math.log(5 / 8) + 3 / 8 * math.log(3 / 8))
    assert nucleus_entropy(logits, 0.79, 100).item() == pytest.approx(expected, rel=1e-5)
    assert nucleus_entropy(logits, 0.49, 100).item() == pytest.approx(0.0, abs=1e-6)  # the first token alone
    assert nucleus_entropy(logits, 1.0, 1).item() == pytest.approx(0.0, abs=1e-6)  # looked for in one token
    whole = torch.distributions.Categorical(logits=logits).entropy().item()
    assert nucleus_entropy(logits, 1.0, 100).item() == pytest.approx(whole, rel=1e-5)


def test_gradient_of_the_nucleus_entropy():
    logits = torch.tensor([[2.0, 1.3, -1.0, -3.0, 0.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: nucleus_entropy(z, 0.8, 100), (logits,))


def test_selective_means_take_each_responses_uncertain_tokens():
    entropy = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 7.0, 99.0, 99.0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    # medians 2.5 and 6: tokens 3, 4 and token 7; what the mask leaves out never counts
    assert selective_means(entropy, mask, 0.5).tolist() == [3.5, 7.0]
    assert selective_means(entropy, mask, 0.0).tolist() == [3.0, 7.0]  # all but the least uncertain


def test_certain_tokens_do_not_count_where_they_are_most():
    # a nucleus of one token has entropy 0: the quantile of the first response is 0, and only its last token counts
    entropy = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.5], [0.0, 0.0, 0.0, 0.0, 0.0]])
    assert selective_means(entropy, torch.ones(2, 5), 0.5).tolist() == [1.5, 0.0]


def make_step(entropies):
    return make_batch([0, 1], [0.0] * 4, [2, 2], 2, method_entropy=entropies)


def test_coefficient_by_hand():
    method = Siren(SirenConfig(coef=0.5, quantile=0.5))
    first = method.begin_step(make_step([1.0, 3.0, 2.0, 6.0]))  # selected 3 and 6, anchor 4.5
    assert first.coefficients.tolist() == [0.0, 0.0]
    second = method.begin_step(make_step([1.0, 2.0, 1.0, 4.0]))  # selected 2 and 4: 3; 2 * 0.5 * (4.5 - 3)
    assert second.coefficients.tolist() == [1.5, 1.5]
    third = method.begin_step(make_step([1.0, 5.0, 1.0, 6.0]))  # 5.5: above the anchor it pushes down
    assert third.coefficients.tolist() == [-1.0, -1.0]
    assert third.metrics == {"aer/alpha": -1.0, "aer/entropy_selective": 5.5, "aer/entropy_anchor": 4.5}


def test_the_terms_gradient_is_that_of_the_square_at_the_rollout_policy():
    """d/dH of coef * (M - M_0)^2, however the batch is cut into micro-batches and spread over ranks."""
    coef, anchor = 0.5, 4.0
    entropy = torch.tensor([[1.0, 3.0], [2.0, 6.0], [5.0, 4.0], [1.0, 1.5]], dtype=torch.float64, requires_grad=True)
    mask = torch.ones(4, 2, dtype=torch.long)
    square = coef * (selective_means(entropy, mask, 0.5).mean() - anchor) ** 2
    (expected,) = torch.autograd.grad(square, entropy)
    method = Siren(SirenConfig(coef=coef, quantile=0.5))
    method.anchor = anchor
    batch = make_batch([0] * 4, [0.0] * 8, [2] * 4, 2, method_entropy=entropy.detach().flatten().tolist())
    coefficients = method.begin_step(batch).coefficients.double()
    for micro_batches, ranks in ((1, 1), (2, 1), (1, 2), (2, 2)):
        rows, responses = torch.arange(4).chunk(micro_batches * ranks), 4 / micro_batches
        terms = [
            method.loss(make_loss_inputs(entropy[r], mask[r], coefficients[r], 8, ranks, num_responses=responses))
            for r in rows
        ]
        (gradient,) = torch.autograd.grad(sum(terms) / len(rows), entropy)
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=0)


def test_the_anchor_survives_a_resume():
    method, resumed = Siren(SirenConfig()), Siren(SirenConfig())
    method.begin_step(make_step([1.0, 3.0, 2.0, 6.0]))
    resumed.load_state_dict(method.state_dict())
    step = make_step([1.0, 2.0, 1.0, 4.0])
    assert resumed.begin_step(step).metrics == method.begin_step(step).metrics


@pytest.mark.parametrize(
    ("field", "value"),
    [("top_p", 0.0), ("top_p", 1.1), ("top_k", 0), ("quantile", 1.0), ("quantile", -0.1), ("coef", -1.0)],
)
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        SirenConfig(**{field: value})
    SirenConfig(top_p=1.0, top_k=1, quantile=0.0)
