"""The vLLM actor: log-probs of the policy that really samples, and what the platform asks of the engine."""

from __future__ import annotations

from typing import Any

import ray
from openrlhf.trainer.ray import vllm_engine
from openrlhf.utils.agent import SingleTurnAgentExecutor

from ..platforms import current_platform
from .compat import raw_class
from .reward_guard import RewardGuard


class RolloutRayActorImpl(raw_class(vllm_engine.RolloutRayActor)):  # type: ignore[misc]
    """OpenRLHF's vLLM actor with two settings of our own."""

    executor: Any

    async def __init__(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[misc]
        # Log-probs after temperature and top-p: those of the policy that the trainer scores.
        kwargs |= {"logprobs_mode": "processed_logprobs", "max_logprobs": 1}
        kwargs |= current_platform().engine_arguments(kwargs)
        await super().__init__(*args, **kwargs)

    async def guard_reward(self, timeout: float) -> None:
        """From here on a reward that fails ends the run. timeout: seconds for one call of a reward function."""
        if isinstance(self.executor, SingleTurnAgentExecutor):  # a user's own agent raises by itself
            self.executor = RewardGuard(self.executor, timeout)


RolloutRayActor = ray.remote(RolloutRayActorImpl)
