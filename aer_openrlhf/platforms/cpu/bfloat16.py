"""bfloat16 matrix products on a CPU without instructions for them (no AVX-512).

torch then multiplies element by element, ten times slower than in float32. In float32 the result is the same up to
the order of the sums, which are float32 either way, and is rounded to bfloat16 once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

PRODUCTS = ((torch.nn.functional, "linear"), (torch, "matmul"), (torch, "mm"), (Tensor, "__matmul__"))


def patch_products() -> None:
    """Compute bfloat16 products in float32, where that is faster; calling it again does nothing."""
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return
    for owner, name in PRODUCTS:
        product = getattr(owner, name)
        if not hasattr(product, "__wrapped__"):
            setattr(owner, name, in_float32(product))


def in_float32(product: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`product` of bfloat16 tensors by way of float32, differentiable; of anything else as it is."""

    @functools.wraps(product)
    def wrapper(*args: Any, out: Tensor | None = None, **kwargs: Any) -> Tensor:
        if not all(map(_is_bfloat16_or_none, (*args, out, *kwargs.values()))):
            return product(*args, **kwargs) if out is None else product(*args, out=out, **kwargs)
        wide = product(*map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()})
        return wide.bfloat16() if out is None else out.copy_(wide)

    return wrapper


def _is_bfloat16_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, Tensor) and value.dtype == torch.bfloat16)


def _widen(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.float()
