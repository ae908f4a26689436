"""From a score to OpenRLHF's reward_func, and OpenRLHF's own loader and caller on every reward file."""

import asyncio
import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import aiohttp  # noqa: F401 (imported here so that the fixture below does not unload it)
import openrlhf
import pytest
import torch

from aer_openrlhf import rewards
from aer_openrlhf.rewards.scoring import Outcome, cut_prompt, make_reward_func

KEYS = {"no_answer", "grader_timeout", "reward_error", "answer_tail_chars"}


def score_length(response: str, label: str) -> Outcome:
    """Right where the response has as many characters as the label says; its answer is the first two."""
    if response == "boom":
        raise KeyError(response)
    if response == "slow":
        return Outcome(score=0.0, answered=True, timed_out=True, tail_chars=2)
    if not response:
        return Outcome(score=0.0, answered=False)
    return Outcome(score=float(len(response) == int(label)), answered=True, tail_chars=len(response) - 2)


def test_every_outcome_in_one_batch():
    reward_func = make_reward_func(score_length)
    result = reward_func(["p:abc", "p:abcd", "p:", "p:slow", "p:boom"], ["p:"] * 5, ["3"] * 5)
    assert result["rewards"].tolist() == result["scores"].tolist() == [1, 0, 0, 0, 0]
    assert {key: value.tolist() for key, value in result["extra_logs"].items()} == {
        "no_answer": [0, 0, 1, 0, 1],
        "grader_timeout": [0, 0, 0, 1, 0],
        "reward_error": [0, 0, 0, 0, 1],
        "answer_tail_chars": [1, 2, -1, 2, -1],
    }
    assert all(tensor.dtype == torch.float32 for tensor in result["extra_logs"].values())


def test_rewards_and_scores_do_not_share_memory():
    result = make_reward_func(score_length)(["p:abc"], ["p:"], ["3"])
    result["rewards"] -= 1  # OpenRLHF shapes rewards in place; scores must stay raw
    assert result["scores"].tolist() == [1]


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        make_reward_func(score_length)(["p:abc", "p:abc"], ["p:"] * 2, ["3"])


def test_each_type_of_exception_is_logged_once_with_its_traceback(caplog):
    reward_func = make_reward_func(score_length)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            reward_func(["p:boom", "p:boom", "p:abc"], ["p:"] * 3, ["3", "3", "no number"])
    assert [record.exc_info[0] for record in caplog.records] == [KeyError, ValueError]
    assert "in score_length" in caplog.text


def test_a_score_out_of_range_is_an_error_of_the_reward():
    result = make_reward_func(lambda response, label: Outcome(score=2.0, answered=True))(["p:a"], ["p:"], ["1"])
    assert result["scores"].tolist() == [0]
    assert result["extra_logs"]["reward_error"].tolist() == [1]


def test_prompt_is_cut_off():
    long_prompt = "Q" * 100 + " Please reason step by step, and put your final answer within the box.<assistant>"
    assert cut_prompt("1+1=2", "1+1=") == "2"
    assert cut_prompt("=2", "") == "=2"
    assert cut_prompt("<bos>1+1=2", "1+1=") == "2"  # a token in front
    assert cut_prompt(long_prompt[50:] + "2", long_prompt) == "2"  # cut on the left
    repeated = long_prompt[50:] + "2" + long_prompt[-64:] + "3"
    assert cut_prompt(repeated, long_prompt) == "2" + long_prompt[-64:] + "3"  # the model's own text stays whole


def test_a_query_without_the_end_of_its_prompt_is_a_reward_error():
    with pytest.raises(ValueError, match="not in the decoded text"):
        cut_prompt("something else", "1+1=")
    result = make_reward_func(score_length)(["something else"], ["1+1="], ["3"])
    assert result["extra_logs"]["reward_error"].tolist() == [1]
    assert result["scores"].tolist() == [0]


@pytest.fixture(scope="module")
def agent() -> ModuleType:
    """The installed openrlhf.utils.agent, without openrlhf.utils itself: that costs seconds of transformers."""
    package = ModuleType("openrlhf.utils")
    package.__path__ = [str(Path(openrlhf.__path__[0]) / "utils")]
    with mock.patch.dict(sys.modules, {"openrlhf.utils": sys.modules.get("openrlhf.utils", package)}):
        return importlib.import_module("openrlhf.utils.agent")


class CharacterTokenizer:
    """One token a character; OpenRLHF calls it and decodes with special tokens."""

    def __call__(self, text, add_special_tokens, return_tensors):
        return {"input_ids": torch.tensor([[ord(character) for character in text]])}

    def decode(self, tokens, skip_special_tokens):
        return "".join(map(chr, tokens))


class Engine:
    """Stands in for vLLM: always answers with one text."""

    def __init__(self, response: str):
        self.response = response

    async def generate(self, prompt_token_ids, sampling_params, multi_modal_data):
        output = SimpleNamespace(token_ids=[ord(character) for character in self.response], finish_reason="stop")
        return SimpleNamespace(outputs=[output])


@pytest.mark.parametrize(
    ("file", "prompt", "label", "response", "tail"),
    [
        ("countdown.py", "345 017=", "[[3, 4, 5], 17]", "3*4+5<eos>", 5),
        ("make_n.py", "057=", "57", "18+39<eos>", 5),
        ("math.py", "What is 7 times 8?", "56", r"It is \boxed{56}.<eos>", 6),
    ],
)
def test_openrlhf_loads_and_calls_the_reward_file(agent, file, prompt, label, response, tail):
    executor = agent.SingleTurnAgentExecutor(str(Path(rewards.__path__[0]) / file))

    def rollout(text):
        parameters = SimpleNamespace(max_tokens=64, logprobs=None)
        return asyncio.run(
            executor.execute(
                prompt, label, parameters, 1024, hf_tokenizer=CharacterTokenizer(), llm_engine=Engine(text)
            )
        )

    right, wrong = rollout(response), rollout("I give up.<eos>")
    assert right["reward"].tolist() == right["scores"].tolist() == [1]
    assert wrong["reward"].tolist() == wrong["scores"].tolist() == [0]
    assert set(right["extra_logs"]) == set(wrong["extra_logs"]) == KEYS
    assert right["extra_logs"]["answer_tail_chars"].tolist() == [tail]
    assert wrong["extra_logs"]["no_answer"].tolist() == [1]
    assert wrong["extra_logs"]["reward_error"].tolist() == [0]
