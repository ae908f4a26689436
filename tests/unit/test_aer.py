"""AER's formulas against numbers computed by hand, and the controller's properties."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aer_openrlhf.methods.aer import (
    AER,
    AERConfig,
    EntropyController,
    difficulty_weight,
    prompt_coefficients,
)
from aer_openrlhf.methods.base import RolloutBatch, group_accuracy
from tests.unit.method_inputs import make_batch, make_loss_inputs

# --- configuration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rho", 0.0),
        ("rho", 1.5),
        ("tau", 0.0),
        ("tau", 1.0),
        ("eta", -1e-3),
        ("eta", math.nan),
        ("alpha_max", math.inf),
        ("alpha_init", 0.02),  # above alpha_max 0.01
        ("coef_max", 0.0),
        ("anchor_steps", 0),
        ("target_entropy", -0.1),
        ("difficulty", "cubic"),
        ("normalize", "max"),
        ("update", "pid"),
        ("entropy_tokens", "none"),
    ],
)
def test_config_names_the_wrong_field(field, value):
    with pytest.raises(ValueError, match=f"^{field} is"):
        AERConfig(**{field: value})


def test_values_at_or_just_within_their_limits_are_taken():
    AERConfig(rho=1.0, tau=1e-6, eta=0.0, alpha_init=0.1, alpha_max=0.1, coef_max=1e-6, target_entropy=1e-6)
    AERConfig(rho=1e-6, tau=1 - 1e-6, alpha_max=0.0, anchor_steps=1)


def test_a_name_that_is_none_of_the_choices_hears_them():
    with pytest.raises(ValueError, match=r"^difficulty is cubic: give one of linear, step, uniform$"):
        AERConfig(difficulty="cubic")


def test_alpha_max_above_coef_max_is_refused_where_it_would_wind_up():
    """One hard prompt of 32: the mean coefficient is 2 / 32 from alpha 0.0625 on, whatever alpha is."""
    weight = torch.tensor([1.0] + [0.0] * 31)
    means = [float(prompt_coefficients(alpha, weight, "mean", 2.0).mean()) for alpha in (0.05, 0.1, 5.0)]
    assert means == pytest.approx([0.05, 0.0625, 0.0625])
    AERConfig(normalize="mean", alpha_max=2.0)
    AERConfig(normalize="none", alpha_max=2.5)
    with pytest.raises(ValueError, match=r"^alpha_max is 2.5: give at most coef_max \(2.0\), which bounds the mean"):
        AERConfig(normalize="mean", alpha_max=2.5)


def test_config_is_frozen_with_the_published_defaults():
    config = AERConfig()
    assert (config.rho, config.tau, config.eta, config.alpha_init, config.alpha_max) == (0.5, 0.4, 1e-3, 0.0, 0.01)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.rho = 0.1  # type: ignore[misc]


# --- difficulty ------------------------------------------------------------------------------------------------------


def test_group_accuracy_is_the_mean_of_consecutive_scores():
    # prompts: (1, 0, 0, 0) and (0.5, 1, 1, 0.5)
    assert group_accuracy(torch.tensor([1, 0, 0, 0, 0.5, 1, 1, 0.5]), 4).tolist() == [0.25, 0.75]


@pytest.mark.parametrize("bad", [-1.0, 1.5, math.nan])
def test_group_accuracy_refuses_scores_that_are_no_correctness(bad):
    with pytest.raises(ValueError, match="correctness in \\[0, 1\\]"):
        group_accuracy(torch.tensor([0.0, bad]), 2)


def test_difficulty_weights_by_hand():
    accuracy = torch.tensor([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
    # linear, rho 0.5: (0.5 - g) / 0.5 = 1 - 2g, 0 from 0.5 on
    assert difficulty_weight(accuracy, 0.5, "linear").tolist() == [1.0, 0.75, 0.5, 0.0, 0.0, 0.0]
    assert difficulty_weight(accuracy, 1.0, "linear").tolist() == [1.0, 0.875, 0.75, 0.5, 0.25, 0.0]
    assert difficulty_weight(accuracy, 0.5, "step").tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert difficulty_weight(accuracy, 0.5, "uniform").tolist() == [1.0] * 6
    partly_right = group_accuracy(torch.full((4,), 0.7), 4)  # as float32 a little less than 0.7
    assert difficulty_weight(partly_right, 0.7, "linear").tolist() == [0.0]
    assert difficulty_weight(partly_right, 0.7, "step").tolist() == [0.0]


def test_coefficients_by_hand():
    weight = torch.tensor([1.0, 0.5, 0.0, 0.0])
    assert prompt_coefficients(0.01, weight, "none", 2.0).tolist() == [0.01, 0.005, 0.0, 0.0]
    # mean weight 0.375: 0.3 / 0.375 = 0.8, 0.15 / 0.375 = 0.4; the mean over prompts is alpha
    normalized = prompt_coefficients(0.3, weight, "mean", 2.0)
    assert normalized.tolist() == pytest.approx([0.8, 0.4, 0.0, 0.0])
    assert float(normalized.mean()) == pytest.approx(0.3)
    # the cap holds per sample
    assert prompt_coefficients(0.3, weight, "mean", 0.5).tolist() == pytest.approx([0.5, 0.4, 0.0, 0.0])


def test_no_hard_prompt_means_no_coefficient():
    assert prompt_coefficients(0.3, torch.zeros(3), "mean", 2.0).tolist() == [0.0, 0.0, 0.0]


# --- controller ------------------------------------------------------------------------------------------------------


def test_controller_by_hand():
    controller = EntropyController(AERConfig(tau=0.5, eta=0.1, alpha_max=0.5))
    # k=0: H_0 = 20/10 = 2, target 1, error -1: stays at the floor
    assert controller.target is None
    assert controller.update(20.0, 10) == 0.0
    assert (controller.initial_entropy, controller.target) == (2.0, 1.0)
    # k=1: H = 0.4, alpha = 0 + 0.1 * (1 - 0.4) = 0.06; control goes on although alpha was 0
    assert controller.update(4.0, 10) == pytest.approx(0.06)
    # k=2: H = 1.3, alpha = 0.06 - 0.03
    assert controller.update(13.0, 10) == pytest.approx(0.03)


def test_sign_controller_makes_constant_steps():
    controller = EntropyController(AERConfig(tau=0.5, eta=0.002, update="sign"))
    alphas = [controller.update(entropy * 10, 10) for entropy in (2.0, 0.1, 0.9, 1.0, 1.7)]
    assert alphas == pytest.approx([0.0, 0.002, 0.004, 0.004, 0.002])


def test_anchor_weighs_batches_by_their_tokens_and_holds_until_it_is_complete():
    controller = EntropyController(AERConfig(tau=0.5, eta=0.1, alpha_init=0.005, anchor_steps=2))
    assert controller.update(30.0, 10) == 0.005
    assert controller.initial_entropy is None
    controller.update(10.0, 30)
    assert controller.initial_entropy == 1.0  # 40 nats / 40 tokens, not the mean of 3 and 1/3


def test_absolute_target_needs_no_anchor():
    controller = EntropyController(AERConfig(target_entropy=0.7, eta=0.01))
    assert controller.target == 0.7
    assert controller.update(2.0, 10) == pytest.approx(0.005)
    assert controller.initial_entropy == pytest.approx(0.2)


@pytest.mark.parametrize(("entropy_sum", "tokens"), [(math.nan, 10), (math.inf, 10), (0.0, 0)])
def test_controller_refuses_an_entropy_that_is_none(entropy_sum, tokens):
    with pytest.raises(ValueError, match="entropy of the rollout batch"):
        EntropyController(AERConfig()).update(entropy_sum, tokens)


def test_one_token_is_enough():
    assert EntropyController(AERConfig(target_entropy=0.7, eta=0.01)).update(0.2, 1) == pytest.approx(0.005)


def test_alpha_has_an_upper_bound_only_where_the_controller_moves_it():
    assert AER(AERConfig(alpha_max=0.3)).alpha_max == 0.3
    assert AER(AERConfig(alpha_max=0.0)).alpha_max is None
    assert AER(AERConfig(eta=0.0, alpha_init=0.01)).alpha_max is None


def test_a_foreign_state_is_refused():
    with pytest.raises(ValueError, match="the saved state of aer lacks anchor_sum"):
        AER(AERConfig()).load_state_dict({"alpha": 0.1, "steps": 3, "anchor_tokens": 5})


def test_settings_that_a_resumed_run_has_changed_act_at_once():
    saved = {"alpha": 0.3, "steps": 5, "anchor_sum": 20.0, "anchor_tokens": 10}  # H_0 = 2
    lowered, constant = AER(AERConfig(eta=0.1, alpha_max=0.1)), AER(AERConfig(eta=0, alpha_init=0.4, alpha_max=0.4))
    for method in (lowered, constant):
        method.load_state_dict(saved)
    assert lowered.controller.alpha == 0.1
    assert constant.controller.update(4.0, 10) == 0.4
    assert (lowered.replaced_by_state, constant.replaced_by_state) == (("alpha_init",), ())


entropies = st.lists(st.floats(0.0, 12.0), min_size=1, max_size=60)
configs = st.builds(
    AERConfig,
    tau=st.floats(0.05, 0.95),
    eta=st.floats(0.0, 10.0),
    alpha_max=st.floats(0.0, 2.0),
    update=st.sampled_from(["proportional", "sign"]),
    anchor_steps=st.integers(1, 4),
)


@settings(deadline=None)
@given(configs, entropies)
def test_alpha_stays_within_its_bounds_and_moves_towards_the_target(config, values):
    controller = EntropyController(config)
    for entropy in values:
        before = controller.alpha
        after = controller.update(entropy * 7, 7)
        assert 0.0 <= after <= config.alpha_max
        if controller.target is not None:
            error = controller.target - entropy * 7 / 7
            assert (after - before) * error >= 0.0


@settings(deadline=None)
@given(configs, st.integers(1, 50))
def test_nothing_winds_up_while_entropy_is_above_the_target(config, steps):
    """However long entropy stays above the target, the first step below it raises alpha by one full step from 0."""
    controller = EntropyController(config)
    for _ in range(config.anchor_steps + steps):
        controller.update(10.0, 5)  # H_0 = 2
    assert controller.alpha == 0.0
    target = config.tau * 2.0
    below = target / 2
    step = config.eta * (target - below if config.update == "proportional" else 1.0)
    assert controller.update(below * 5, 5) == pytest.approx(min(step, config.alpha_max), rel=1e-9, abs=1e-12)


@settings(deadline=None)
@given(configs, entropies, st.integers(0, 60))
def test_resumed_equals_uninterrupted(config, values, cut):
    whole, first = EntropyController(config), EntropyController(config)
    expected = [whole.update(entropy * 3, 3) for entropy in values]
    alphas = [first.update(entropy * 3, 3) for entropy in values[:cut]]
    resumed = EntropyController(config)
    resumed.load_state_dict(first.state_dict())
    alphas += [resumed.update(entropy * 3, 3) for entropy in values[cut:]]
    assert alphas == expected
    assert resumed.state_dict() == whole.state_dict()


# --- the step and the loss -------------------------------------------------------------------------------------------


def test_begin_step_by_hand():
    method = AER(AERConfig(rho=0.5, tau=0.5, eta=0.1, alpha_init=0.2, alpha_max=0.5))
    # prompt 0 all wrong (w = 1), prompt 1 half right (g = 0.5 = rho, w = 0); 8 nats over 4 tokens
    plan = method.begin_step(make_batch([0, 0, 1, 0], [1.0, 2.0, 3.0, 2.0], [1, 1, 1, 1], 2))
    # H_0 = 2, target 1, alpha = 0.2 + 0.1 * (1 - 2) = 0.1
    assert plan.coefficients.tolist() == pytest.approx([0.1, 0.1, 0.0, 0.0])
    assert plan.metrics == pytest.approx(
        {
            "aer/entropy": 2.0,
            "aer/entropy_initial": 2.0,
            "aer/entropy_target": 1.0,
            "aer/alpha": 0.1,
            "aer/coef_mean": 0.05,
            "aer/weight_mean": 0.5,
            "aer/active_share": 0.5,
        }
    )


def test_unknown_target_is_absent_from_the_metrics():
    plan = AER(AERConfig(anchor_steps=2)).begin_step(make_batch([0, 1], [1.0, 1.0], [1, 1], 2))
    assert "aer/entropy_target" not in plan.metrics
    assert "aer/entropy_initial" not in plan.metrics


def test_until_answer_counts_the_tokens_up_to_the_answer_for_control_and_bonus():
    batch = make_batch([0, 0], [1.0, 3.0, 9.0, 2.0, 8.0], [3, 2], 2, answer_lengths=[2, 1])
    plan = AER(AERConfig(entropy_tokens="until_answer")).begin_step(batch)
    assert plan.metrics["aer/entropy"] == pytest.approx((1 + 3 + 2) / 3)
    assert plan.counted_lengths.tolist() == [2, 1]
    entropy = torch.tensor([[1.0, 3.0, 9.0], [2.0, 8.0, 0.0]])
    inputs = make_loss_inputs(entropy, [[1, 1, 1], [1, 1, 0]], [0.1, 0.1], 5, counted_lengths=[2, 1])
    assert AER(AERConfig()).loss(inputs).item() == pytest.approx(-0.1 * (1 + 3 + 2) / 5)


def test_until_answer_without_a_reported_answer_says_what_to_do():
    method = AER(AERConfig(entropy_tokens="until_answer"))
    with pytest.raises(ValueError, match="answer_tail_chars"):
        method.begin_step(make_batch([0, 0], [1.0, 1.0], [1, 1], 2))


def test_loss_by_hand():
    entropy = torch.tensor([[1.0, 2.0, 99.0], [3.0, 4.0, 5.0]], requires_grad=True)
    inputs = make_loss_inputs(entropy, [[1, 1, 0], [1, 1, 1]], [0.2, 0.05], num_tokens=10, dp_size=2)
    loss = AER(AERConfig()).loss(inputs)
    # -(0.2 * (1 + 2) + 0.05 * (3 + 4 + 5)) / 10 * 2
    assert loss.item() == pytest.approx(-0.24)
    loss.backward()
    assert entropy.grad.tolist() == [pytest.approx([-0.04, -0.04, 0.0]), pytest.approx([-0.01, -0.01, -0.01])]


@pytest.mark.parametrize("num_micro_batches", [1, 2, 3, 6])
@pytest.mark.parametrize("ranks", [1, 2])
def test_loss_and_gradient_do_not_depend_on_sharding_order_or_padding(num_micro_batches, ranks):
    """What DeepSpeed averages over ranks and accumulation steps equals the whole batch's token mean."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 9, (12,), generator=generator)
    mask = (torch.arange(8) < lengths.unsqueeze(-1)).long()
    entropy = torch.rand(12, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    coefficients = torch.rand(12, generator=generator, dtype=torch.float64) * (torch.arange(12) % 3 > 0)
    num_tokens = int(lengths.sum())

    def shard_losses(order, extra_padding):
        padded = torch.nn.functional.pad(entropy, (0, extra_padding))
        padded_mask = torch.nn.functional.pad(mask, (0, extra_padding))
        for rows in order.chunk(ranks * num_micro_batches):
            inputs = make_loss_inputs(
                padded[rows], padded_mask[rows], coefficients[rows], num_tokens / num_micro_batches, ranks
            )
            yield AER(AERConfig()).loss(inputs) if bool((coefficients[rows] > 0).any()) else torch.zeros(())

    expected = -(coefficients.unsqueeze(-1) * entropy * mask).sum() / num_tokens
    expected_gradient = -coefficients.unsqueeze(-1) * mask / num_tokens
    for order in (torch.arange(12), torch.randperm(12, generator=generator)):
        for extra_padding in (0, 3):
            total = sum(shard_losses(order, extra_padding)) / (ranks * num_micro_batches)
            torch.testing.assert_close(total, expected, rtol=1e-12, atol=0)
            (gradient,) = torch.autograd.grad(total, entropy)
            torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=0)


