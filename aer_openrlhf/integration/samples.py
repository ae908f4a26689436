"""Sample tables: every few steps, some prompts with all their responses, as Parquet in the run folder.

They tell why a number moved. The prompts are spread over the difficulty of the batch, hardest and easiest included.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import torch
from pyarrow import parquet
from torch import Tensor

from aer_eval.whole_file import whole_file

from ..methods.base import RolloutBatch, group_accuracy
from ..runlog import SAMPLES_FOLDER

PROMPTS = 4


class SampleTables:
    """Writes a table of the first step and of every `every`-th; 0 writes none."""

    def __init__(self, run_dir: Path, every: int, tokenizer: Any) -> None:
        self.folder = run_dir / SAMPLES_FOLDER
        self.every = every
        self.tokenizer = tokenizer

    def due(self, step: int) -> bool:
        """Whether step `step`, from 1, gets a table."""
        return self.every > 0 and (step == 1 or step % self.every == 0)

    def write(
        self, step: int, experiences: Sequence[Any], order: Tensor, batch: RolloutBatch, coefficients: Tensor | None
    ) -> Path:
        """Write the table of one rollout batch and return its file.

        order: (B,) for every response of `experiences` its place in `batch`; coefficients: (B,) in the order of
        `batch`, None for a method without an entropy term.
        """
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"step_{step:06d}.parquet"
        rows = self._rows(experiences, order, batch, coefficients)
        with whole_file(path, "wb") as file:
            parquet.write_table(pyarrow.Table.from_pylist([{"step": step} | row for row in rows]), file)
        return path

    def _rows(
        self, experiences: Sequence[Any], order: Tensor, batch: RolloutBatch, coefficients: Tensor | None
    ) -> list[dict[str, Any]]:
        accuracy = group_accuracy(batch.scores, batch.group_size)
        home = list(itertools.chain.from_iterable([(e, row) for row in range(len(e.index))] for e in experiences))
        place, first_token = order.argsort(), batch.lengths.cumsum(0) - batch.lengths
        rows = []
        for prompt, sample in itertools.product(spread(accuracy, PROMPTS), range(batch.group_size)):
            response = prompt * batch.group_size + sample
            experience, row = home[int(place[response])]
            start, length = int(first_token[response]), int(batch.lengths[response])
            rows.append(
                {
                    "prompt_index": prompt,
                    "prompt": experience.prompts[row],
                    "label": str(experience.labels[row]),
                    "group_accuracy": float(accuracy[prompt]),
                    "sample": sample,
                    "response": self._text(experience, row),
                    "score": float(batch.scores[response]),
                    "reward": float(experience.info["reward"][row]),
                    "coefficient": None if coefficients is None else float(coefficients[response]),
                    "entropy": float(batch.entropy[start : start + length].mean()),
                    "tokens": length,
                    "truncated": bool(experience.truncated[row]),
                }
            )
        return rows

    def _text(self, experience: Any, row: int) -> str:
        tokens = experience.sequences[row][1:][experience.action_mask[row].bool()]
        return self.tokenizer.decode(tokens, skip_special_tokens=False)


def spread(values: Tensor, count: int) -> list[int]:
    """At most `count` indices of `values`, evenly spaced in their order: the least and the greatest are among them."""
    places = torch.linspace(0, len(values) - 1, min(count, len(values))).round().long()
    return values.argsort(stable=True)[places].tolist()
