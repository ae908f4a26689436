"""The flags that choose an engine, and the engine that they name."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any, get_args

from aer_eval.engines.base import Engine, EngineName
from aer_eval.errors import UserError

FLAGS_OF = {  # engines -> the flags that the others do not have
    ("vllm",): ("data_parallel",),
    ("ray",): ("ray_address", "ray_workers", "ray_cpus", "ray_gpus"),
    ("openai",): ("base_url", "samples_per_request", "give_up"),
    ("hf",): ("device",),
    ("vllm", "ray"): ("tensor_parallel", "max_model_len", "gpu_memory_utilization", "engine_arg", "no_logprobs"),
    ("vllm", "ray", "hf"): ("dtype",),
    ("vllm", "ray", "openai"): ("concurrency",),
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = parser.add_argument_group("engine")
    group.add_argument("--engine", choices=get_args(EngineName), default="vllm", help="default %(default)s")
    group.add_argument("--model", help="folder or hub id; with openai the served name (default: the only one)")
    group.add_argument("--dtype", help="of weights, in vllm, ray, hf (default auto)")
    group.add_argument(
        "--concurrency", type=int, help="requests in flight at most, not in hf (default: 256, openai 64)"
    )
    vllm = parser.add_argument_group("engine vllm, ray")
    vllm.add_argument("--tensor-parallel", type=int, help="GPUs of one copy of the model (default 1)")
    vllm.add_argument("--data-parallel", type=int, help="copies of the model, vllm only (default 1)")
    vllm.add_argument("--max-model-len", type=int, help="tokens of prompt and response (default: the model's limit)")
    vllm.add_argument("--gpu-memory-utilization", type=float, help="share of the GPU's memory (default: vLLM's)")
    vllm.add_argument("--no-logprobs", action="store_true", help="do not ask for log-probabilities and entropy")
    vllm.add_argument(
        "--engine-arg", action="append", metavar="NAME=VALUE", help="any other engine argument of vLLM, repeatable"
    )
    ray = parser.add_argument_group("engine ray")
    ray.add_argument("--ray-address", help="running cluster, or auto (default: RAY_ADDRESS, or a new one here)")
    ray.add_argument("--ray-workers", type=int, help="actors, each with a copy of the model (default 1)")
    ray.add_argument("--ray-cpus", type=float, help="CPUs of an actor (default 1)")
    ray.add_argument("--ray-gpus", type=float, help="GPUs of an actor (default: --tensor-parallel, 0 without GPUs)")
    openai = parser.add_argument_group("engine openai (key in OPENAI_API_KEY)")
    openai.add_argument("--base-url", action="append", help="server, such as http://host:8000/v1; repeatable: a pool")
    openai.add_argument(
        "--samples-per-request", type=int, help="the API's n (default 1); above 1 only for servers seeded as vLLM's"
    )
    openai.add_argument("--give-up", type=float, help="seconds without any answer until the run ends (default 900)")
    hf = parser.add_argument_group("engine hf")
    hf.add_argument("--device", help="such as cuda:1 or cpu (default: the first GPU, else the CPU)")


def choose(args: argparse.Namespace, model: str | None) -> Engine:
    """The engine for a model. Raises UserError for a flag of another engine or a missing one."""
    _refuse_foreign_flags(args)
    if args.engine == "openai":
        from aer_eval.engines.openai import OpenAIEngine, OpenAISettings

        if not args.base_url:
            raise UserError("--engine openai needs --base-url, such as http://localhost:8000/v1")
        return OpenAIEngine(
            OpenAISettings(
                base_urls=tuple(args.base_url),
                model=model,
                api_key=os.environ.get("OPENAI_API_KEY", "none"),
                **_given(
                    concurrency=args.concurrency, samples_per_request=args.samples_per_request, give_up_s=args.give_up
                ),
            )
        )
    if not model:
        raise UserError("--model is missing: a model folder or a hub id")
    if args.engine == "hf":
        from aer_eval.engines.hf import HFEngine, HFSettings

        return HFEngine(HFSettings(model=model, **_given(dtype=args.dtype, device=args.device)))
    return _vllm_or_ray(args, model)


def _vllm_or_ray(args: argparse.Namespace, model: str) -> Engine:
    from aer_eval.engines.vllm import VLLMEngine, VLLMSettings

    settings = VLLMSettings(
        model=model,
        max_model_len=args.max_model_len,
        gpu_memory_utilization=args.gpu_memory_utilization,
        logprobs=not args.no_logprobs,
        engine_args=dict(_engine_arg(text) for text in args.engine_arg or ()),
        **_given(
            dtype=args.dtype,
            tensor_parallel=args.tensor_parallel,
            data_parallel=args.data_parallel,
            concurrency=args.concurrency,
        ),
    )
    if args.engine == "vllm":
        return VLLMEngine(settings)
    from aer_eval.engines.ray import RayEngine, RaySettings

    return RayEngine(
        RaySettings(
            vllm=settings,
            address=args.ray_address,
            gpus_per_worker=args.ray_gpus,
            **_given(workers=args.ray_workers, cpus_per_worker=args.ray_cpus),
        )
    )


def _refuse_foreign_flags(args: argparse.Namespace) -> None:
    foreign = [name for engines, names in FLAGS_OF.items() if args.engine not in engines for name in names]
    for name in foreign:
        if getattr(args, name) not in (None, False):
            raise UserError(f"--{name.replace('_', '-')} does nothing with --engine {args.engine}; leave it out")
    for name in ("concurrency", "tensor_parallel", "data_parallel", "ray_workers", "samples_per_request"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1")
    if args.give_up is not None and not args.give_up > 0:
        raise UserError(f"--give-up {args.give_up:g}: must be above 0 seconds")


def _given(**values: Any) -> dict[str, Any]:
    """What the user has set; the rest keeps its default, which is written once, in the settings."""
    return {name: value for name, value in values.items() if value is not None}


def _engine_arg(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(f"--engine-arg {text}: not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
