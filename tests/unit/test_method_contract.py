"""What every method declares of itself is so, and what every method refuses."""

import dataclasses
import math

import pytest
import torch

from aer_openrlhf.methods.base import EntropyMethod
from aer_openrlhf.methods.registry import METHODS
from tests.unit.method_inputs import make_batch, make_loss_inputs

ENTROPY = [0.1, 0.9, 0.3, 0.4, 0.2, 0.8, 0.5, 0.6]
ADVANTAGES = [1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0]
LOG_PROBS = [-0.1, -2.0, -0.5, -0.3, -0.2, -1.5, -0.7, -0.9]
TOKENS = {"method_entropy": ENTROPY, "advantages": ADVANTAGES, "log_probs": LOG_PROBS}


def make_method(name):
    return METHODS[name](METHODS[name].config_class())


def make_inputs(method, entropy):
    """Of the whole batch in one, every coefficient 1."""
    plan = method.begin_step(make_batch([1, 0, 1, 0], ENTROPY, [2] * 4, 2, **TOKENS))
    tokens = {name: torch.tensor(TOKENS[name]).view(4, 2) for name in ("advantages", "log_probs")}
    return make_loss_inputs(entropy, torch.ones(4, 2), [1.0] * 4, 8, shared=plan.shared, **tokens)


def reads_entropy(method):
    """Whether the method fails where there is none."""
    inputs = make_inputs(method, None)
    try:
        method.advantages(inputs), method.loss(inputs)
    except (AssertionError, AttributeError, TypeError):
        return True
    return False


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_declares_is_so(name):
    method = make_method(name)
    entropy = torch.tensor(ENTROPY).view(4, 2).requires_grad_()
    term = method.loss(make_inputs(method, entropy))
    assert method.has_entropy_term == (term is not None and term.requires_grad)
    assert method.needs_entropy == reads_entropy(method)
    assert method.has_own_entropy == (type(method).token_entropy is not EntropyMethod.token_entropy)
    assert method.selects_tokens or type(method).advantages is EntropyMethod.advantages
    fields = {field.name for field in dataclasses.fields(method.config_class)}
    assert {*method.measured_with, *method.replaced_by_state} <= fields


@pytest.mark.parametrize("name", ["aer", "fixed", "skywork", "aent"])
def test_a_bonus_raises_the_entropy_of_every_token_alike(name):
    method = make_method(name)
    entropy = torch.tensor(ENTROPY).view(4, 2).requires_grad_()
    method.loss(make_inputs(method, entropy)).backward()
    assert entropy.grad.flatten().tolist() == pytest.approx([-1 / 8] * 8)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_entropy_that_is_not_finite_reaches_no_method(name, value):
    broken = [*ENTROPY[:-1], value]
    own = {"method_entropy": broken} if METHODS[name].has_own_entropy else {}
    with pytest.raises(ValueError, match=r"^the token entropies of the rollout batch are not finite: look"):
        make_method(name).begin_step(make_batch([1, 0, 1, 0], ENTROPY if own else broken, [2] * 4, 2, **TOKENS | own))


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].selects_tokens])
def test_what_selects_tokens_is_refused_with_one_ratio_a_response(name):
    flags = {
        "rollout.batch_size": 16,
        "rollout.n_samples_per_prompt": 8,
        "train.batch_size": 64,
        "train.max_epochs": 1,
        "aer.kl_cov.coef": 1.0,
    }
    assert METHODS[name].refusal(flags | {"actor.policy_loss_type": "ppo"}) is None
    refusal = METHODS[name].refusal(flags | {"actor.policy_loss_type": "gspo"})
    assert refusal.startswith(f"--aer.method {name} selects tokens") and "give --actor.policy_loss_type ppo" in refusal


@pytest.mark.parametrize("name", METHODS)
def test_a_state_that_is_not_whole_is_refused(name):
    method = make_method(name)
    for key in method.state_dict():
        foreign = {other: 0 for other in method.state_dict() if other != key}
        with pytest.raises(ValueError, match=f"^the saved state of {name} lacks {key}$"):
            method.load_state_dict(foreign)