def test_begin_step_does_not_depend_on_the_order_of_prompts():
    generator = torch.Generator().manual_seed(1)
    scores = torch.randint(0, 2, (6, 4), generator=generator).float()
    lengths = torch.randint(1, 5, (6, 4), generator=generator)
    entropy = [torch.rand(int(n), generator=generator) for n in lengths.flatten()]

    def plan(prompts):
        rows = [4 * p + i for p in prompts for i in range(4)]
        batch = RolloutBatch(
            scores.flatten()[rows], torch.cat([entropy[r] for r in rows]), lengths.flatten()[rows], None, 4
        )
        return AER(AERConfig(alpha_init=0.01)).begin_step(batch)

    forward, shuffled = plan(range(6)), plan([3, 0, 5, 1, 4, 2])
    by_prompt = forward.coefficients.view(6, 4)[[3, 0, 5, 1, 4, 2]].flatten()
    torch.testing.assert_close(shuffled.coefficients, by_prompt, rtol=1e-12, atol=0)
    assert shuffled.metrics == pytest.approx(forward.metrics, rel=1e-12)


def test_rollout_batch_refuses_broken_groups_and_lengths():
    with pytest.raises(ValueError, match="whole groups of 2"):
        make_batch([0, 1, 0], [1.0] * 3, [1, 1, 1], 2)
    with pytest.raises(ValueError, match="2 token entropies for 3 response tokens"):
        make_batch([0, 1], [1.0] * 2, [2, 1], 2)
