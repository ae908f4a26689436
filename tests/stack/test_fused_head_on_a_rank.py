"""The fused head on OpenRLHF's real policy rank, against the stock head from the same start."""

import pytest
import torch

ON = ("--aer.enable", "--aer.fused_head", "on", "--aer.fused_head_mb", "0.01", "--rollout.temperature", "0.8")
STILL = ("--actor.adam.lr", "0")
OFF = (*ON[:2], "off", *ON[3:])


def moved(result, start):
    return torch.cat([(result["params"][name] - start["params"][name]).flatten() for name in start["params"]])


def assert_alike(fused, stock, start):
    """bf16 logits and Adam's first steps: the size of a step is the rate, its direction is what can be compared."""
    for (full, _), (expected, _) in zip(fused["entropy"], stock["entropy"], strict=True):
        torch.testing.assert_close(full, expected, rtol=2e-2, atol=2e-2)
    assert fused["status"]["policy_loss"] == pytest.approx(stock["status"]["policy_loss"], abs=2e-2)
    assert_alike_direction(fused, stock, start)


def assert_alike_direction(first, second, start):
    assert float(torch.nn.functional.cosine_similarity(moved(first, start), moved(second, start), dim=0)) > 0.99


def test_training_is_that_of_the_stock_head(run_each, model_dir):
    packed = ("--train.dynamic_batch_enable", "--train.max_tokens_per_gpu", "64")
    start, stock, fused, stock_packed, fused_packed = run_each(
        (model_dir, "aer:mixed", *OFF, *STILL),
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


def test_zero3_on_two_ranks_is_one_rank(run_ranks, run_each, model_dir):
    """The head's weight lies in two parts and is gathered for the forward and for the backward."""
    batches = ("--train.batch_size", "24", "--train.micro_batch_size", "4", "--rollout.micro_batch_size", "4")
    one_step = (*batches, "--ds.zero_stage", "3", *ON)
    two = run_ranks(2, model_dir, "aer:mixed", *one_step)
    start, one, stock = run_each(
        *((model_dir, "aer:mixed", *one_step, *more) for more in (STILL, (), ("--aer.fused_head", "off")))
    )
    assert all(torch.equal(two[0]["params"][name], two[1]["params"][name]) for name in start["params"])
    assert_alike_direction(two[0], one, start)
    assert_alike_direction(one, stock, start)
