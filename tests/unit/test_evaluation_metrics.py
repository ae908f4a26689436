"""pass@k of the evaluations during training, by hand."""

import numpy as np
import pytest

pytest.importorskip("openrlhf")

from aer_openrlhf.integration.evaluation import pass_at_k_metrics


def test_pass_at_k_is_the_mean_over_prompts_of_the_unbiased_estimate():
    """n = 4. Source a: c = 1 and c = 3; pass@2 = 1 - C(3,2)/C(4,2) = 0.5 and 1 - 0/6 = 1. Source b: c = 0."""
    scores = np.array([[0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 0, 1]], dtype=float)
    assert pass_at_k_metrics(["a", "b", "a"], scores, scores) == pytest.approx(
        {
            "eval_a_pass1": 0.5,
            "eval_a_pass2": 0.75,
            "eval_a_pass4": 1.0,
            "eval_a_reward_mean": 0.5,
            "eval_b_pass1": 0.0,
            "eval_b_pass2": 0.0,
            "eval_b_pass4": 0.0,
            "eval_b_reward_mean": 0.0,
        }
    )


def test_scores_decide_what_is_right_and_a_partial_score_is_not():
    rewards, scores = np.array([[1.0, -0.5, 0.7]]), np.array([[1.0, 0.9, 1.0]])
    metrics = pass_at_k_metrics(["a"], rewards, scores)
    assert metrics["eval_a_pass1"] == pytest.approx(2 / 3)
    assert metrics["eval_a_pass3"] == 1.0
    assert metrics["eval_a_reward_mean"] == pytest.approx(0.4)
