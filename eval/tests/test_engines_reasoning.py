"""A ``<think>`` that a prompt ends with stands in front of the samples' texts, whatever engine drew them."""

import asyncio
import shutil
from types import SimpleNamespace

import pytest

from aer_eval.engines.hf import HFEngine, HFSettings
from aer_eval.engines.openai import _completions
from aer_eval.engines.vllm import VLLMEngine, VLLMSettings
from aer_eval.records import Prompt
from aer_eval.sampling.units import SamplingParams, Unit

PARAMS = SamplingParams(max_tokens=4)
CHAT = Unit("a", Prompt(messages=({"role": "user", "content": "1+1"},)), first_index=0, count=2, first_seed=7)


@pytest.fixture
def reasoning_model(tiny_model, tmp_path):
    """The tiny model with a token `<think>` that its chat template ends with."""
    from transformers import AutoTokenizer

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    tokens = folder / "tokenizer.json"
    tokens.write_text(tokens.read_text().replace("<unused0>", "<think>"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<think>"])
    tokenizer.chat_template = "{{ messages[0]['content'] }}<think> "
    tokenizer.save_pretrained(folder)
    return folder


def openings(engine, unit):
    return {sample.text.startswith("<think>") for [*samples] in engine.sample([unit], PARAMS) for sample in samples}


def test_hf(reasoning_model):
    engine = HFEngine(HFSettings(str(reasoning_model)))
    assert openings(engine, CHAT) == {True}
    assert openings(engine, Unit("a", Prompt(text="1+1="), 0, 2, 7)) == {False}


def test_vllm(reasoning_model, monkeypatch):
    from transformers import AutoTokenizer

    async def generate(prompt, params, request):
        yield SimpleNamespace(
            outputs=[
                SimpleNamespace(index=j, text="so", token_ids=[3], finish_reason="length", cumulative_logprob=None)
                for j in range(2)
            ]
        )

    engine = VLLMEngine(VLLMSettings(str(reasoning_model)))
    engine._llm, engine._tokenizer = SimpleNamespace(generate=generate), AutoTokenizer.from_pretrained(reasoning_model)
    monkeypatch.setattr(engine, "_params", lambda unit, params: None)
    samples = asyncio.run(engine.complete(CHAT, PARAMS))
    assert [sample.text for sample in samples] == ["<think>so", "<think>so"]


@pytest.mark.parametrize(("prompt", "text"), [("1+1<think>\n", "<think>so"), ("1+1", "so")])
def test_openai(prompt, text):
    choice = SimpleNamespace(index=0, text="so", logprobs=None, finish_reason="length")
    answer = SimpleNamespace(choices=[choice], usage=None)
    [sample] = _completions(Unit("a", Prompt(text=prompt), 0, 1, 7), answer, PARAMS, 0.0)
    assert sample.text == text
