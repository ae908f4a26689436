"""What the engines ask of a tokenizer and of a model's configuration."""

import pytest

from aer_eval.engines.base import check_lengths, longest_context, special_ids
from aer_eval.errors import UserError
from aer_eval.records import Prompt
from aer_eval.sampling.units import SamplingParams, Unit


def test_stops_that_are_special_tokens_are_known_by_their_ids(tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert special_ids(tokenizer, (tokenizer.eos_token, "7", "no such token")) == [tokenizer.eos_token_id]
    assert special_ids(tokenizer, ()) == []


def test_vllm_is_given_the_ids_of_special_stops(tiny_model):
    from transformers import AutoTokenizer

    from aer_eval.engines.vllm import VLLMEngine, VLLMSettings

    engine = VLLMEngine(VLLMSettings(str(tiny_model)))
    engine._tokenizer = tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    asked = engine._params(
        Unit("p", Prompt(text="1"), 0, 2, first_seed=7), SamplingParams(stop=(tokenizer.eos_token, "7"))
    )
    assert (asked.stop_token_ids, asked.stop) == ([tokenizer.eos_token_id], [tokenizer.eos_token, "7"])


def test_the_context_of_a_model_stands_in_its_text_configuration_or_nowhere():
    from transformers import Gemma3Config, MambaConfig, Qwen2Config

    assert longest_context(Qwen2Config(max_position_embeddings=512)) == 512
    assert longest_context(Gemma3Config(text_config={"max_position_embeddings": 256})) == 256
    assert longest_context(MambaConfig()) is None


@pytest.mark.parametrize(("limit", "refused"), [(10, True), (11, False), (None, False)])
def test_a_prompt_needs_room_for_its_response(limit, refused):
    prompts, params = {"a": [1, 2], "b": [1, 2, 3]}, SamplingParams(max_tokens=8)
    if not refused:
        return check_lengths(prompts, params, limit)
    with pytest.raises(UserError, match=r"--max-tokens 8 and problem 'b' \(3 tokens\) .* lower --max-tokens to 7"):
        check_lengths(prompts, params, limit)
