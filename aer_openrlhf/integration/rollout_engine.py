"""The vLLM actor: log-probs of the policy that really samples, and what the platform asks of the engine."""

from __future__ import annotations

from typing import Any

import ray
from openrlhf.trainer.ray import vllm_engine

from ..platforms import current_platform
from .compat import raw_class


class RolloutRayActorImpl(raw_class(vllm_engine.RolloutRayActor)):  # type: ignore[misc]
    """OpenRLHF's vLLM actor with two settings of our own."""

    async def __init__(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[misc]
        # Log-probs after temperature and top-p: those of the policy that the trainer scores.
        kwargs |= {"logprobs_mode": "processed_logprobs", "max_logprobs": 1}
        kwargs |= current_platform().engine_arguments(kwargs)
        await super().__init__(*args, **kwargs)


RolloutRayActor = ray.remote(RolloutRayActorImpl)
