"""OpenRLHF's own executors behind the guards: every way in which a reward can fail ends the run with one line."""

import asyncio
import contextlib
import faulthandler
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

REWARD = """
import time
import torch

def reward_func(queries, prompts, labels, **kwargs):
    {body}
"""
BODIES = {
    "raises": ("raise KeyError(labels[0])", "reward_func raised KeyError: '7', for the prompt '3+4=' with label '7'"),
    "exits": ("raise SystemExit(3)", "reward_func called sys.exit(3)"),
    "nan": ("return {'rewards': torch.tensor([float('nan')])}", "returned [nan] as rewards, where a finite number"),
    "infinite score": ("return {'rewards': [1.0], 'scores': [float('inf')]}", "returned [inf] as scores"),
    "too many": ("return {'rewards': torch.ones(2)}", "returned 2 rewards for 1 response(s)"),
    "none": ("return {'rewards': torch.ones(0)}", "returned 0 rewards for 1 response(s)"),
    "no dict": ("return 1.0", "returned float without 'rewards'"),
    "text": ("return {'rewards': ['right']}", "returned 'rewards' that are not numbers (['right'])"),
    "hangs": ("time.sleep(1)", "has not returned after 0.2 s (--aer.reward_timeout)"),
}


class Engine:
    """Answers 7 to everything."""

    async def generate(self, prompt_token_ids, sampling_params, multi_modal_data=None):
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=[7], text="7", finish_reason="stop", logprobs=None)])


class Tokenizer:
    def __call__(self, text, **kwargs):
        import torch

        return {"input_ids": torch.ones(1, len(text), dtype=torch.long)}

    def decode(self, tokens, **kwargs):
        return "3+4=7"


@pytest.fixture
def execute(tmp_path):
    """execute(body of reward_func, number of responses) -> the outputs of OpenRLHF's executor."""
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    from aer_openrlhf.integration.reward_guard import RewardGuard

    def run(body, responses=1, timeout=0.2):
        path = tmp_path / "reward.py"
        path.write_text(REWARD.format(body=body))
        guard = RewardGuard(SingleTurnAgentExecutor(str(path)), timeout)
        sampling = SimpleNamespace(max_tokens=8, logprobs=None)

        async def all_responses():
            calls = [guard.execute("3+4=", "7", sampling, 64, Tokenizer(), Engine()) for _ in range(responses)]
            return await asyncio.gather(*calls)

        return asyncio.run(all_responses())

    return run


def explained(fault):
    """What a user sees of a fault: one line that ends with how to go on."""
    from aer_openrlhf.integration.faults import explain

    line = explain(fault)
    assert "start the same command again" in line
    assert "\n" not in line
    return line


@pytest.mark.parametrize("fault", BODIES)
def test_a_failing_reward_raises_one_line(execute, fault):
    from aer_openrlhf.integration.faults import RunFault

    body, expected = BODIES[fault]
    with pytest.raises(RunFault) as raised:
        execute(body)
    line = explained(raised.value)
    assert expected in line
    assert line.startswith("--reward.remote_url /") and "reward.py: reward_func" in line


def test_the_place_where_a_reward_hangs_is_shown(execute):
    with pytest.raises(RuntimeError) as raised:
        execute("time.sleep(1)")
    assert "time.sleep(1)" in str(raised.value.__cause__)


def test_a_good_reward_passes_as_it_is(execute):
    (output,) = execute("return {'rewards': torch.ones(1), 'extra_logs': {'length': torch.ones(1)}}")
    assert output["reward"].item() == output["scores"].item() == 1.0
    assert output["extra_logs"]["length"].item() == 1.0


def test_waiting_for_a_thread_is_not_hanging(execute):
    """90 calls of 0.1 s on a pool of a few threads: the last one waits longer than the timeout of 1 s."""
    began = time.monotonic()
    outputs = execute("time.sleep(0.1) or 0; return {'rewards': torch.ones(1)}", responses=90, timeout=1.0)
    assert len(outputs) == 90
    assert time.monotonic() - began > 1.0


