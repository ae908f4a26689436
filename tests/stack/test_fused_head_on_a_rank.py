"""The fused head on OpenRLHF's real policy rank, against the stock head from the same start."""

import pytest
import torch

ON = ("--aer.enable", "--aer.fused_head", "on", "--aer.fused_head_mb", "0.01", "--rollout.temperature", "0.8")
OFF = (*ON[:2], "off", *ON[3:])


def moved(result, start):
    return torch.cat([(result["params"][name] - start["params"][name]).flatten() for name in start["params"]])


def assert_alike(fused, stock, start):
    """bf16 logits and Adam's first steps: the size of a step is the rate, its direction is what can be compared."""
    for (full, _), (expected, _) in zip(fused["entropy"], stock["entropy"], strict=True):
        torch.testing.assert_close(full, expected, rtol=2e-2, atol=2e-2)
    assert fused["status"]["policy_loss"] == pytest.approx(stock["status"]["policy_loss"], abs=2e-2)
    cosine = torch.nn.functional.cosine_similarity(moved(fused, start), moved(stock, start), dim=0)
    assert float(cosine) > 0.99


def test_training_is_that_of_the_stock_head(run_each, model_dir):
    packed = ("--train.dynamic_batch_enable", "--train.max_tokens_per_gpu", "64")
    still = ("--actor.adam.lr", "0")
    start, stock, fused, stock_packed, fused_packed = run_each(
        (model_dir, "aer:mixed", *OFF, *still),
        (model_dir, "aer:mixed", *OFF),
        (model_dir, "aer:mixed", *ON),
        (model_dir, "aer:mixed", *OFF, *packed),
        (model_dir, "aer:mixed", *ON, *packed),
    )
    assert_alike(fused, stock, start)
    assert_alike(fused_packed, stock_packed, start)
    # it was another way of computing, although float32 differences of 1e-7 may vanish in bf16 weights
    assert any(
        not torch.equal(ours[0], theirs[0]) for ours, theirs in zip(fused["entropy"], stock["entropy"], strict=True)
    )
