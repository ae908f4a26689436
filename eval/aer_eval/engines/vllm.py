"""vLLM in this process: one GPU, several (tensor and data parallel), or the CPU.

vLLM's own asynchronous engine does the scheduling, the batching and the data parallelism. One request a unit: its
``n`` samples share the prompt's computation, and vLLM gives sample j of a request the seed ``seed + j``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from aer_eval import watchdog
from aer_eval.engines.base import (
    AsyncEngine,
    EngineName,
    ModelIdentity,
    check_lengths,
    local_identity,
    local_model,
    render,
    special_ids,
    surprisal_statistics,
)
from aer_eval.errors import UserError
from aer_eval.grading.extraction import opened_by
from aer_eval.sampling.units import Completion, SamplingParams, Unit

CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "TORCHDYNAMO_DISABLE": "1",  # compiling needs a C++ compiler, and costs more than it saves
    # The worker then lives in the engine's process; as one of its own it would spin for a second after every batch.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}

FREE_ENGINE_ARGS = {
    "block_size",
    "cpu_offload_gb",
    "data_parallel_size",
    "disable_log_stats",
    "distributed_executor_backend",
    "download_dir",
    "enable_prefix_caching",
    "enforce_eager",
    "gpu_memory_utilization",
    "kv_cache_memory_bytes",
    "max_model_len",
    "max_num_batched_tokens",
    "max_num_seqs",
    "max_parallel_loading_workers",
    "pipeline_parallel_size",
    "tensor_parallel_size",
}
"""Engine arguments for speed, memory and placement: the model is the same with others, up to rounding."""


@dataclass(frozen=True)
class VLLMSettings:
    """What vLLM is started with."""

    model: str
    """Folder or hub id."""
    dtype: str = "auto"
    tensor_parallel: int = 1
    """GPUs that one copy of the model is spread over."""
    data_parallel: int = 1
    """Copies of the model."""
    max_model_len: int | None = None
    """Most tokens of prompt and response together; None is the model's own limit."""
    gpu_memory_utilization: float | None = None
    """Share of the GPU's memory that vLLM takes; None is vLLM's default."""
    concurrency: int = 256
    """Requests in flight at most."""
    logprobs: bool = True
    """Ask for the log-probabilities of the sampled tokens."""
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of vLLM's engine by their Python names."""

    def identity(self, folder: Path) -> ModelIdentity:
        """Identity of the model in ``folder``, run like this. Raises UserError where it has no weights."""
        args = {name: value for name, value in self.engine_args.items() if name not in FREE_ENGINE_ARGS}
        return local_identity(self.model, folder, dtype=self.dtype, engine_args=args)


class VLLMEngine(AsyncEngine):
    """A model in vLLM."""

    name: ClassVar[EngineName] = "vllm"

    def __init__(self, settings: VLLMSettings) -> None:
        """Find the model. Raises UserError where there is none."""
        self.settings = settings
        self.concurrency = settings.concurrency
        self._folder = local_model(settings.model)
        self._llm: Any = None
        self._tokenizer: Any = None
        self._prompts: dict[str, list[int]] = {}
        self._requests = 0

    @cached_property
    def identity(self) -> ModelIdentity:
        return self.settings.identity(self._folder)

    def load(self) -> None:
        """Start vLLM, once. Raises UserError where it is missing or refuses the arguments."""
        if self._llm is None:
            watchdog.start()  # vLLM's engine is a process of its own, which outlives a killed parent
            self._llm = _start(str(self._folder), self.settings)
            self._tokenizer = self._llm.get_tokenizer()

    async def prepare(self, units: Sequence[Unit], params: SamplingParams) -> None:
        self.load()
        self._prompts = {unit.problem_id: render(self._tokenizer, unit.prompt) for unit in units}
        check_lengths(self._prompts, params, self._llm.model_config.max_model_len)

    async def complete(self, unit: Unit, params: SamplingParams) -> list[Completion]:
        started = time.monotonic()
        self._requests += 1
        prompt = {"prompt_token_ids": self._prompts.get(unit.problem_id) or render(self._tokenizer, unit.prompt)}
        final = None
        async for output in self._llm.generate(prompt, self._params(unit, params), str(self._requests)):
            final = output
        if final is None or len(final.outputs) != unit.count:
            raise RuntimeError(f"vLLM returned no samples for problem {unit.problem_id!r}")
        duration = time.monotonic() - started
        opening = opened_by(self._tokenizer.decode(prompt["prompt_token_ids"]))
        outputs = sorted(final.outputs, key=lambda output: output.index)
        return [
            Completion(
                problem_id=unit.problem_id,
                sample_index=index,
                seed=seed,
                text=opening + output.text,
                token_count=len(output.token_ids),
                finish_reason=output.finish_reason,
                duration_s=duration,
                token_ids=tuple(output.token_ids),
                **_statistics(output, params),
            )
            for (index, seed), output in zip(unit.slots(), outputs, strict=True)
        ]

    def _params(self, unit: Unit, params: SamplingParams) -> Any:
        from vllm import SamplingParams as VLLMParams
        from vllm.sampling_params import RequestOutputKind

        return VLLMParams(
            n=unit.count,
            seed=unit.first_seed,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            min_p=params.min_p,
            max_tokens=params.max_tokens,
            stop=list(params.stop),
            stop_token_ids=special_ids(self._tokenizer, params.stop),  # these never show in the text
            logprobs=0 if self.settings.logprobs else None,  # 0: of the sampled token alone
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def close(self) -> None:
        if self._llm is not None:
            self._llm.shutdown(timeout=10)
            self._llm = None  # at the interpreter's exit its finalizer would find half of vLLM gone
        super().close()


def _start(folder: str, settings: VLLMSettings) -> Any:
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # its warnings would tear the progress bar apart
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    try:
        import torch
    except ImportError as problem:
        raise UserError(
            "--engine vllm: vLLM is not installed (pip install vllm), or use --engine openai or hf"
        ) from problem
    options: dict[str, Any] = {"disable_log_stats": True, "enable_prefix_caching": True}
    if not torch.cuda.is_available():
        for name, value in CPU_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        options |= {
            "enforce_eager": True,
            "gpu_memory_utilization": 0.1,  # on the CPU a share of the machine's memory that has to be free
            # vLLM 0.29 rewinds a request's generator after every part of a prompt, which those of the CPU cannot do.
            "enable_chunked_prefill": False,
        }
    options |= {
        "tensor_parallel_size": settings.tensor_parallel,
        "data_parallel_size": settings.data_parallel,
        "dtype": settings.dtype,
    }
    if settings.max_model_len is not None:
        options["max_model_len"] = settings.max_model_len
    if settings.gpu_memory_utilization is not None:
        options["gpu_memory_utilization"] = settings.gpu_memory_utilization
    try:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as problem:
        raise UserError(f"--engine vllm: vLLM cannot be imported ({problem}); pip install vllm") from problem
    try:
        return AsyncLLM.from_engine_args(AsyncEngineArgs(model=folder, **{**options, **settings.engine_args}))
    except (TypeError, ValueError) as problem:  # vLLM's way to refuse arguments; anything else is a fault, shown whole
        reason = " ".join(str(problem).split())
        raise UserError(f"--engine vllm: vLLM refuses to start ({reason}); see its flags above") from problem


def _statistics(output: Any, params: SamplingParams) -> dict[str, float]:
    """What the log-probabilities of a response tell; nothing where vLLM was not asked for them."""
    if output.cumulative_logprob is None or not output.token_ids:
        return {}
    return surprisal_statistics(output.cumulative_logprob, len(output.token_ids), params)
