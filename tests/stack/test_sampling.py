"""What OpenRLHF's own sample generator asks of vLLM, and what its vLLM actor makes of that."""

import asyncio
from types import SimpleNamespace

import pytest
import ray


class Engine:
    """Takes the requests down."""

    def __init__(self):
        self.asked, self.tokenizers = [], []
        self.get_num_unfinished_requests = SimpleNamespace(remote=lambda: 0)
        self.generate_responses = SimpleNamespace(remote=lambda **request: self.asked.append(request))
        self.receive_tokenizer = SimpleNamespace(remote=self.tokenizers.append)


@pytest.fixture
def generator(model_dir, monkeypatch):
    from tests.stack.openrlhf_args import base_arguments, parse

    args = parse(*base_arguments(str(model_dir)), "--aer.enable")
    from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator

    monkeypatch.setattr(ray, "get", lambda values: values)
    made = SamplesGenerator.__new__(SamplesGenerator)
    made.args, made.tokenizer, made.vllm_engines = args, "a tokenizer", [Engine()]
    return made


@pytest.fixture
def vllm_actor():
    """OpenRLHF's own class with our methods, over an engine that takes its sampling parameters down."""
    from aer_openrlhf.integration.rollout_engine import RolloutRayActorImpl

    made = RolloutRayActorImpl.__new__(RolloutRayActorImpl)
    made.agent_path, made._mm_pad_token_ids, made.asked = None, None, []

    async def generate(prompt, sampling_params, request_id):
        made.asked.append(sampling_params)
        yield "first"
        yield "last"

    made.llm = SimpleNamespace(generate=generate)
    return made


def test_a_response_may_end_at_its_first_token(generator):
    from aer_openrlhf.integration.samples_generator import sample_from_the_scored_policy

    generator._dispatch_prompts_to_vllm(["1+1="], ["2"], max_new_tokens=6)
    sample_from_the_scored_policy(generator)
    generator._dispatch_prompts_to_vllm(["1+1="], ["2"], max_new_tokens=6, temperature=0.7)
    stock, ours = (request["sampling_params"] for request in generator.vllm_engines[0].asked)
    assert stock.min_tokens == 1  # where this becomes 0, the wrapper can go
    assert (ours.min_tokens, ours.max_tokens, ours.temperature) == (0, 6, 0.7)


def test_every_engine_gets_the_tokenizer_once(generator):
    from aer_openrlhf.integration.samples_generator import hand_over_tokenizer

    generator.vllm_engines.append(Engine())
    generator._dispatch_prompts_to_vllm(["1+1=", "1+2="], ["2", "3"])
    assert [engine.asked[0]["hf_tokenizer"] for engine in generator.vllm_engines] == ["a tokenizer"] * 2
    hand_over_tokenizer(generator)
    generator._dispatch_prompts_to_vllm(["1+1=", "1+2="], ["2", "3"])
    generator._dispatch_prompts_to_vllm(["1+1=", "1+2="], ["2", "3"])
    for engine in generator.vllm_engines:
        assert engine.tokenizers == ["a tokenizer"]
        assert [request["hf_tokenizer"] for request in engine.asked[1:]] == [None, None]


def test_an_engine_uses_the_tokenizer_that_it_was_given(vllm_actor):
    used = []

    class Executor:
        async def execute(self, hf_tokenizer, **rest):
            used.append(hf_tokenizer)

    vllm_actor.executor = Executor()
    ask = {"prompt": "1+1=", "label": "2", "sampling_params": None, "max_length": 8, "num_samples": 2}
    asyncio.run(vllm_actor.generate_responses(**ask, hf_tokenizer="sent along"))
    asyncio.run(vllm_actor.receive_tokenizer("given once"))
    asyncio.run(vllm_actor.generate_responses(**ask, hf_tokenizer=None))
    assert used == ["sent along"] * 2 + ["given once"] * 2


@pytest.mark.parametrize(("agent", "text"), [(None, False), ("agent.py", True)])
def test_vllm_makes_only_the_last_output_and_text_for_agents_only(vllm_actor, agent, text):
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    vllm_actor.agent_path, params = agent, SamplingParams(max_tokens=3)
    assert asyncio.run(vllm_actor.generate([1, 2], params)) == "last"
    asyncio.run(vllm_actor.receive_tokenizer("a tokenizer"))
    assert asyncio.run(vllm_actor.generate([1, 2], params)) == "last"
    stock, ours = vllm_actor.asked
    assert (stock.output_kind, stock.detokenize) == (RequestOutputKind.CUMULATIVE, True)
    assert (ours.output_kind, ours.detokenize) == (RequestOutputKind.FINAL_ONLY, text)
    assert (params.output_kind, params.detokenize) == (RequestOutputKind.CUMULATIVE, True)
