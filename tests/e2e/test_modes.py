"""OpenRLHF's modes on the real stack, each with AER in control."""

from pathlib import Path

import pytest

# Both sides compute in bf16, and the random model has large logits: 0.02 to 0.033 were seen. The demo model, which
# test_learning.py holds to 0.02 over 150 steps, is the sharper check.
BF16_GAP = 0.08


def assert_controlled(training, steps):
    """Every step is there, the engine samples from the trainer's policy, and the coefficient reached the ranks."""
    rows = training.rows()
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    initial = rows[0]["aer/entropy"]
    for row in rows:
        assert row["aer/entropy_initial"] == pytest.approx(initial)
        assert row["aer/entropy_target"] == pytest.approx(0.95 * initial)
        assert 0 < row["aer/entropy"] < 3.47  # ln 32, the vocabulary
        assert row["aer/coef_mean"] == pytest.approx(row["aer/alpha"], abs=1e-6)  # normalize mean, cap not reached
    return rows


def assert_engine_follows(rows):
    assert max(row["aer/sampler_logprob_gap"] for row in rows if "aer/sampler_logprob_gap" in row) < BF16_GAP


def test_zero3_on_two_ranks_and_a_rollout_that_the_data_do_not_fill(train):
    """What is left is 10 prompts x 8 responses, 3 micro batches of 32 for two ranks: OpenRLHF would hang."""
    flags = ("--ds.zero_stage", "3", "--actor.num_gpus_per_node", "2", "--data.max_samples", str(6 * 16 + 10))
    run = train(*flags, model="untied").finish()
    rows = assert_controlled(run, 7)
    assert_engine_follows(rows)
    assert [row["rollout/num_samples"] for row in rows] == [128] * 6 + [64]  # an optimizer step takes 64
    assert "the last 80 responses of the episode do not fill optimizer steps: trained on 64 of them" in run.output()


def test_lora_under_packing(train):
    packed = ("--train.dynamic_batch_enable", "--train.max_tokens_per_gpu", "256")
    run = train(*packed, "--ds.lora.rank", "8", "--actor.adam.lr", "1e-2", steps=11).finish()
    rows = assert_controlled(run, 11)
    # The adapters train (at this rate entropy also comes back up),
    assert min(row["aer/entropy"] for row in rows) < rows[0]["aer/entropy"] - 0.3
    assert_engine_follows(rows)  # and the engine samples with them: its gap is measured last at step 11


def test_dynamic_filtering(train):
    """The metrics say how much AER never sees."""
    rloo = ("--algo.advantage.estimator", "rloo", "--actor.loss_agg_mode", "seq-mean-token-mean")
    colder = ("--rollout.temperature", "0.8", "--data.max_samples", "400")
    rows = train("--algo.dynamic_filtering_enable", *rloo, *colder).finish().rows()
    assert rows
    for row in rows:
        assert row["aer/all_wrong_share"] == row["aer/all_right_share"] == 0.0
        assert 0.0 <= row["aer/filtered_share"] < 1.0
    assert any(row["aer/filtered_share"] > 0 for row in rows)


def test_async_with_partial_rollout_and_an_agent_on_two_ranks(train):
    partial = ("--train.async_enable", "--train.partial_rollout_enable", "--actor.num_gpus_per_node", "2")
    agent = ("--train.agent_func_path", Path(__file__).parent / "agent_digit.py")
    rows = assert_controlled(train(*partial, *agent, steps=8).finish(), 8)
    assert all(1 <= row["turns"] <= 2 for row in rows)


def test_gspo_with_a_kl_loss_and_two_epochs(train):
    gspo = ("--actor.policy_loss_type", "gspo", "--train.max_epochs", "2", "--algo.advantage.estimator", "dr_grpo")
    kl = ("--algo.kl.init_coef", "0.01", "--algo.kl.use_loss", "--algo.kl.estimator", "k3")
    run = train(*gspo, *kl, "--ref.num_gpus_per_node", "1").finish()
    assert assert_controlled(run, 6)[-1]["kl"] > 0
