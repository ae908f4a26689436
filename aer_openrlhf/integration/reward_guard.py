"""A guard around the user's reward: OpenRLHF logs a failing reward at INFO level and trains on without it.

Here a reward that raises, does not return in time, or gives anything but one finite number for its response ends the
run with one line. A reward that shall count a failing sample as wrong instead is made with
`aer_openrlhf.rewards.scoring.make_reward_func`.
"""

from __future__ import annotations

import asyncio
import faulthandler
import math
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import torch
from openrlhf.utils.agent import SingleTurnAgentExecutor

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
        self._running = 0
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
        loop, started, thread = asyncio.get_running_loop(), asyncio.Event(), []

        def call() -> Any:
            thread.append(threading.get_ident())
            loop.call_soon_threadsafe(started.set)
            self._expect_an_end()
            try:
                return self.executor.reward_func(queries, prompts, labels)
            except SystemExit as error:  # would end the event loop of the vLLM engine
                raise ResultError(f"called sys.exit({error.code!r})") from error

        running = asyncio.ensure_future(asyncio.to_thread(call))
        await started.wait()
        self._running += 1
        done, _ = await asyncio.wait([running], timeout=self.timeout)
        self._running -= 1
        if not self._running:
            faulthandler.cancel_dump_traceback_later()
        if not done:
            stack = "".join(traceback.format_stack(sys._current_frames().get(thread[0])))
            raise HangError(f"has not returned after {self.timeout:g} s (--aer.reward_timeout); it stands at\n{stack}")
        return [running.result()]

    def _expect_an_end(self) -> None:
        """A regular expression that never ends keeps Python to itself: no timeout in Python can cut it off.

        faulthandler's clock runs outside of Python. It prints where every thread stands, and ends the engine.
        """
        faulthandler.dump_traceback_later(self.timeout + STUCK_SECONDS, exit=True, file=2)

    def _fault(self, error: BaseException, prompts: list[str], labels: list[str]) -> RunFault:
        if isinstance(error, (HangError, ResultError)):
            what = str(error).splitlines()[0].removesuffix("; it stands at")
        else:
            what = f"raised {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        who = "reward_func" if self.executor.reward_func else "the server"
        return RunFault(
            f"--reward.remote_url {self.executor.reward_endpoints[0]}: {who} {what}, for the prompt "
            f"{prompts[0]!r:.80} with label {labels[0]!r:.40} (traceback above): mend it, {AGAIN}"
        )


class HangError(Exception):
    """The reward function has not returned in time."""


class ResultError(Exception):
    """The reward function returned what cannot be trained on."""


def check_result(result: Any, num_queries: int) -> None:
    """Raise ResultError, saying what is wrong, unless a result holds a finite reward (and score) for every query."""
    if not isinstance(result, dict) or result.get("rewards") is None:
        raise ResultError(f"returned {type(result).__name__} without 'rewards': a dict with 'rewards' is needed")
    for key in ("rewards", "scores"):
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
