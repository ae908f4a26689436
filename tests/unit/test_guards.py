"""Guards: sequences of metrics by hand, and what is said about them."""

import re

import pytest

from aer_openrlhf.guards import GUARDS, GuardConfig, Guards

HEALTHY = {
    "aer/entropy": 0.5,
    "aer/entropy_initial": 0.5,
    "aer/entropy_target": 0.2,
    "aer/alpha": 0.0,
    "aer/group_accuracy": 0.4,
    "aer/all_wrong_share": 0.2,
    "aer/entropy_hard": 0.8,
    "aer/entropy_easy": 0.4,
    "aer/entropy_top10_share": 0.25,
    "aer/entropy_before_answer": 0.5,
    "aer/entropy_after_answer": 0.1,
    "aer/sampler_logprob_gap": 0.01,
}


def run(rows, config=None, method="aer", alpha_max=0.01):
    """(step, guard) of every warning of a run whose step k has the metrics rows[k - 1]."""
    guards = Guards(config or GuardConfig(), method, alpha_max)
    return [(w.step, w.guard) for step, row in enumerate(rows, 1) for w in guards.check(step, HEALTHY | row)]


def test_a_healthy_run_hears_nothing():
    assert run([{}] * 200) == []


@pytest.mark.parametrize(
    ("guard", "quiet", "loud", "patience"),
    [
        ("entropy_high", {"aer/entropy": 0.75}, {"aer/entropy": 0.751}, 10),  # 1.5 x 0.5
        ("entropy_low", {"aer/entropy": 0.1}, {"aer/entropy": 0.099}, 10),  # 0.2 x 0.5 = 0.2 / 2
        ("alpha_at_max", {"aer/alpha": 0.0099}, {"aer/alpha": 0.01}, 50),
        ("all_wrong", {"aer/all_wrong_share": 0.89}, {"aer/all_wrong_share": 0.9}, 10),
        ("reward_zero", {"aer/group_accuracy": 0.01}, {"aer/group_accuracy": 0.0, "aer/all_wrong_share": 1.0}, 10),
        # 0.8 / 0.4 = 2 at the start, twice that: 4
        ("entropy_hard", {"aer/entropy_hard": 1.6}, {"aer/entropy_hard": 1.601}, 10),
        ("entropy_hard", {"aer/entropy_easy": 0.2}, {"aer/entropy_easy": 0.199}, 10),
        # 0.25 at the start, 0.75 to go: 0.25 + 0.6 x 0.75 = 0.7
        ("entropy_concentrated", {"aer/entropy_top10_share": 0.699}, {"aer/entropy_top10_share": 0.701}, 10),
        ("entropy_after_answer", {"aer/entropy_after_answer": 1.5}, {"aer/entropy_after_answer": 1.51}, 10),  # 3 x 0.5
        ("sampler_gap", {"aer/sampler_logprob_gap": 0.3}, {"aer/sampler_logprob_gap": 0.301}, 3),
    ],
)
def test_each_guard_warns_once_past_its_limit_and_its_patience(guard, quiet, loud, patience):
    assert run([{}, *[quiet] * 60]) == []
    assert run([{}, *[loud] * (patience - 1), {}, *[loud] * (patience - 1)]) == []  # never so long in a row
    assert run([{}, *[loud] * 200]) == [(patience + 1, guard)]


def test_the_sampler_gap_is_counted_where_it_is_measured():
    """vLLM is asked for its log-probs on every tenth step."""
    between = {name: value for name, value in HEALTHY.items() if name != "aer/sampler_logprob_gap"}
    guards = Guards(GuardConfig(), "aer", 0.01)
    said = [
        (step, warning.message)
        for step in range(1, 31)
        for warning in guards.check(step, between | ({"aer/sampler_logprob_gap": 2.5} if step % 10 == 0 else {}))
    ]
    ((step, message),) = said
    assert step == 30
    assert message.startswith(
        "vLLM's log-probs and the trainer's are 2.5 nats a token apart: not the same policy, for 3 "
        "measurements in a row. The trainer does not score"
    )


def test_every_guard_can_be_switched_off():
    never = float("inf")
    off = GuardConfig(
        entropy_high=never,
        entropy_low=0,
        alpha_at_max=never,
        all_wrong=never,
        entropy_hard=never,
        entropy_concentrated=never,
        entropy_after_answer=never,
        sampler_gap=never,
    )
    mad = {
        "aer/entropy": 9.0,
        "aer/entropy_hard": 9.0,
        "aer/entropy_easy": 0.0,
        "aer/alpha": 0.01,
        "aer/all_wrong_share": 1.0,
        "aer/entropy_top10_share": 1.0,
    }
    assert run([{}, *[mad | {"aer/entropy_after_answer": 99.0}] * 99, *[{"aer/entropy": 0.0}] * 99], off) == []


def test_the_floor_is_half_of_a_target_that_lies_lower():
    wanted = {"aer/entropy": 0.06, "aer/entropy_target": 0.05}  # 0.12 of the initial entropy, and above its target
    assert run([{}, *[wanted] * 20]) == []
    assert run([{}, *[wanted | {"aer/entropy": 0.024}] * 20]) == [(11, "entropy_low")]


def test_without_an_initial_entropy_or_a_target_the_first_step_counts():
    rows = [{"aer/entropy": value} for value in (0.5, *[0.09] * 12)]
    guards = Guards(GuardConfig(), "clip_cov", None)
    assert [w.step for step, row in enumerate(rows, 1) for w in guards.check(step, row)] == [11]


