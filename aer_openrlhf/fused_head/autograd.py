"""Per-token log-probability and exact full-vocabulary entropy from hidden states and the head's weight.

    z_t = (W h_t + b) / T,    log p_t(y) = z_ty - logsumexp z_t,    H_t = logsumexp z_t - sum_v p_tv z_tv

The vocabulary is gone through in tiles: a tile holds the logits of all tokens for some columns. The forward keeps a
running maximum, a running sum of exponentials and a running sum of exponential times logit, as an online softmax does;
the backward computes each tile's logits again. Tiles of the vocabulary rather than of tokens, because then every row
of the weight's gradient is written once, over all tokens: nothing of the size of the weight is accumulated or rounded
in between. All reductions are in float32, whatever the dtype of the inputs; products of matrices run in that dtype.

With the upstream gradients g_t of log p_t(y) and e_t of H_t:

    d/dz_tv = g_t [v = y] - p_tv (g_t + e_t (log p_tv + H_t))
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BYTES_PER_LOGIT = 14  # of a tile: in the inputs' dtype, in float32, its exponential, its gradient in the inputs' dtype
LOWEST = -1e30  # of a running maximum; -inf would give nan when it is subtracted from itself


def tile_width(num_tokens: int, vocabulary: int, memory_mb: float) -> int:
    """Columns of the vocabulary in one tile, so that what a tile needs stays within `memory_mb` MiB (at least 64)."""
    fitting = int(memory_mb * 2**20) // (BYTES_PER_LOGIT * max(num_tokens, 1))
    return min(vocabulary, max(64, fitting))


def fused_head(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    bias: Tensor | None = None,
    temperature: float = 1.0,
    with_entropy: bool = True,
    memory_mb: float = 256,
) -> tuple[Tensor, Tensor]:
    """Log-probability of every token's label and entropy of its distribution, both with gradient.

    hidden: (N, D); weight: (V, D) and bias: (V,) of the head; labels: (N,) in [0, V). Returns (N,) float32
    log-probabilities and (N,) float32 entropies in nats of softmax((W h + b) / temperature); the entropies are 0 and
    cost nothing with `with_entropy` False. `memory_mb`: see `tile_width`.
    """
    width = tile_width(len(hidden), len(weight), memory_mb)
    return _FusedHead.apply(hidden, weight, bias, labels, temperature, with_entropy, width)


def _tiles(vocabulary: int, width: int) -> Iterator[slice]:
    for first in range(0, vocabulary, width):
        yield slice(first, min(first + width, vocabulary))


def _tile_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, temperature: float, tile: slice) -> Tensor:
    """(N, columns of the tile) float32 logits over the temperature."""
    logits = torch.nn.functional.linear(hidden, weight[tile], None if bias is None else bias[tile]).float()
    return logits if temperature == 1.0 else logits.div_(temperature)


def _labels_in(labels: Tensor, tile: slice) -> tuple[Tensor, Tensor]:
    """(N,) whether a token's label lies in the tile, and (N, 1) its column there (any, where it does not).

    Without `nonzero`: a GPU would wait for it in every tile.
    """
    columns = labels - tile.start
    width = tile.stop - tile.start
    return (columns >= 0) & (columns < width), columns.clamp(0, width - 1).unsqueeze(-1)


class _FusedHead(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        temperature: float,
        with_entropy: bool,
        width: int,
    ) -> tuple[Tensor, Tensor]:
        highest = torch.full((len(hidden),), LOWEST, dtype=torch.float32, device=hidden.device)
        total, weighted, picked = (torch.zeros_like(highest) for _ in range(3))  # weighted: sum of exp(z - m) (z - m)
        for tile in _tiles(len(weight), width):
            logits = _tile_logits(hidden, weight, bias, temperature, tile)
            inside, columns = _labels_in(labels, tile)
            picked = torch.where(inside, logits.gather(-1, columns).squeeze(-1), picked)
            new_highest = torch.maximum(highest, logits.amax(-1))
            drop = highest - new_highest
            scale = drop.exp()
            logits.sub_(new_highest.unsqueeze(-1))
            exponential = logits.exp()
            if with_entropy:
                weighted = scale * (weighted + drop * total) + torch.linalg.vecdot(exponential, logits)
            total = scale * total + exponential.sum(-1)
            highest = new_highest
        log_total = total.log()
        normalizer = highest + log_total
        entropy = log_total - weighted / total if with_entropy else torch.zeros_like(total)
        ctx.save_for_backward(hidden, weight, bias, labels, normalizer, entropy)
        ctx.temperature, ctx.with_entropy, ctx.width = temperature, with_entropy, width
        ctx.set_materialize_grads(False)
        return picked - normalizer, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, log_prob_gradient: Tensor | None, entropy_gradient: Tensor | None) -> tuple:
        hidden, weight, bias, labels, normalizer, entropy = ctx.saved_tensors
        if not ctx.with_entropy:
            entropy_gradient = None
        zeros = torch.zeros_like(normalizer)
        of_log_prob = (zeros if log_prob_gradient is None else log_prob_gradient.float()) / ctx.temperature
        of_entropy = None if entropy_gradient is None else entropy_gradient.float() / ctx.temperature
        wanted = ctx.needs_input_grad
        hidden_gradient = torch.zeros_like(hidden, dtype=torch.float32) if wanted[0] else None
        weight_gradient = torch.empty_like(weight) if wanted[1] else None
        bias_gradient = torch.empty_like(bias) if bias is not None and wanted[2] else None
        for tile in _tiles(len(weight), ctx.width):
            logits = _tile_logits(hidden, weight, bias, ctx.temperature, tile)
            gradient = _logit_gradient(logits, normalizer, entropy, of_log_prob, of_entropy)
            inside, columns = _labels_in(labels, tile)
            gradient.scatter_add_(-1, columns, (of_log_prob * inside).unsqueeze(-1))
            if bias_gradient is not None:
                bias_gradient[tile] = gradient.sum(0)
            gradient = gradient.to(hidden.dtype)
            if hidden_gradient is not None:
                hidden_gradient += gradient @ weight[tile]
            if weight_gradient is not None:
                torch.mm(gradient.t(), hidden, out=weight_gradient[tile])
        if hidden_gradient is not None:
            hidden_gradient = hidden_gradient.to(hidden.dtype)
        return hidden_gradient, weight_gradient, bias_gradient, None, None, None, None


def _logit_gradient(
    logits: Tensor, normalizer: Tensor, entropy: Tensor, of_log_prob: Tensor, of_entropy: Tensor | None
) -> Tensor:
    """- p (g + e (log p + H)) of one tile, without the label's own part; overwrites the logits."""
    log_probs = logits.sub_(normalizer.unsqueeze(-1))
    if of_entropy is None:
        return log_probs.exp_().mul_(-of_log_prob.unsqueeze(-1))
    probabilities = log_probs.exp()
    constant = -(of_log_prob + of_entropy * entropy)
    return log_probs.mul_(-of_entropy.unsqueeze(-1)).add_(constant.unsqueeze(-1)).mul_(probabilities)
