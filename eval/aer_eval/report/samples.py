"""Some responses to read: a number tells how often, a response tells why."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from aer_eval.records import Problem, ScoredSuite, Verdict

KINDS = {
    "Right": (Verdict.CORRECT,),
    "Wrong": (Verdict.WRONG,),
    "No verdict": tuple(verdict for verdict in Verdict if verdict not in (Verdict.CORRECT, Verdict.WRONG)),
}
"""The columns: what was judged right or wrong, and what holds no answer that could be judged."""
SHORT = 700
"""Characters up to which a text is shown at once."""
TAIL = 350
"""Characters of a long response that are shown at once: its end, where the answer is."""


@dataclass(frozen=True)
class ShownSample:
    """One response with what it was asked and what was made of it."""

    problem: Problem
    sample_index: int
    verdict: str
    extracted: str | None
    token_count: int | None
    text: str

    @property
    def is_long(self) -> bool:
        """Whether the page folds the text and shows its end."""
        return len(self.text) > SHORT

    @property
    def tail(self) -> str:
        """The end of the text."""
        return self.text[-TAIL:]


def choose_samples(scored: ScoredSuite, count: int, seed: int) -> dict[str, list[ShownSample]]:
    """At most `count` samples of each kind, drawn by `seed`: every verdict of a kind once before any twice."""
    shuffled = scored.samples.sample(frac=1, random_state=seed)
    chosen = {}
    for kind, verdicts in KINDS.items():
        rows = shuffled[shuffled["verdict"].isin([str(verdict) for verdict in verdicts])]
        turns = rows.groupby("verdict").cumcount().sort_values(kind="stable")
        chosen[kind] = [_shown(row, scored.problems) for row in rows.loc[turns.index[:count]].to_dict("records")]
    return chosen


def _shown(row: Mapping[Hashable, Any], problems: Mapping[str, Problem]) -> ShownSample:
    return ShownSample(
        problem=problems[row["problem_id"]],
        sample_index=row["sample_index"],
        verdict=row["verdict"],
        extracted=None if pd.isna(row["extracted"]) else row["extracted"],
        token_count=None if pd.isna(row["token_count"]) else row["token_count"],
        text="" if pd.isna(row["text"]) else row["text"],
    )
