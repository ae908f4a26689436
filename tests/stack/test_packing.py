"""On the CPU, packed sequences must not see each other."""

import pytest
import torch


@pytest.fixture(scope="module")
def actors(model_dir):
    from tests.stack.openrlhf_args import base_arguments, parse

    parse(*base_arguments(str(model_dir)))  # brings the CPU platform up
    from openrlhf.models import Actor

    def make(packing):
        actor = Actor(str(model_dir), attn_implementation="sdpa", packing_samples=packing, temperature=0.7)
        actor.model.float().eval()
        return actor

    return make(False), make(True)


def test_packed_log_probs_and_entropy_equal_unpacked(actors):
    from tests.stack.policy_rank import make_experiences

    unpacked, packed = actors
    for experience in make_experiences(lambda sequences, mask, attention: torch.zeros(mask.shape)):
        inputs = (experience.sequences, experience.action_mask, experience.attention_mask)
        with torch.no_grad():
            expected, expected_output = unpacked(*inputs, return_output=True, return_entropy=True)
            got, got_output = packed(*inputs, return_output=True, return_entropy=True)
        mask = experience.action_mask.bool()
        torch.testing.assert_close(got[mask], expected[mask], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(got_output.entropy[mask], expected_output.entropy[mask], rtol=1e-5, atol=1e-5)
