"""The vLLM actor: log-probs of the policy that really samples, what the platform asks of the engine, less work."""

from __future__ import annotations

import copy
import os
from typing import Any

import ray
from openrlhf.trainer.ray import vllm_engine
from openrlhf.trainer.ray.launcher import RayActorGroup
from vllm.sampling_params import RequestOutputKind

from ..platforms import current_platform
from .compat import raw_class
from .faults import AGAIN, RunFault, first_line
from .reward_guard import AgentGuard, RewardGuard


class RolloutRayActorImpl(raw_class(vllm_engine.RolloutRayActor)):  # type: ignore[misc]
    """OpenRLHF's vLLM actor with settings of our own."""

    executor: Any
    tokenizer: Any = None
    """Given by `receive_tokenizer`, as a run with a method does; without it the actor samples as OpenRLHF's."""

    async def __init__(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[misc]
        self.agent_path = kwargs["agent_func_path"]
        # Log-probs after temperature and top-p: those of the policy that the trainer scores.
        kwargs |= {"logprobs_mode": "processed_logprobs", "max_logprobs": 1}
        kwargs |= current_platform().engine_arguments(kwargs)
        try:
            await super().__init__(*args, **kwargs)
        except Exception as error:
            raise RunFault(
                f"a vLLM engine (process {os.getpid()}, node {ray.util.get_node_ip_address()}) could not start: "
                f"{type(error).__name__}: {first_line(error)} (traceback above; on that node, the engine's log is "
                f"{os.readlink('/proc/self/fd/2')}): mend that, then {AGAIN}"
            ) from error

    async def guard_reward(self, timeout: float) -> None:
        """From here on a reward that fails ends the run. timeout: seconds for one call of a reward function."""
        if self.agent_path:
            self.executor = AgentGuard(self.executor, self.agent_path)
        else:
            self.executor = RewardGuard(self.executor, timeout)

    async def receive_tokenizer(self, tokenizer: Any) -> None:
        """Take the tokenizer of all prompts to come, so that it need not come with each."""
        self.tokenizer = tokenizer

    async def generate_responses(self, *args: Any, hf_tokenizer: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """OpenRLHF's `generate_responses`, with the tokenizer that is here where none comes along."""
        tokenizer = self.tokenizer if hf_tokenizer is None else hf_tokenizer
        return await super().generate_responses(*args, hf_tokenizer=tokenizer, **kwargs)

    async def generate(self, prompt_token_ids: list[int], sampling_params: Any, multi_modal_data: Any = None) -> Any:
        """OpenRLHF's `generate`, which uses nothing but a request's last output: vLLM makes no other.

        Nor any text for OpenRLHF's single-turn executor, which decodes the ids itself; an agent reads it.
        """
        if self.tokenizer is not None:
            sampling_params = copy.copy(sampling_params)
            sampling_params.output_kind = RequestOutputKind.FINAL_ONLY
            sampling_params.detokenize = bool(self.agent_path)
        return await super().generate(prompt_token_ids, sampling_params, multi_modal_data)


RolloutRayActor = ray.remote(RolloutRayActorImpl)


class ActorGroup(RayActorGroup):
    """OpenRLHF's group of ranks; the start of the policy ranks fails where that of an engine does."""

    def async_init_model_from_pretrained(self, strategy: Any, pretrain: str, *rest: Any) -> list[ray.ObjectRef]:
        """What the driver waits for until all are there.

        Policy rank 0 waits for every engine to join the group for the weights, and would not hear that one has failed.
        """
        refs = super().async_init_model_from_pretrained(strategy, pretrain, *rest)
        engines = rest[1] if len(rest) > 1 else []  # the policy ranks' arguments end with max_steps and engines
        return refs + [engine.guard_reward.remote(strategy.args.aer.reward_timeout) for engine in engines]