def test_collapsed_entropy_after_the_answer_is_no_flight():
    collapsed = {"aer/entropy": 0.02, "aer/entropy_before_answer": 0.001, "aer/entropy_after_answer": 0.09}
    assert run([{}, *[collapsed] * 20]) == [(11, "entropy_low")]  # 0.09 is 90 times 0.001, but below 0.2 x 0.5


def test_a_share_that_rises_because_the_other_tokens_are_certain_is_no_flight():
    """The top tenth carries 0.25 x 0.5 = 0.125 nats a token at the start, and 0.9 x 0.138 or 0.9 x 0.14 later."""
    certain = {"aer/entropy_top10_share": 0.9, "aer/entropy": 0.138}  # 0.1242
    assert run([{}, *[certain] * 20]) == []
    assert run([{}, *[certain | {"aer/entropy": 0.14}] * 20]) == [(11, "entropy_concentrated")]  # 0.126


def test_collapsed_entropy_on_hard_prompts_is_no_flight():
    collapsed = {"aer/entropy": 0.02, "aer/entropy_hard": 0.16, "aer/entropy_easy": 0.001}
    assert run([{}, *[collapsed] * 20]) == [(11, "entropy_low")]  # 0.16 is 160 times 0.001, but 0.2 x 0.8
    assert run([{}, *[{"aer/entropy_easy": 0.0}] * 20]) == [(11, "entropy_hard")]


def test_without_easy_prompts_nothing_is_said_of_hard_ones():
    row = {name: value for name, value in HEALTHY.items() if name != "aer/entropy_easy"} | {"aer/entropy_hard": 9.0}
    guards = Guards(GuardConfig(), "aer", 0.01)
    assert [warning for step in range(1, 30) for warning in guards.check(step, row)] == []


def test_without_a_controller_alpha_has_no_bound():
    assert run([{"aer/alpha": 0.01}] * 60, alpha_max=None) == []


def test_the_same_metrics_again_restore_what_a_resumed_run_knew():
    loud = {**HEALTHY, "aer/entropy": 0.9}
    before, after = (Guards(GuardConfig(), "aer", 0.01) for _ in range(2))
    said = [w for step in range(1, 8) for w in before.check(step, loud)]
    for step in range(1, 8):
        after.check(step, loud)
    said += [w for step in range(8, 40) for w in after.check(step, loud)]
    assert [(w.step, w.guard) for w in said] == [(10, "entropy_high")]


def test_the_message_holds_the_numbers_and_a_flag_that_the_method_has():
    def message(method):
        guards = Guards(GuardConfig(patience=2), method, None)
        return [w.message for step in (1, 2) for w in guards.check(step, HEALTHY | {"aer/entropy": 0.8})]

    assert message("aer") == [
        "entropy is 0.8 nats, 1.60 of its initial 0.5, for 2 steps in a row. Lower --aer.alpha_max or --aer.eta; "
        "where aer/weight_mean fell, --aer.normalize mean"
    ]
    assert "--aer.alpha_max" not in message("skywork")[0]


@pytest.mark.parametrize(
    ("guard", "row", "finding"),
    [
        ("entropy_high", {"aer/entropy": 0.8}, "entropy is 0.8 nats, 1.60 of its initial 0.5"),
        ("entropy_low", {"aer/entropy": 0.05}, "entropy is 0.05 nats, 0.10 of its initial 0.5"),
        ("alpha_at_max", {"aer/alpha": 0.01}, "alpha is at its upper bound 0.01"),
        ("all_wrong", {"aer/all_wrong_share": 0.95}, "in 95% of the groups every response is wrong"),
        ("reward_zero", {"aer/group_accuracy": 0.0}, "not one response was right"),
        (
            "entropy_hard",
            {"aer/entropy_hard": 1.7},
            "entropy is 1.7 nats on hard prompts and 0.4 on easy ones, at the start 0.8 and 0.4",
        ),
        (
            "entropy_concentrated",
            {"aer/entropy_top10_share": 0.8},
            "the top 10 % of tokens carry 80% of all entropy, 25% at the start",
        ),
        (
            "entropy_after_answer",
            {"aer/entropy_after_answer": 1.6},
            "entropy is 1.6 nats after the graded answer and 0.5 up to it",
        ),
    ],
)
def test_every_guard_says_what_was_seen(guard, row, finding):
    guards = Guards(GuardConfig(patience=1, alpha_at_max=1), "aer", 0.01)
    assert guards.check(1, HEALTHY) == []
    (warning,) = guards.check(2, HEALTHY | row)
    assert (warning.guard, warning.message) == (guard, f"{finding}, for 1 steps in a row. {GUARDS[guard].mend}")


def test_alpha_at_its_bound_points_to_coef_max_where_that_binds():
    guards = Guards(GuardConfig(alpha_at_max=1), "aer", 0.01)
    (warning,) = guards.check(1, HEALTHY | {"aer/alpha": 0.01})
    assert "with that and aer/coef_mean below aer/alpha, raise --aer.coef_max or --aer.rho" in warning.message


def test_another_method_is_never_told_a_flag_of_aer():
    for guard in GUARDS.values():
        assert "--aer." not in (guard.mend_elsewhere or guard.mend)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"patience": 0}, "patience is 0: give a whole number from 1"),
        ({"entropy_high": 1.0}, "entropy_high is 1.0: give a number above 1"),
        ({"entropy_low": 1.0}, "entropy_low is 1.0: give a fraction"),
        ({"alpha_at_max": 0}, "alpha_at_max is 0: give a number above 0, for example 50"),
        ({"all_wrong": 0.0}, "all_wrong is 0.0: give a number above 0, for example 0.9"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        GuardConfig(**setting)