@pytest.mark.parametrize("body", ["return {'rewards': torch.ones(1)}", "time.sleep(1)"])
def test_no_clock_runs_on_after_the_event_loop(execute, monkeypatch, body):
    """It would end the process that the loop ran in."""
    armed = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *args, **kwargs: armed.append(True))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", armed.clear)
    with contextlib.suppress(RuntimeError):
        execute(body)
    assert armed == []


AGENT = """
import torch
from openrlhf.utils.agent import AgentInstanceBase, MultiTurnAgentExecutor

class Environment(AgentInstanceBase):
    def __init__(self): pass

    async def step(self, states):
        {body}

class AgentExecutor(MultiTurnAgentExecutor):
    def __init__(self):
        super().__init__(Environment)
"""
AGENT_BODIES = {
    "raises": ("raise KeyError(states['label'])", "raised KeyError: '7', for the prompt '3+4=' with label '7'"),
    "exits": ("raise SystemExit(3)", "raised SystemExit: 3"),
    "nan": ("reward = float('nan')", "returned [nan] as reward, where a finite number is needed"),
    "infinite score": ("reward, score = 1.0, float('inf')", "returned [inf] as scores"),
    "text": ("reward, score = 1.0, 'right'", "returned 'scores' that are not numbers ('right')"),
}


@pytest.fixture
def execute_agent(tmp_path):
    """execute_agent(body of an environment's step, which sets `reward`) -> the output of OpenRLHF's executor."""
    from openrlhf.trainer.ray.vllm_engine import _load_agent_executor

    from aer_openrlhf.integration.reward_guard import AgentGuard

    step = "{body}; return {{'rewards': torch.tensor(reward), 'scores': score, 'environment_feedback': '', 'done': 1}}"

    def run(body):
        path = tmp_path / "agent.py"
        path.write_text(AGENT.format(body="reward = score = 0.0; " + step.format(body=body)))
        guard = AgentGuard(_load_agent_executor(str(path)), str(path))
        sampling = SimpleNamespace(max_tokens=8, logprobs=None)
        call = {"prompt": "3+4=", "label": "7", "hf_tokenizer": Tokenizer(), "llm_engine": Engine(), "images": None}
        return asyncio.run(guard.execute(**call, sampling_params=sampling, max_length=64))

    return run


@pytest.mark.parametrize("fault", AGENT_BODIES)
def test_a_failing_agent_raises_one_line(execute_agent, fault):
    from aer_openrlhf.integration.faults import RunFault

    body, expected = AGENT_BODIES[fault]
    with pytest.raises(RunFault) as raised:
        execute_agent(body)
    line = explained(raised.value)
    assert line.startswith("--train.agent_func_path /") and f"agent.py: the agent {expected}" in line


def test_a_good_agent_passes_as_it_is(execute_agent):
    output = execute_agent("reward, score = 0.5, 1.0")
    assert (output["reward"], output["scores"]) == (0.5, 1.0)


STUCK = """
import asyncio, re, sys
from aer_openrlhf.platforms import current_platform
current_platform().prepare_process()
from openrlhf.utils.agent import SingleTurnAgentExecutor
from aer_openrlhf.integration import reward_guard

reward_guard.STUCK_SECONDS = 0.5
guard = reward_guard.RewardGuard(SingleTurnAgentExecutor(sys.argv[1]), timeout=0.5)
asyncio.run(guard.executor._fetch_rewards_via_func(["aaa"], ["a"], ["1"]))
"""


def test_a_regular_expression_that_never_ends_ends_the_engine(tmp_path):
    """It does not let any other Python code run, the timeout's included."""
    path = tmp_path / "reward.py"
    path.write_text(REWARD.format(body="import re; re.match('(a+)+$', 60 * 'a' + 'b')"))
    ended = subprocess.run([sys.executable, "-c", STUCK, path], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "Timeout (0:00:01)!" in ended.stderr
    assert f'File "{path}", line 6 in reward_func' in ended.stderr
