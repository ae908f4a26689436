"""Puts the fused head into an OpenRLHF `Actor`, whose forward stays as it is.

The output layer returns, in place of (B, T, V) logits, a (B, T, 2) pair of log-probability and entropy; the two
functions by which `openrlhf.models.actor` turns logits into these take their column of the pair. The layer is still
called as a module, so DeepSpeed's ZeRO-3 gathers its weight before the forward and before the backward.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from openrlhf.models import actor as openrlhf_actor
from torch import Tensor

from ..fused_head import fused_head
from ..fused_head.models import reason_against_model
from ..methods.base import EntropyMethod

PAIR = 2


def reason_against(actor: Any, args: SimpleNamespace, method: EntropyMethod | None) -> str | None:
    """Why this model has to keep its own head, as one line; None where the fused head can take its place."""
    model = actor.model.module
    if method is not None and method.has_own_entropy:
        return f"--aer.method {method.name} takes its entropy from whole logits"
    if reason := reason_against_model(model):
        return reason
    if args.ds.ring_attn_size > 1 or args.ds.tensor_parallel_size > 1 or args.ds.use_liger_kernel:
        return "ring attention, tensor parallelism and the Liger kernel have heads of their own"
    return None


class FusedHead:
    """The fused head of one actor; it stays attached for the life of the process."""

    def __init__(self, actor: Any, memory_mb: float) -> None:
        self.memory_mb = memory_mb
        self.temperature, actor.temperature = actor.temperature, 1.0  # the head divides, the actor must not
        self._labels: Tensor | None = None
        self._with_entropy = False
        self._head = actor.model.module.get_output_embeddings()
        self._whole_logits = self._head.forward
        self._head.forward = self.forward
        # Registered after EntropyHooks, whose own hook decides on return_entropy.
        actor.register_forward_pre_hook(self._note_entropy, with_kwargs=True)
        actor.register_forward_hook(self._forget, always_call=True)
        actor.model.register_forward_pre_hook(self._note_labels)
        _take_columns_of_pairs()

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, D) to (B, T, 2): log-probability of the next token, and entropy (0 where nobody asked for it)."""
        if self._labels is None:  # the model is used apart from the actor
            return self._whole_logits(hidden)
        log_probs, entropy = fused_head(
            hidden.flatten(0, 1),
            self._head.weight,
            self._labels.flatten(),
            bias=self._head.bias,
            temperature=self.temperature,
            with_entropy=self._with_entropy,
            memory_mb=self.memory_mb,
        )
        return torch.stack([log_probs, entropy], dim=-1).view(*hidden.shape[:2], PAIR)

    def _note_entropy(self, module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        self._with_entropy = bool(kwargs.get("return_entropy"))

    def _note_labels(self, module: torch.nn.Module, args: tuple) -> None:
        """The next token of each. At the end of a row, or of one of several packed, it is a wrong one: nobody asks."""
        self._labels = torch.roll(args[0], shifts=-1, dims=1)

    def _forget(self, module: torch.nn.Module, args: tuple, outputs: Any) -> None:
        self._labels = None


def _take_columns_of_pairs() -> None:
    """Teach OpenRLHF's two functions of logits, in this process, to take a pair as well."""
    module: Any = openrlhf_actor
    if getattr(module, "takes_pairs", False):
        return
    whole_log_probs, whole_entropy = module.log_probs_from_logits, module.compute_entropy

    def log_probs_from_logits(logits: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return logits[..., 0] if logits.shape[-1] == PAIR else whole_log_probs(logits, *args, **kwargs)

    def compute_entropy(logits: Tensor) -> Tensor:
        return logits[..., 1] if logits.shape[-1] == PAIR else whole_entropy(logits)

    module.log_probs_from_logits, module.compute_entropy = log_probs_from_logits, compute_entropy
    module.takes_pairs = True


def attach(actor: Any, args: SimpleNamespace, method: EntropyMethod | None) -> None:
    """Give the actor the fused head if `--aer.fused_head on` asks for it; say in one line where that cannot be."""
    if args.aer.fused_head != "on":
        return
    reason = reason_against(actor, args, method)
    if reason is None:
        FusedHead(actor, args.aer.fused_head_mb)
    else:
        print(f"[aer-train] --aer.fused_head: off, since {reason}", flush=True)
