"""`aent`: entropy over the likely part of the vocabulary, held in a band."""

import math

import pytest
import torch

from aer_openrlhf.methods.aent import AEnt, AEntConfig, clamped_entropy
from tests.unit.method_inputs import make_batch


def test_clamped_entropy_by_hand():
    # probabilities 0.4, 0.4, 0.1, 0.1: without the two least likely 1/2, 1/2 are left, ln 2
    logits = torch.tensor([0.4, 0.1, 0.4, 0.1]).log()
    assert clamped_entropy(logits, 0.5).item() == pytest.approx(math.log(2))
    full = -2 * 0.4 * math.log(0.4) - 2 * 0.1 * math.log(0.1)
    assert clamped_entropy(logits, 0.0).item() == pytest.approx(full)
    assert clamped_entropy(logits, 0.24).item() == pytest.approx(full)  # int(0.24 * 4) = 0 tokens are left out


def test_gradient_is_that_of_the_renormalised_entropy_and_0_outside():
    logits = torch.tensor([[2.0, 1.0, -1.0, -3.0, 0.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: clamped_entropy(z, 0.4), (logits,))
    (gradient,) = torch.autograd.grad(clamped_entropy(logits, 0.4).sum(), logits)
    assert gradient[0, 2] == gradient[0, 3] == 0


def make_step(entropy):
    return make_batch([0, 1], [9.0, 9.0], [1, 1], 2, method_entropy=[entropy, entropy])


def test_controller_by_hand():
    config = AEntConfig(entropy_low=0.2, entropy_high=0.4, lr=0.1, coef_init=0.05, coef_max=0.06, warmup_steps=1)
    method = AEnt(config)
    in_force = [float(method.begin_step(make_step(h)).coefficients[0]) for h in (0.0, 0.3, 0.1, 0.1, 0.9, 0.3)]
    # warm-up; inside the band; 0.1 below: + 0.01; again, clipped at 0.06; 0.5 above: - 0.05; what is left
    assert in_force == pytest.approx([0.05, 0.05, 0.05, 0.06, 0.06, 0.01])


def test_resumed_equals_uninterrupted():
    config = AEntConfig(warmup_steps=2, lr=0.01)
    steps = [make_step(h) for h in (0.01, 0.02, 0.5, 0.01, 0.1)]
    whole, first, resumed = AEnt(config), AEnt(config), AEnt(config)
    expected = [whole.begin_step(step).metrics for step in steps]
    got = [first.begin_step(step).metrics for step in steps[:2]]
    resumed.load_state_dict(first.state_dict())
    assert got + [resumed.begin_step(step).metrics for step in steps[2:]] == expected
    assert resumed.state_dict() == whole.state_dict()


def test_bounds_that_a_resumed_run_has_moved_act_at_once():
    for saved, in_force in ((5e-3, 1e-3), (1e-5, 6e-4)):
        method = AEnt(AEntConfig(coef_init=6e-4, coef_max=1e-3))
        method.load_state_dict({"coef": saved, "steps": 40})
        assert method.begin_step(make_step(0.2)).coefficients.tolist() == pytest.approx([in_force] * 2)


@pytest.mark.parametrize(
    ("field", "value"), [("clamp", 1.0), ("clamp", -0.1), ("entropy_low", 0.5), ("coef_init", 1.0), ("lr", -1.0)]
)
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        AEntConfig(**{field: value})


def test_the_band_may_be_one_value():
    """Then the coefficient moves at every step."""
    method = AEnt(AEntConfig(entropy_low=0.2, entropy_high=0.2, lr=0.01, warmup_steps=0))
    method.begin_step(make_step(0.1))
    assert method.coef == pytest.approx(2e-3 + 0.01 * 0.1)
