"""Trainer -> vLLM weight sync without CUDA: a gloo group of its own, and a worker extension that reloads weights."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any

import torch
from torch.distributed import ProcessGroupGloo

from .bfloat16 import patch_products
from .stores import patch_rendezvous, tcp_store

TIMEOUT = timedelta(minutes=10)

# vLLM's engine runs in a process without our patches, and imports this module before it makes its process group.
patch_rendezvous(importlib.import_module("torch.distributed.rendezvous"))
patch_products()


class GlooGroup:
    """The one call that OpenRLHF makes on vLLM's NCCL communicator, over gloo."""

    def __init__(self, group: ProcessGroupGloo) -> None:
        self.group = group

    def broadcast(self, tensor: torch.Tensor, src: int, stream: Any = None) -> None:
        """Send (rank `src`) or receive (the others) `tensor` in place."""
        self.group.broadcast(tensor, src).wait()  # type: ignore[attr-defined]


def stateless_gloo_group(master_address: str, master_port: int, rank: int, world_size: int, device: Any) -> GlooGroup:
    """A group beside the processes' default one; signature of openrlhf/utils/distributed_util.py."""
    store = tcp_store(master_address, master_port, world_size, is_master=rank == 0, timeout=TIMEOUT)
    return GlooGroup(ProcessGroupGloo(store, rank, world_size, TIMEOUT))


class CPUWorkerWrap:
    """vLLM worker extension in place of OpenRLHF's `WorkerWrap`.

    vLLM packs linear weights for the CPU and drops the originals, so a single weight cannot be loaded into the live
    model: weights are collected, and the last one of a sync reloads the whole model.
    """

    model_runner: Any
    model_config: Any

    def init_process_group(
        self,
        master_address: str,
        master_port: int,
        rank_offset: int,
        world_size: int,
        group_name: str,
        backend: str = "gloo",
        use_ray: bool = False,
    ) -> None:
        rank = torch.distributed.get_rank() + rank_offset
        self._group = stateless_gloo_group(master_address, master_port, rank, world_size, "cpu")
        self._received: list[tuple[str, torch.Tensor]] = []

    def update_weight(self, name: str, dtype: torch.dtype, shape: Any, empty_cache: bool = False) -> None:
        """Receive one weight; `empty_cache` marks the last one of a sync."""
        if dtype != self.model_config.dtype:
            raise TypeError(f"{name} is {dtype} in the trainer and {self.model_config.dtype} in the engine")
        weight = torch.empty(shape, dtype=dtype)
        self._group.broadcast(weight, src=0)
        self._received.append((name, weight))
        if empty_cache:
            received, self._received = self._received, []
            self.model_runner.reload_weights(weights_iterator=iter(received))
            self._repack_tied_head()

    def _repack_tied_head(self) -> None:
        """A tied weight arrives once, as the embedding; the head's packed copy of it has to be made anew."""
        model = self.model_runner.get_model()
        if getattr(self.model_config.hf_text_config, "tie_word_embeddings", False):
            model.lm_head.quant_method.process_weights_after_loading(model.lm_head)
