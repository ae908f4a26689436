"""What every method declares of itself is so, and what every method refuses."""

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


@pytest.mark.parametrize("name", METHODS)
def test_a_state_that_is_not_whole_is_refused(name):
    method = make_method(name)
    for key in method.state_dict():
        foreign = {other: 0 for other in method.state_dict() if other != key}
        with pytest.raises(ValueError, match=f"^the saved state of {name} lacks {key}$"):
            method.load_state_dict(foreign)
