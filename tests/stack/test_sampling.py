"""What OpenRLHF's own sample generator asks of vLLM."""

from types import SimpleNamespace

import pytest
import ray


class Engine:
    """Takes the requests down."""

    def __init__(self):
        self.asked = []
        self.get_num_unfinished_requests = SimpleNamespace(remote=lambda: 0)
        self.generate_responses = SimpleNamespace(remote=lambda **request: self.asked.append(request))


@pytest.fixture
def generator(model_dir, monkeypatch):
    from tests.stack.openrlhf_args import base_arguments, parse

    args = parse(*base_arguments(str(model_dir)), "--aer.enable")
    from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator

    monkeypatch.setattr(ray, "get", lambda values: values)
    made = SamplesGenerator.__new__(SamplesGenerator)
    made.args, made.tokenizer, made.vllm_engines = args, None, [Engine()]
    return made


def test_a_response_may_end_at_its_first_token(generator):
    from aer_openrlhf.integration.samples_generator import sample_from_the_scored_policy

    generator._dispatch_prompts_to_vllm(["1+1="], ["2"], max_new_tokens=6)
    sample_from_the_scored_policy(generator)
    generator._dispatch_prompts_to_vllm(["1+1="], ["2"], max_new_tokens=6, temperature=0.7)
    stock, ours = (request["sampling_params"] for request in generator.vllm_engines[0].asked)
    assert stock.min_tokens == 1  # where this becomes 0, the wrapper can go
    assert (ours.min_tokens, ours.max_tokens, ours.temperature) == (0, 6, 0.7)
