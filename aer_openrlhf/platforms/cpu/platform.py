"""The CPU platform: arguments, environment and a Ray with fictitious GPUs."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from aer_eval import watchdog

from .. import loopback
from ..base import Platform
from . import patches

WORKER_EXTENSION = "aer_openrlhf.platforms.cpu.weight_sync.CPUWorkerWrap"
UNSUPPORTED = {  # nested argument -> what to do instead
    ("train", "enable_ema"): "leave --train.enable_ema out",
    ("ds", "load_in_4bit"): "leave --ds.load_in_4bit out",
    ("ds", "use_liger_kernel"): "leave --ds.use_liger_kernel out",
}


class CPUPlatform(Platform):
    """Real Ray, DeepSpeed and vLLM, each in its CPU form."""

    def prepare_process(self) -> None:
        for name, value in self.environment().items():
            os.environ.setdefault(name, value)
        patches.install()

    def environment(self) -> dict[str, str]:
        """Environment of every process of the run; what the user has set wins."""
        cores = str(os.cpu_count() or 1)
        defaults = {
            "DS_ACCELERATOR": "cpu",
            "OMP_NUM_THREADS": cores,
            "TORCHDYNAMO_DISABLE": "1",  # compiling costs more than it saves here, and needs a C++ compiler
            "TOKENIZERS_PARALLELISM": "false",
            "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            # The worker then lives in the engine's process; as one of its own it would spin for a second after every
            # batch, on a core that the trainer needs.
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_LOGGING_LEVEL": "WARNING",
            "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS": "1",
            "RAY_prestart_worker_first_driver": "0",  # Ray would start one idle process a fictitious CPU
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        if "RAY_ADDRESS" not in os.environ:
            defaults |= loopback.ENVIRONMENT
        return {name: os.environ.get(name, value) for name, value in defaults.items()}

    def configure(self, args: SimpleNamespace) -> None:
        for (group, name), mend in UNSUPPORTED.items():
            if getattr(getattr(args, group), name):
                raise ValueError(f"--{group}.{name} needs a CUDA device: {mend}")
        for name in ("ring_attn_size", "tensor_parallel_size"):
            if getattr(args.ds, name) > 1:
                raise ValueError(f"--ds.{name} above 1 needs CUDA devices: leave it out")
        # transformers builds block-diagonal masks for packed sequences under sdpa; flash attention needs CUDA.
        args.ds.attn_implementation = "eager" if args.ds.attn_implementation == "eager" else "sdpa"
        args.ds.adam_offload = False
        args.ds.enable_sleep = False
        args.vllm.sync_backend = "gloo"
        args.vllm.enforce_eager = True
        args.vllm.enable_sleep = False
        print(
            f"[aer-train] no CUDA device: CPU platform ({os.cpu_count()} cores, attention "
            f"{args.ds.attn_implementation}, AdamW of torch, weight sync over gloo, fictitious GPUs for Ray)",
            flush=True,
        )

    def start_ray(self, args: SimpleNamespace) -> None:
        import ray

        resources: dict[str, Any] = {}
        if "RAY_ADDRESS" not in os.environ:
            watchdog.start()
            processes = _num_processes(args)
            # "local": without it Ray joins any cluster that this machine runs, which knows no fictitious GPUs.
            resources = {
                "address": "local",
                "num_cpus": processes + 8,
                "num_gpus": processes,
                "include_dashboard": False,
            }
        ray.init(
            runtime_env={
                "env_vars": self.environment(),
                "worker_process_setup_hook": "aer_openrlhf.platforms.cpu.patches.install",
            },
            **resources,
        )

    def engine_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        # On the CPU this is a share of the machine's memory that has to be free; the cache itself is sized by
        # VLLM_CPU_KVCACHE_SPACE.
        utilization = min(kwargs.get("gpu_memory_utilization") or 0.1, 0.1)
        return {"worker_extension_cls": WORKER_EXTENSION, "gpu_memory_utilization": utilization}


def _num_processes(args: SimpleNamespace) -> int:
    """Model processes that ask Ray for a GPU each, with colocation left out of account."""
    groups = [args.actor, args.ref, args.reward]
    return sum(group.num_nodes * group.num_gpus_per_node for group in groups) + (
        (args.vllm.num_engines or 0) * args.vllm.tensor_parallel_size
    )
