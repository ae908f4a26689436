"""Weight sync of a LoRA policy: the engine gets base weights with the adapters merged in.

OpenRLHF 0.11.2 sends PEFT's own parameter names, which vLLM does not know ("There is no module or parameter named
'base_model'"). During a sync the model therefore names its parameters as the base model does; the weights that train
are never touched, since merging and unmerging would round them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import deepspeed
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor

PEFT_PREFIX = "base_model.model."
WRAPPED = ".base_layer"


class SyncedWeight:
    """What OpenRLHF's broadcast reads of a parameter, computed when it is sent."""

    def __init__(self, parameter: Tensor, compute: Callable[[], Tensor]) -> None:
        self.shape = self.ds_shape = getattr(parameter, "ds_shape", parameter.shape)
        self.dtype = parameter.dtype
        self.requires_grad = True
        self._compute = compute

    @property
    def data(self) -> Tensor:
        """The weight with its adapter merged in, on the parameter's device."""
        return self._compute()


@contextlib.contextmanager
def base_model_parameters(model: Any, zero_stage: int, lockstep: bool = False, reads: bool = True) -> Iterator[None]:
    """Inside, `model.named_parameters()` yields the merged base model; nothing changes without adapters.

    lockstep: all ranks read every parameter's `data`, one parameter after another. Without it only those with `reads`
    do; under ZeRO-3 they hold the whole merged model in host memory during the sync.
    """
    if not isinstance(model, PeftModel):
        yield
        return
    vars(model)["named_parameters"] = functools.partial(_synced_weights, model, zero_stage, lockstep, reads)
    try:
        yield
    finally:
        del vars(model)["named_parameters"]


@torch.no_grad()
def _synced_weights(
    model: PeftModel, zero_stage: int, lockstep: bool, reads: bool
) -> Iterator[tuple[str, SyncedWeight]]:
    layers: dict[str, Any] = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    for name, parameter in torch.nn.Module.named_parameters(model):
        if "lora_" in name:
            continue
        layer = layers.get(name.removesuffix(WRAPPED + ".weight"))
        compute = _computation(parameter, layer)
        if zero_stage == 3:
            compute = _gathered([parameter, *(layer.parameters() if layer is not None else [])], compute)
            if not lockstep:  # all ranks take part in gathering, and `data` is read on one: do it now
                weight = compute()
                compute = _kept_on_host(weight, parameter.device) if reads else compute
        yield name.removeprefix(PEFT_PREFIX).replace(WRAPPED, ""), SyncedWeight(parameter, compute)


def _computation(parameter: Tensor, layer: Any) -> Callable[[], Tensor]:
    if layer is None:
        return lambda: parameter.data

    def merged() -> Tensor:
        with torch.no_grad():
            delta = sum(layer.get_delta_weight(adapter).float() for adapter in layer.active_adapters)
            return (parameter.data.float() + delta).to(parameter.dtype)

    return merged


def _gathered(parameters: list[Tensor], compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def whole() -> Tensor:
        with deepspeed.zero.GatheredParameters(parameters):
            return compute().clone()  # what is gathered goes at the end of the block

    return whole


def _kept_on_host(weight: Tensor, device: torch.device) -> Callable[[], Tensor]:
    on_host = weight.to("cpu", copy=True)
    return lambda: on_host.to(device)
