"""How much of a rollout is trained on, against numbers counted by hand."""

import pytest

from aer_openrlhf.integration.rollout_size import refuse_too_few, refuse_uneven, trained_responses

EIGHT_RANKS = {
    "rollout.batch_size": 128,
    "rollout.n_samples_per_prompt": 8,
    "rollout.micro_batch_size": 8,
    "train.batch_size": 128,
    "train.dynamic_batch_enable": False,
    "actor.num_nodes": 1,
    "actor.num_gpus_per_node": 8,
    "ds.ring_attn_size": 1,
    "ds.tensor_parallel_size": 1,
}


@pytest.mark.parametrize(
    ("changed", "responses", "trained"),
    [
        ({}, 1024, 1024),
        # GSM8K: 7473 = 58 * 128 + 49 prompts; 392 responses are 49 micro batches of 8 for 8 ranks, 48 of them even
        ({}, 392, 384),
        ({}, 40, 0),
        ({"train.batch_size": 64}, 392, 384),
        ({"rollout.micro_batch_size": 32}, 392, 256),  # 32 for each of 8 ranks
        ({"rollout.micro_batch_size": 32, "ds.ring_attn_size": 2}, 392, 384),  # for each of 4
        ({"rollout.micro_batch_size": 32, "actor.num_gpus_per_node": 1}, 392, 384),
        ({"rollout.micro_batch_size": 32, "train.dynamic_batch_enable": True}, 392, 384),
        # 120 is a multiple of 60 and of the 8 responses of a prompt
        ({"train.batch_size": 60, "actor.num_gpus_per_node": 1}, 392, 360),
    ],
)
def test_a_smaller_rollout_is_whole_optimizer_steps_on_every_rank(changed, responses, trained):
    assert trained_responses(EIGHT_RANKS | changed, responses) == trained


def test_a_full_rollout_that_cannot_be_shared_evenly_is_refused_with_the_next_size_that_can():
    refuse_uneven(EIGHT_RANKS)
    with pytest.raises(
        ValueError, match=r"--rollout\.batch_size 100 makes 800 .* multiples of 128 .*batch_size 112, or"
    ):
        refuse_uneven(EIGHT_RANKS | {"rollout.batch_size": 100})
    refuse_uneven(EIGHT_RANKS | {"rollout.batch_size": 100, "train.dynamic_batch_enable": True})


def test_a_dataset_that_fills_no_step_is_refused():
    refuse_too_few(EIGHT_RANKS, 16)
    with pytest.raises(ValueError, match="15 prompts make 120 responses, and optimizer steps take 128 or a multiple"):
        refuse_too_few(EIGHT_RANKS, 15)
