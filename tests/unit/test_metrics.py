"""Rollout metrics against numbers computed by hand."""

import pytest
import torch

from aer_openrlhf.methods.base import RolloutBatch
from aer_openrlhf.metrics import difficulty_metrics, position_metrics, rollout_metrics, sampler_gap, top10_share


def test_rollout_metrics_are_all_of_them_and_no_coefficient_without_an_entropy_term():
    batch = RolloutBatch(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1, 2]), None, 2)
    metrics = rollout_metrics(batch, torch.tensor([0.1, 0.3]))
    assert metrics["aer/entropy"] == 3.0  # 9 nats over 3 tokens
    assert metrics["aer/coef_mean"] == metrics["aer/coef_middle"] == pytest.approx(0.2)
    assert metrics["aer/group_accuracy"] == 0.5 and metrics["aer/entropy_top10_share"] == pytest.approx(6 / 9)
    without = rollout_metrics(batch, None)
    assert metrics.keys() - without.keys() == {"aer/coef_mean", "aer/coef_middle"}


def test_difficulty_metrics_by_hand():
    # group accuracies 0 (hard), 1/2 (middle), 1 (easy), 0 (hard); one token a response
    batch = RolloutBatch(
        scores=torch.tensor([0.0, 0, 1, 0, 1, 1, 0, 0]),
        entropy=torch.tensor([1.0, 3, 5, 7, 2, 4, 6, 6]),
        lengths=torch.ones(8, dtype=torch.long),
        answer_lengths=None,
        group_size=2,
    )
    coefficients = torch.tensor([0.2, 0.2, 0.1, 0.1, 0, 0, 0.4, 0.4])
    assert difficulty_metrics(batch, coefficients) == pytest.approx(
        {
            "aer/group_accuracy": 0.375,
            "aer/all_wrong_share": 0.5,
            "aer/all_right_share": 0.25,
            "aer/share_hard": 0.5,
            "aer/share_middle": 0.25,
            "aer/share_easy": 0.25,
            "aer/entropy_hard": 4.0,  # (1 + 3 + 6 + 6) / 4
            "aer/entropy_middle": 6.0,
            "aer/entropy_easy": 3.0,
            "aer/reward_hard": 0.0,
            "aer/reward_middle": 0.5,
            "aer/reward_easy": 1.0,
            "aer/coef_hard": 0.3,
            "aer/coef_middle": 0.1,
            "aer/coef_easy": 0.0,
        }
    )


@pytest.mark.parametrize(
    ("right", "group_size", "shares"),
    [([3, 4, 6, 7], 10, (0.25, 0.5, 0.25)), ([0, 1, 2, 3], 3, (0.25, 0.5, 0.25))],  # a third itself is in the middle
)
def test_hard_is_below_one_third_and_easy_above_two_thirds(right, group_size, shares):
    scores = torch.tensor([float(place < count) for count in right for place in range(group_size)])
    batch = RolloutBatch(scores, torch.ones(len(scores)), torch.ones(len(scores), dtype=torch.long), None, group_size)
    metrics = difficulty_metrics(batch, None)
    assert tuple(metrics[f"aer/share_{name}"] for name in ("hard", "middle", "easy")) == shares


def test_a_bucket_without_prompts_is_absent_not_zero():
    batch = RolloutBatch(torch.ones(2), torch.ones(2), torch.ones(2, dtype=torch.long), None, 2)
    metrics = difficulty_metrics(batch, torch.zeros(2))
    assert metrics["aer/share_hard"] == 0.0
    assert "aer/entropy_hard" not in metrics
    assert metrics["aer/entropy_easy"] == 1.0


def test_entropy_of_a_bucket_is_a_token_mean():
    batch = RolloutBatch(torch.zeros(2), torch.tensor([4.0, 1.0, 1.0]), torch.tensor([1, 2]), None, 2)
    assert difficulty_metrics(batch, torch.zeros(2))["aer/entropy_hard"] == pytest.approx(2.0)  # 6 / 3, not 2.5


def test_position_metrics_by_hand():
    # one response of 10 tokens (a token a decile) and one of 2 (middles of its tokens at 0.25 and 0.75: deciles 3, 8)
    batch = RolloutBatch(
        scores=torch.zeros(2),
        entropy=torch.tensor([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10.0, 20.0]),
        lengths=torch.tensor([10, 2]),
        answer_lengths=torch.tensor([8, 2]),
        group_size=2,
    )
    metrics = position_metrics(batch)
    deciles = [metrics[f"aer/entropy_decile_{i:02d}"] for i in range(1, 11)]
    assert deciles == pytest.approx([0, 1, (2 + 10) / 2, 3, 4, 5, 6, (7 + 20) / 2, 8, 9])
    # top 10 % of 12 tokens is 2 tokens (rounded up): (20 + 10) / 75
    assert metrics["aer/entropy_top10_share"] == pytest.approx(30 / 75)
    assert metrics["aer/entropy_before_answer"] == pytest.approx((0 + 1 + 2 + 3 + 4 + 5 + 6 + 7 + 10 + 20) / 10)
    assert metrics["aer/entropy_after_answer"] == pytest.approx((8 + 9) / 2)


def test_no_token_after_any_answer_is_no_entropy_there():
    batch = RolloutBatch(torch.zeros(2), torch.ones(3), torch.tensor([1, 2]), torch.tensor([1, 2]), 2)
    assert {name for name in position_metrics(batch) if "answer" in name} == {"aer/entropy_before_answer"}


def test_answer_metrics_are_absent_where_the_reward_reports_no_answer_position():
    batch = RolloutBatch(torch.zeros(2), torch.ones(2), torch.ones(2, dtype=torch.long), None, 2)
    assert not any("answer" in name for name in position_metrics(batch))


def test_entropy_flight_shows_as_concentration():
    """All entropy in one token of ten: the top 10 % carry everything, though the mean looks the same."""
    lengths = torch.tensor([10, 10])
    flat = RolloutBatch(torch.zeros(2), torch.full((20,), 0.1), lengths, None, 2)
    spike = torch.zeros(20)
    spike[[9, 19]] = 1.0
    flown = RolloutBatch(torch.zeros(2), spike, lengths, None, 2)
    assert position_metrics(flat)["aer/entropy_top10_share"] == pytest.approx(0.1)
    assert position_metrics(flown)["aer/entropy_top10_share"] == pytest.approx(1.0)


def test_top_10_share_of_next_to_no_entropy_and_of_none():
    assert top10_share(torch.tensor([0.01, 0.03])) == pytest.approx(0.75)
    assert top10_share(torch.zeros(2)) is None


def test_sampler_gap_is_a_token_mean_over_response_tokens():
    first = (torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -9.0]]), torch.tensor([[1, 0]]))
    second = (torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.0, -1.9]]), torch.tensor([[1, 1]]))
    assert sampler_gap([first, second])["aer/sampler_logprob_gap"] == pytest.approx((0.5 + 0.0 + 0.1) / 3)
    assert sampler_gap([]) == {}
