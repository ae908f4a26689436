"""Which models have a head that can be computed in tiles."""

from __future__ import annotations

from typing import Any

import torch

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
SCALED_BY = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def reason_against_model(model: Any) -> str | None:
    """Why a Hugging Face model has to keep its own head, as one line; None where `fused_head` can take its place."""
    head = model.get_output_embeddings()
    if model.config.model_type not in MODEL_TYPES:
        return f"the architecture {model.config.model_type} is not one of {', '.join(MODEL_TYPES)}"
    if any(getattr(model.config, name, None) for name in SCALED_BY):
        return "the model scales or caps its logits"
    if type(head) is not torch.nn.Linear:
        return f"the output layer is a {type(head).__name__}, not a plain Linear (an adapter on it, for example)"
    return None
