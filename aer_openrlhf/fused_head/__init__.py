"""The language-model head fused with log-probability and entropy: logits are never held as a whole."""

from .autograd import fused_head, tile_width

__all__ = ["fused_head", "tile_width"]
