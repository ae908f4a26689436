"""The newest sample table of a run, as the page shows it: some prompts with all their responses."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aer_eval.errors import first_line
from aer_openrlhf.runlog import SAMPLES_FOLDER

SHORT = 600
"""Characters of a response that are shown at once: of a longer one its end, where the answer is."""


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt with its responses, best first."""

    prompt: str
    label: str
    accuracy: float
    responses: tuple[Mapping[Hashable, Any], ...]
    """Rows of the table: response, score, reward, coefficient, entropy, tokens, truncated."""


@dataclass(frozen=True)
class SampleTable:
    """What a run wrote into `samples/` at one step."""

    step: int
    prompts: tuple[ShownPrompt, ...]


def newest_samples(run_dir: Path) -> SampleTable | None:
    """The table of the highest step; None where there is none. Raises ValueError, with the file, for a damaged one."""
    files = sorted((run_dir / SAMPLES_FOLDER).glob("step_*.parquet"))
    if not files:
        return None
    try:
        table = pd.read_parquet(files[-1])
        groups = [group for _, group in table.groupby("prompt_index", sort=False)]
        return SampleTable(int(table["step"].iloc[0]), tuple(map(_shown, groups)))
    except (OSError, ValueError, LookupError) as problem:
        raise ValueError(
            f"{files[-1]}: not a table of samples ({first_line(problem)}); mend or remove it"
        ) from problem


def _shown(group: pd.DataFrame) -> ShownPrompt:
    first = group.iloc[0]
    best_first = group.sort_values("score", ascending=False, kind="stable")
    return ShownPrompt(
        prompt=first["prompt"],
        label=first["label"],
        accuracy=float(first["group_accuracy"]),
        responses=tuple(best_first.to_dict("records")),
    )
