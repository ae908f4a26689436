"""`skywork`: a constant step towards an absolute target, the term on only below it."""

import math

import pytest

from aer_openrlhf.methods.skywork import Skywork, SkyworkConfig
from tests.unit.method_inputs import make_batch


def run(method, entropies):
    """The coefficient in force at each step, for batches of one group with the given entropy."""
    return [float(method.begin_step(make_batch([0, 1], [h, h], [1, 1], 2)).coefficients[0]) for h in entropies]


def test_controller_by_hand():
    method = Skywork(SkyworkConfig(target_entropy=0.2, delta=0.1, coef_init=0.1, coef_max=0.25))
    # below: in force 0.1, then 0.2; below: 0.2, then clipped to 0.25; at the target: off, down to 0.15; below: 0.15
    assert run(method, [0.1, 0.1, 0.2, 0.1]) == pytest.approx([0.1, 0.2, 0.0, 0.15])
    assert method.coef == pytest.approx(0.25)


def test_the_floor_holds_and_control_goes_on_from_it():
    method = Skywork(SkyworkConfig(target_entropy=0.2, delta=0.1, coef_max=0.5))
    assert run(method, [0.3] * 5 + [0.1, 0.1]) == pytest.approx([0.0] * 6 + [0.1])


def test_resumed_equals_uninterrupted():
    config = SkyworkConfig(delta=0.01, coef_max=0.5)
    entropies = [0.1, 0.1, 0.3, 0.1, 0.05, 0.4, 0.1]
    first, resumed = Skywork(config), Skywork(config)
    start = run(first, entropies[:3])
    resumed.load_state_dict(first.state_dict())
    assert start + run(resumed, entropies[3:]) == run(Skywork(config), entropies)
    with pytest.raises(ValueError, match="the saved state of skywork lacks coef"):
        resumed.load_state_dict({"alpha": 1.0})


def test_bounds_that_a_resumed_run_has_moved_act_at_once():
    for saved, in_force in ((5e-3, 1e-3), (1e-5, 1e-4)):
        method = Skywork(SkyworkConfig(coef_init=1e-3, coef_min=1e-4, coef_max=1e-3))
        method.load_state_dict({"coef": saved})
        assert run(method, [0.1]) == pytest.approx([in_force])


def test_bounds_are_checked():
    with pytest.raises(
        ValueError, match=r"coef_init is 0.01: give a number from coef_min \(0.0\) to coef_max \(0.005\)"
    ):
        SkyworkConfig(coef_init=0.01)
    with pytest.raises(ValueError, match="delta is -1"):
        SkyworkConfig(delta=-1)
    with pytest.raises(ValueError, match=r"^coef_min is -1: give a number not below 0$"):
        SkyworkConfig(coef_min=-1)
    with pytest.raises(ValueError, match=r"^coef_max is inf: give a number not below 0$"):
        SkyworkConfig(coef_max=math.inf)


def test_the_coefficient_has_an_upper_bound_only_where_it_can_move():
    assert Skywork(SkyworkConfig(coef_max=0.25)).alpha_max == 0.25
    assert Skywork(SkyworkConfig(coef_init=0.1, coef_min=0.1, coef_max=0.1)).alpha_max is None
