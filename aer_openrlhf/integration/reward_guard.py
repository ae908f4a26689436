"""Guards around the user's reward: OpenRLHF logs a failing reward at INFO level and trains on without it.

Here a reward that raises, does not return in time, or gives anything but one finite number for its response ends the
run with one line, and so does an agent. A reward that shall count a failing sample as wrong instead is made with
`aer_openrlhf.rewards.scoring.make_reward_func`.
"""

from __future__ import annotations

import asyncio
import faulthandler
import math
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import torch
from openrlhf.utils.agent import AgentExecutorBase, SingleTurnAgentExecutor

from .faults import AGAIN, RunFault

STUCK_SECONDS = 30.0  # beyond the timeout

Fetch = Callable[[list[str], list[str], list[str]], Awaitable[list[Any]]]


class RewardGuard:
    """In front of OpenRLHF's single-turn executor, in a vLLM actor."""

    def __init__(self, executor: SingleTurnAgentExecutor, timeout: float) -> None:
        """timeout: seconds that one call of the reward function may take; a server has OpenRLHF's own."""
        self.executor = executor
        self.timeout = timeout
        self.fault: RunFault | None = None
        self._calls: set[Call] = set()
        self._clock: asyncio.Task[None] | None = None
        executor._fetch_rewards_via_func = self._guarded(self._call_function)
        executor._fetch_rewards_via_http = self._guarded(executor._fetch_rewards_via_http)

    async def execute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """OpenRLHF's `execute`. Raises RunFault where a reward could not be had, for this response or another."""
        output = await self.executor.execute(*args, **kwargs)
        if self.fault is not None:
            raise self.fault
        return output

    def _guarded(self, fetch: Fetch) -> Fetch:
        async def guarded(queries: list[str], prompts: list[str], labels: list[str]) -> list[Any]:
            try:
                results = await fetch(queries, prompts, labels)
                check_result(results[0], len(queries))
                return results
            except Exception as error:
                self.fault = self.fault or self._fault(error, prompts, labels)
                raise self.fault from error

        return guarded

    async def _call_function(self, queries: list[str], prompts: list[str], labels: list[str]) -> list[Any]:
        """The reward function in a thread, as OpenRLHF calls it; the time starts when the thread does."""
        call = Call()

        def run() -> Any:
            call.thread, call.started = threading.get_ident(), time.monotonic()
            try:
                return self.executor.reward_func(queries, prompts, labels)
            except SystemExit as error:  # would end the event loop of the vLLM engine
                raise ResultError(f"called sys.exit({error.code!r})") from error

        self._calls.add(call)
        if self._clock is None:
            self._expect_an_end()
            self._clock = asyncio.create_task(self._watch())
        call.result = asyncio.ensure_future(asyncio.to_thread(run))
        try:
            return [await call.result]
        except asyncio.CancelledError:
            if not call.stack:
                raise
            limit = f"{self.timeout:g} s (--aer.reward_timeout)"
            raise HangError(f"has not returned after {limit}; it stands at\n{call.stack}") from None
        finally:
            self._calls.discard(call)

    async def _watch(self) -> None:
        """One clock for all calls: a timer for each would cost more than a quick reward does."""
        try:
            while self._calls:
                await asyncio.sleep(min(1.0, self.timeout / 4))
                self._expect_an_end()
                for call in self._calls:
                    if call.result is not None and call.started and time.monotonic() - call.started > self.timeout:
                        call.stack = "".join(traceback.format_stack(sys._current_frames().get(call.thread)))
                        call.result.cancel()
        finally:  # cancelled with its event loop too: left armed, it would end the process
            faulthandler.cancel_dump_traceback_later()
            self._clock = None

    def _expect_an_end(self) -> None:
        """A regular expression that never ends keeps Python to itself: no timeout in Python can cut it off.

        faulthandler's clock runs outside of Python. It prints where every thread stands, and ends the engine.
        """
        faulthandler.dump_traceback_later(self.timeout + STUCK_SECONDS, exit=True, file=2)

    def _fault(self, error: BaseException, prompts: list[str], labels: list[str]) -> RunFault:
        who = "reward_func" if self.executor.reward_func else "the server"
        return _fault(f"--reward.remote_url {self.executor.reward_endpoints[0]}: {who}", error, prompts[0], labels[0])


class AgentGuard:
    """In front of a user's own executor, in a vLLM actor.

    Its time is not limited: an agent waits for the engine among its own work.
    """

    def __init__(self, executor: AgentExecutorBase, path: str) -> None:
        """path: of the file that --train.agent_func_path names."""
        self.executor = executor
        self.path = path

    async def execute(self, prompt: str, label: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The executor's `execute`. Raises RunFault where it raises, or its reward is no finite number."""
        try:
            output = await self.executor.execute(prompt, label, *args, **kwargs)
            check_result(output, 1, reward="reward")
            return output
        except (Exception, SystemExit) as error:  # the latter would end the event loop of the vLLM engine
            raise _fault(f"--train.agent_func_path {self.path}: the agent", error, prompt, label) from error


def _fault(who: str, error: BaseException, prompt: str, label: str) -> RunFault:
    if isinstance(error, (HangError, ResultError)):
        what = str(error).splitlines()[0].removesuffix("; it stands at")
    else:
        what = f"raised {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return RunFault(
        f"{who} {what}, for the prompt {prompt!r:.80} with label {label!r:.40} (traceback above): mend it, "
        f"then {AGAIN}"
    )


@dataclass(eq=False)
class Call:
    """One call of the reward function, from its place in the queue for a thread to its end."""

    result: asyncio.Future[Any] | None = None
    thread: int = 0
    started: float = 0.0
    """When its thread began, 0 while it waits for one."""
    stack: str = ""
    """Where the thread stood when the time was over."""


class HangError(Exception):
    """The reward function has not returned in time."""


class ResultError(Exception):
    """The reward function returned what cannot be trained on."""


def check_result(result: Any, num_queries: int, reward: str = "rewards") -> None:
    """Raise ResultError, saying what is wrong, unless a result holds a finite reward (and score) for every query.

    reward: the key of the rewards.
    """
    if not isinstance(result, dict) or result.get(reward) is None:
        raise ResultError(f"returned {type(result).__name__} without {reward!r}: a dict with {reward!r} is needed")
    for key in (reward, "scores"):
        if result.get(key) is None:
            continue
        try:
            values = torch.as_tensor(result[key], dtype=torch.float).flatten().tolist()
        except (TypeError, ValueError, RuntimeError):
            raise ResultError(f"returned {key!r} that are not numbers ({result[key]!r:.80})") from None
        if len(values) != num_queries:
            raise ResultError(f"returned {len(values)} {key} for {num_queries} response(s)")
        if not all(map(math.isfinite, values)):
            raise ResultError(f"returned {values} as {key}, where a finite number is needed")
