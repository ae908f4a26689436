"""Many nodes: Ray Data maps the units over actors that each hold a model in vLLM.

Ray places the actors, starts them again when they die, retries what they had in hand and holds back what they are not
ready for. Each unit is a block of its own, so that it comes back, and is durable, as soon as it is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from aer_eval.engines.base import (
    Engine,
    EngineName,
    ModelIdentity,
    check_lengths,
    local_model,
    longest_context,
    render,
)
from aer_eval.engines.vllm import VLLMEngine, VLLMSettings
from aer_eval.errors import UserError
from aer_eval.records import Prompt
from aer_eval.sampling.units import Completion, SamplingParams, Unit


@dataclass(frozen=True)
class RaySettings:
    """The cluster, and how many copies of the model it holds."""

    vllm: VLLMSettings
    """What every actor starts its vLLM with; ``data_parallel`` stays 1, since the actors are the copies."""
    workers: int = 1
    """Actors."""
    address: str | None = None
    """Of a running cluster, or ``auto``; None starts one on this machine, unless RAY_ADDRESS is set."""
    cpus_per_worker: float = 1.0
    gpus_per_worker: float | None = None
    """None takes ``tensor_parallel`` GPUs where the cluster has GPUs, and none elsewhere."""


class RayEngine(Engine):
    """One model in several actors."""

    name: ClassVar[EngineName] = "ray"

    def __init__(self, settings: RaySettings) -> None:
        """Find the model. Raises UserError where there is none."""
        self.settings = settings
        self._folder = local_model(settings.vllm.model)
        self._started = False

    @cached_property
    def identity(self) -> ModelIdentity:
        return self.settings.vllm.identity(self._folder)

    def _join(self) -> float:
        """Join the cluster; return the GPUs of an actor.

        Raises:
            UserError: Ray is missing, no cluster answers, or it is too small.
        """
        try:
            import ray
        except ImportError as problem:
            raise UserError("--engine ray: Ray is not installed; pip install 'ray[data]'") from problem
        address = self.settings.address
        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False)
            except ConnectionError as problem:
                raise UserError(
                    f"--ray-address {address}: no cluster there ({problem}); ray start --head"
                ) from problem
            self._started = True
        return self._gpus_per_worker(ray.cluster_resources())

    def _gpus_per_worker(self, resources: dict[str, float]) -> float:
        """GPUs of an actor; raises where the cluster can never hold all actors."""
        gpus = self.settings.gpus_per_worker
        if gpus is None:
            gpus = self.settings.vllm.tensor_parallel if resources.get("GPU") else 0
        for kind, each in (("CPU", self.settings.cpus_per_worker), ("GPU", gpus)):
            wanted, there = each * self.settings.workers, resources.get(kind, 0)
            if wanted > there:
                raise UserError(
                    f"--ray-workers {self.settings.workers} need {wanted:g} {kind}s, the cluster has {there:g}; "
                    "lower it or add nodes"
                )
        return gpus

    def sample(self, units: Sequence[Unit], params: SamplingParams) -> Iterator[list[Completion]]:
        if not units:
            return
        self._check(units, params)
        gpus = self._join()
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.verbose_stats_logs = False
        context.execution_options.preserve_order = False
        results = ray.data.from_items([_to_row(unit) for unit in units], override_num_blocks=len(units)).map_batches(
            _Worker,
            fn_constructor_args=(self.settings.vllm, params),
            batch_size=1,
            concurrency=self.settings.workers,
            num_cpus=self.settings.cpus_per_worker,
            num_gpus=gpus,
            max_concurrency=self.settings.vllm.concurrency,
        )
        for row in results.iter_rows():
            yield [Completion(**completion) for completion in row["completions"]]

    def _check(self, units: Sequence[Unit], params: SamplingParams) -> None:
        """What vLLM itself checks in one process, before any actor starts."""
        from transformers import AutoConfig, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self._folder)
        limit = self.settings.vllm.max_model_len or longest_context(AutoConfig.from_pretrained(self._folder))
        check_lengths({unit.problem_id: render(tokenizer, unit.prompt) for unit in units}, params, limit)

    def close(self) -> None:
        if self._started:
            import ray

            ray.shutdown()


class _Worker:
    """What each actor holds. Its calls overlap: the engine batches whatever is in flight."""

    def __init__(self, settings: VLLMSettings, params: SamplingParams) -> None:
        self._engine = VLLMEngine(settings)
        self._engine.load()
        self._params = params

    async def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        unit = _from_row({name: column[0] for name, column in batch.items()})
        return {
            "completions": [
                [
                    vars(replace(completion, token_ids=None))  # nobody here asks for them
                    for completion in await self._engine.complete(unit, self._params)
                ]
            ]
        }


def _to_row(unit: Unit) -> dict[str, Any]:
    return {"unit": json.dumps(asdict(unit))}


def _from_row(row: dict[str, Any]) -> Unit:
    fields = json.loads(row["unit"])
    messages = fields["prompt"]["messages"]
    prompt = Prompt(**{**fields["prompt"], "messages": messages and tuple(messages)})
    return Unit(**{**fields, "prompt": prompt})
