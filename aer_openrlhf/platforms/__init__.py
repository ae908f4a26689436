"""What the machine at hand needs so that the unmodified stack runs on it."""

from __future__ import annotations

import functools
import os

from .base import Platform


@functools.cache
def current_platform() -> Platform:
    """The CPU platform where this process can reach no CUDA device, else one that changes nothing.

    The head node of a GPU cluster may have no GPU itself: a CUDA build of torch that is to join a Ray cluster is left
    alone.
    """
    import torch

    built_for_gpu = torch.version.cuda is not None or torch.version.hip is not None
    if torch.cuda.is_available() or (built_for_gpu and "RAY_ADDRESS" in os.environ):
        return Platform()
    from .cpu.platform import CPUPlatform

    return CPUPlatform()
