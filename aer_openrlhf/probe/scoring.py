"""Exact token entropies of given responses: one forward pass, no sampling, in chunks that fit the memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..fused_head import fused_head
from ..fused_head.models import reason_against_model

TOKENS_WITH_LOGITS = 2048
"""Tokens of one forward pass of a model whose head cannot be computed in tiles: it holds their whole logits."""
LOGITS_IN_FLOAT32 = 256
"""Tokens whose logits are turned into entropies at once."""

Sequences = Sequence[tuple[Sequence[int], Sequence[int]]]
"""Prompt and response of each sequence as token ids; neither is empty."""


class Scorer:
    """A Hugging Face model that gives the entropies of responses, as the policy rank of `aer-train` has them.

    Weights in the training's dtype, logits and all that follows in float32. Runs on the first GPU, or the CPU.
    """

    def __init__(self, model: Any, tokens_at_once: int = 16384, memory_mb: float = 256) -> None:
        """Take over a loaded model.

        tokens_at_once: tokens of one forward pass, padding counted. memory_mb: of one tile of logits, in MiB.
        """
        self.model = model.eval()
        self.memory_mb = memory_mb
        self._in_tiles = reason_against_model(model) is None
        self.tokens_at_once = tokens_at_once if self._in_tiles else min(tokens_at_once, TOKENS_WITH_LOGITS)

    @classmethod
    def load(cls, folder: str, dtype: str, device: str | None = None) -> Scorer:
        """Load a model folder or hub id."""
        from transformers import AutoModelForCausalLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        return cls(model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")))

    def token_entropies(self, sequences: Sequences, temperature: float) -> Iterator[tuple[int, Tensor]]:
        """For each sequence its index and the (response tokens,) float32 entropies in nats of the distributions that
        its response tokens were drawn from; in order of length, a batch at a time."""
        for batch in self._batches(sequences):
            entropies = self._entropy([sequences[index] for index in batch], temperature)
            lengths = [len(sequences[index][1]) for index in batch]
            yield from zip(batch, entropies.cpu().split(lengths), strict=True)

    def _batches(self, sequences: Sequences) -> Iterator[list[int]]:
        """Indices of sequences of like length, so many that they fit into one pass when padded."""
        length = [len(prompt) + len(response) for prompt, response in sequences]
        batch: list[int] = []
        for index in sorted(range(len(sequences)), key=length.__getitem__):
            if batch and (len(batch) + 1) * length[index] > self.tokens_at_once:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    @torch.inference_mode()
    def _entropy(self, batch: Sequences, temperature: float) -> Tensor:
        """(response tokens of the batch,) float32 entropies, sequence after sequence."""
        ids, mask, drawn_from = (tensor.to(self.model.device) for tensor in _padded(batch))
        if not self._in_tiles:
            logits = self.model(ids, attention_mask=mask, use_cache=False).logits[drawn_from]
            parts = (rows.float() / temperature for rows in logits.split(LOGITS_IN_FLOAT32))
            return torch.cat([torch.distributions.Categorical(logits=rows).entropy() for rows in parts])
        hidden = self.model.get_decoder()(ids, attention_mask=mask, use_cache=False).last_hidden_state[drawn_from]
        head = self.model.get_output_embeddings()
        labels = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)  # nobody asks for their log-probs
        _, entropies = fused_head(
            hidden, head.weight, labels, bias=head.bias, temperature=temperature, memory_mb=self.memory_mb
        )
        return entropies


def _padded(batch: Sequences) -> tuple[Tensor, Tensor, Tensor]:
    """(B, T) ids padded on the right, their attention mask, and the positions that response tokens were drawn from."""
    rows = [torch.tensor([*prompt, *response]) for prompt, response in batch]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    drawn_from = torch.zeros_like(mask, dtype=torch.bool)
    for place, (prompt, response) in enumerate(batch):
        drawn_from[place, len(prompt) - 1 : len(prompt) + len(response) - 1] = True
    return ids, mask, drawn_from
