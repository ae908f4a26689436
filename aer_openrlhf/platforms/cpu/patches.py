"""Patches that let OpenRLHF's and DeepSpeed's code run without CUDA, each applied when its module is imported.

`install` runs in the driver and, as Ray's worker_process_setup_hook, in every Ray worker. It imports nothing heavy:
most workers never need most of the patches.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

ALLOCATIONS_A_COLLECTION = 100_000
"""Python looks for garbage every 700 new objects. While a process imports the stack, which each of a run's does, there
is none to find: a fifth of the 8 s that it takes is spent looking."""


def install() -> None:
    """Arrange for the patches of this module; calling it again does nothing."""
    gc.set_threshold(ALLOCATIONS_A_COLLECTION)
    if not any(isinstance(finder, _PatchingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PatchingFinder())


def _patch_torch(deepspeed: ModuleType) -> None:
    """The devices that OpenRLHF asks torch.cuda for and synchronizes throughout, and fast products."""
    import torch

    from .bfloat16 import patch_products

    patch_products()

    cuda: Any = torch.cuda
    cuda.current_device = lambda: _CPUDevice("cpu")
    cuda.current_stream = lambda device=None: None
    for name in ("set_device", "synchronize", "empty_cache"):
        setattr(cuda, name, lambda *args, **kwargs: None)


class _CPUDevice(str):
    """A device name for torch; formatted into `cuda:{device}`, as NaiveReplayBuffer does, it is the index 0."""

    def __format__(self, spec: str) -> str:
        return "0"


def _patch_shared_memory_op(module: ModuleType) -> None:
    """DeepSpeed would compile a shared-memory all-reduce with g++; gloo does the same work."""
    module.build_shm_op = lambda: None  # type: ignore[attr-defined]


def _patch_blocking_gather(module: ModuleType) -> None:
    """Gather ZeRO-3 weights one by one: DeepSpeed (0.19.6) waits only for the last of several gathers it starts.

    That is enough on a CUDA stream. Gloo's threads finish in any order, and a gather that comes late overwrites what
    `from_pretrained` has just put into the weight: with busy cores, in several of 100 loads.
    """
    original = module.Init._allgather_params_coalesced

    def gather_one_by_one(self: Any, param_list: list[Any], *args: Any, **kwargs: Any) -> None:
        for param in param_list:
            original(self, [param], *args, **kwargs)

    module.Init._allgather_params_coalesced = gather_one_by_one


def _patch_ds_config(module: ModuleType) -> None:
    """AdamW of torch instead of DeepSpeed's, which is compiled on first use.

    And no small weights kept whole under ZeRO-3: after each step, DeepSpeed gathers them by the call that
    `_patch_blocking_gather` repairs. A second guard for training; it makes no difference to loading.
    """
    train_config, eval_config = module.get_train_ds_config, module.get_eval_ds_config

    def get_train_ds_config(*args: Any, **kwargs: Any) -> dict[str, Any]:
        config = train_config(*args, **kwargs)
        if config.get("optimizer", {}).get("type") == "AdamW":
            config["optimizer"]["params"]["torch_adam"] = True
        return _without_persistence(config)

    def get_eval_ds_config(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return _without_persistence(eval_config(*args, **kwargs))

    module.get_train_ds_config = get_train_ds_config  # type: ignore[attr-defined]
    module.get_eval_ds_config = get_eval_ds_config  # type: ignore[attr-defined]


def _without_persistence(config: dict[str, Any]) -> dict[str, Any]:
    config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return config


def _patch_device_mesh(module: ModuleType) -> None:
    """The strategy asks for a mesh of "cuda" devices."""
    original = module.init_device_mesh
    module.init_device_mesh = lambda device, *args, **kwargs: original("cpu", *args, **kwargs)  # type: ignore[attr-defined]


def _patch_sync_group(module: ModuleType) -> None:
    """Weights travel to the engine over gloo instead of NCCL."""
    from .weight_sync import stateless_gloo_group

    module.stateless_init_process_group = stateless_gloo_group  # type: ignore[attr-defined]


def _patch_stores(module: ModuleType) -> None:
    """torch's stores listen on every interface, whatever address they are given."""
    from .stores import patch_rendezvous

    patch_rendezvous(module)


@contextlib.contextmanager
def _flash_attn_stubs() -> Iterator[None]:
    """flash-attn's padding helpers by transformers and einops, there only while ring_attn_utils is imported.

    A permanent fake would convince transformers and vLLM that flash-attn is installed.
    """
    import einops
    import torch
    from transformers.modeling_flash_attention_utils import _pad_input, _unpad_input

    def module(name: str, **members: Any) -> None:
        stub = ModuleType(name)
        vars(stub).update(members)
        sys.modules[name] = stub

    before = {name for name in sys.modules if name.split(".")[0] == "flash_attn"}
    module("flash_attn")
    module(
        "flash_attn.bert_padding",
        index_first_axis=lambda tensor, indices: torch.index_select(tensor, 0, indices),
        pad_input=_pad_input,
        unpad_input=_unpad_input,
        rearrange=einops.rearrange,
    )
    module("flash_attn.utils")
    module("flash_attn.utils.distributed", all_gather=None)  # called under ring attention only, refused here
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "flash_attn"]:
            if name not in before:
                del sys.modules[name]


AFTER_IMPORT: dict[str, Callable[[ModuleType], None]] = {
    "deepspeed": _patch_torch,
    "deepspeed.comm.torch": _patch_shared_memory_op,
    "deepspeed.runtime.zero.partition_parameters": _patch_blocking_gather,
    "openrlhf.utils.deepspeed.deepspeed_utils": _patch_ds_config,
    "openrlhf.utils.deepspeed.deepspeed": _patch_device_mesh,
    "openrlhf.utils.distributed_util": _patch_sync_group,
    "torch.distributed.rendezvous": _patch_stores,
}
DURING_IMPORT: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "openrlhf.models.ring_attn_utils": _flash_attn_stubs,
}


class _PatchingFinder(importlib.abc.MetaPathFinder):
    """Finds the modules above as Python would, and lets a patching loader execute them."""

    def __init__(self) -> None:
        self._searching: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name in self._searching or (name not in AFTER_IMPORT and name not in DURING_IMPORT):
            return None
        self._searching.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._searching.discard(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader)
        return spec


class _PatchingLoader(importlib.abc.Loader):
    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:  # get_data, get_filename and whatever else a module asks its loader
        return getattr(self.loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        with DURING_IMPORT.get(name, contextlib.nullcontext)():
            self.loader.exec_module(module)
        if name in AFTER_IMPORT:
            AFTER_IMPORT[name](module)
