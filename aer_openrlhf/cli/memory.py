"""Memory of a run by arithmetic on the model's shape: bytes of each component, every one an estimate.

As OpenRLHF and DeepSpeed keep them: weights and gradients in bf16; master weights and Adam's two moments in float32.
Left out: CUDA contexts, buffers of NCCL, fragmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BF16, FLOAT32 = 2, 4
OPTIMIZER = 3 * FLOAT32  # bytes a trained weight
LIVE_WEIGHTS = 10**9  # DeepSpeed's stage3_max_live_parameters: so many may be gathered at a time


@dataclass(frozen=True)
class ModelShape:
    """What the arithmetic needs to know of a decoder with gated MLPs (Llama, Mistral, Qwen)."""

    weights: int  # a tied embedding counts once
    trained: int  # weights with gradients: all, or those of the LoRA adapters
    layers: int
    hidden: int
    intermediate: int
    query: int  # query heads x head size
    key_value: int  # key (or value) heads x head size
    vocabulary: int

    @classmethod
    def of(cls, config: Any, weights: int, trained: int) -> ModelShape:
        """From a transformers configuration, whose text part counts where it has several."""
        text = config.get_text_config()
        heads = text.num_attention_heads
        head_size = getattr(text, "head_dim", None) or text.hidden_size // heads
        return cls(
            weights=weights,
            trained=trained,
            layers=text.num_hidden_layers,
            hidden=text.hidden_size,
            intermediate=text.intermediate_size,
            query=heads * head_size,
            key_value=(getattr(text, "num_key_value_heads", None) or heads) * head_size,
            vocabulary=text.vocab_size,
        )


def resident_weights(shape: ModelShape, ranks: int, zero_stage: int) -> dict[str, float]:
    """Bytes a rank for the weights, and for those that ZeRO-3 gathers from the other ranks as it goes."""
    if zero_stage < 3:
        return {"weights": BF16 * shape.weights}
    own = shape.weights / ranks
    return {"weights": BF16 * own, "gathered": BF16 * min(shape.weights - own, LIVE_WEIGHTS)}


def training_state(shape: ModelShape, ranks: int, zero_stage: int) -> dict[str, float]:
    """Bytes a rank for gradients (shared out from ZeRO-2 on) and optimizer (from ZeRO-1 on)."""
    return {
        "gradients": BF16 * shape.trained / (ranks if zero_stage >= 2 else 1),
        "optimizer": OPTIMIZER * shape.trained / (ranks if zero_stage >= 1 else 1),
    }


def activations(shape: ModelShape, tokens: int, checkpointing: bool) -> float:
    """Bytes that the layers keep for the backward of a micro-batch of so many tokens.

    In units of bf16 a layer keeps 8 widths of the residual stream (both norms: input in float32, output twice), 5 of
    the queries and of the keys and values (their norm, as in Qwen3; rotated; the attention's output), and 4 of the
    gated MLP. With gradient checkpointing only the layers' inputs stay, and one layer at a time is computed again.
    """
    layer = BF16 * (8 * shape.hidden + 5 * shape.query + 5 * shape.key_value + 4 * shape.intermediate)
    if checkpointing:
        return float(tokens * (BF16 * shape.hidden * shape.layers + layer))
    return float(tokens * layer * shape.layers)


def logits(shape: ModelShape, trained_tokens: int, forward_tokens: int) -> float:
    """Bytes at the peak: in training float32 logits and two gradients of them (log-probability and entropy), in a
    forward without gradients bf16 and float32 logits.
    """
    return float(
        shape.vocabulary * max(3 * FLOAT32 * trained_tokens, (BF16 + FLOAT32) * forward_tokens),
    )


def cache_per_token(shape: ModelShape) -> int:
    """Bytes of vLLM's cache for one token: a key and a value in each layer, in bf16."""
    return 2 * shape.layers * shape.key_value * BF16


def checkpoint(shape: ModelShape) -> int:
    """Bytes of one DeepSpeed checkpoint on disk, all ranks: weights and optimizer."""
    return BF16 * shape.weights + OPTIMIZER * shape.trained
