"""AER's term on OpenRLHF's real policy rank: what equals stock bit for bit, and what no layout may change."""

from types import SimpleNamespace

import pytest
import torch


def largest_difference(first, second):
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def assert_bitwise_equal(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_no_coefficient_is_stock_bit_for_bit(run_each, model_dir):
    stock, ours = run_each((model_dir, "stock"), (model_dir, "aer:0"))
    assert_bitwise_equal(ours["params"], stock["params"])
    assert ours["status"]["policy_loss"] == stock["status"]["policy_loss"]


@pytest.mark.parametrize(
    ("ranks", "flags"),
    [(2, []), (1, ["--actor.loss_agg_mode", "seq-mean-token-mean"])],
    ids=["token-mean, two ranks", "sequence mean"],
)
def test_a_uniform_coefficient_is_stock_entropy_coef_bit_for_bit(run_ranks, model_dir, ranks, flags):
    """0.37 is no power of two: the term has to round exactly as OpenRLHF's does."""
    variants = (["stock"], ["stock", "--actor.entropy_coef", "0.37"], ["aer:0.37"])
    plain, stock, ours = (run_ranks(ranks, model_dir, *variant, *flags)[0] for variant in variants)
    assert_bitwise_equal(ours["params"], stock["params"])
    assert ours["status"]["policy_loss"] == stock["status"]["policy_loss"]
    assert largest_difference(ours["params"], plain["params"]) > 1e-3


def test_two_ranks_train_as_one(run_ranks, run_each, model_dir):
    """Same 24 responses in one optimizer step; gradients are bf16, so equal up to rounding."""
    flags = ["--train.batch_size", "24", "--train.micro_batch_size", "4"]
    start, one = run_each((model_dir, "aer:mixed", "--actor.adam.lr", "0", *flags), (model_dir, "aer:mixed", *flags))
    two = run_ranks(2, model_dir, "aer:mixed", *flags)
    assert_bitwise_equal(two[0]["params"], two[1]["params"])
    moved = {name: one["params"][name] - start["params"][name] for name in start["params"]}
    moved_by_two = {name: two[0]["params"][name] - start["params"][name] for name in start["params"]}
    first, second = (torch.cat([t.flatten() for t in p.values()]) for p in (moved, moved_by_two))
    assert float(torch.nn.functional.cosine_similarity(first, second, dim=0)) > 0.99


def test_rollout_entropy_is_exact_and_holds_response_tokens_only(run_ranks, model_dir):
    from transformers import AutoModelForCausalLM

    from tests.stack.policy_rank import make_experiences

    (ours,) = run_ranks(1, model_dir, "aer:0")
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16)
    experiences = make_experiences(lambda sequences, mask, attention: torch.zeros(mask.shape))
    for experience, (measured, _) in zip(experiences, ours["entropy"], strict=True):
        with torch.no_grad():
            logits = model(experience.sequences, attention_mask=experience.attention_mask).logits.double()
        expected = torch.distributions.Categorical(logits=logits[:, :-1]).entropy()[experience.action_mask.bool()]
        torch.testing.assert_close(measured.double(), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("attempt", range(2))
def test_zero3_loads_the_files_weights_on_both_ranks(run_ranks, model_dir, attempt):
    for result in run_ranks(2, model_dir, "load", "--ds.zero_stage", "3"):
        assert result["mismatched"] == []


def test_zero3_gather_is_complete_when_it_returns(monkeypatch):
    """Gloo may finish several gathers in any order; here each finishes only when it is waited for."""
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    from deepspeed.runtime.zero import partition_parameters

    from aer_openrlhf.platforms.cpu.patches import AFTER_IMPORT

    class LateGather:
        def __init__(self, output, partition, **_):
            self.wait = lambda: output.copy_(partition.repeat(2))

    class Init:
        _allgather_params_coalesced = partition_parameters.Init._allgather_params_coalesced
        _partition_world_size = staticmethod(lambda param: 2)
        get_partition_dp_group = staticmethod(lambda param: None)
        use_all_gather_into_tensor = True
        local_device = "cpu"

    monkeypatch.setattr(partition_parameters.dist, "all_gather_into_tensor", LateGather)
    AFTER_IMPORT[partition_parameters.__name__](SimpleNamespace(Init=Init))
    params = [torch.nn.Parameter(torch.empty(0)) for _ in range(3)]
    for value, param in enumerate(params):
        param.ds_tensor = torch.full((4,), float(value))
        param.ds_tensor.ds_numel, param.ds_numel, param.ds_shape = 4, 8, (2, 4)
    Init()._allgather_params_coalesced(params)
    for value, param in enumerate(params):
        assert param.data.eq(value).all() and param.shape == (2, 4)
