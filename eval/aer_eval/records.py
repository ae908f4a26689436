"""What the parts of the harness hand each other: problems, prompts, samples, grades.

Only the standard library and pandas, so that every part can import it at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import pandas as pd

AnswerType = Literal["integer", "math", "countdown3", "make_n", "swap_sort"]
"""How an answer is found and compared: ``integer`` and ``math`` in the last box, the demo tasks by exact checkers."""


@dataclass(frozen=True)
class Problem:
    """One problem of a suite."""

    id: str
    """Unique in its suite and stable between versions of the data."""
    problem: str
    answer: str
    """The reference answer, normalised: ``025`` is ``25``."""
    answer_type: AnswerType
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the suite keeps beside it, such as ``level`` and ``subject``."""

    def differs_in(self, other: Problem) -> str | None:
        """The first field in which this is another question than ``other``; None where samples of both are alike.

        White space aside: transcriptions of one suite differ in it.
        """
        for name in ("problem", "answer", "answer_type"):
            if compact(getattr(self, name)) != compact(getattr(other, name)):
                return name
        return None


def compact(text: str) -> str:
    """Text without its white space: what two transcriptions of the same LaTeX are compared by."""
    return "".join(text.split())


@dataclass(frozen=True)
class Prompt:
    """What the model gets: raw ``text``, or chat ``messages`` for the model's own chat template."""

    text: str | None = None
    messages: tuple[Mapping[str, str], ...] | None = None
    special_tokens: bool = True
    """Whether the tokenizer adds its usual special tokens to a text; False where it has them written out."""

    def __post_init__(self) -> None:
        if (self.text is None) == (self.messages is None):
            raise ValueError("a prompt has either text or messages")


class Verdict(StrEnum):
    """What came of one sample. All but ``CORRECT`` count as not solved; every one is counted in the report."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    """The response ended by itself and holds no answer."""
    TRUNCATED = "truncated"
    """The response ran into the token limit before it held an answer."""
    UNPARSED = "unparsed"
    """There is an answer that is not the reference's text, and it could not be read as mathematics."""
    TIMEOUT = "timeout"
    """The comparison ran past its deadline and its worker was killed."""
    CRASH = "crash"
    """The worker died or raised: out of memory, stack overflow, killed from outside."""


@dataclass(frozen=True)
class Grade:
    """The verdict on one sample."""

    verdict: Verdict
    extracted: str | None
    """The answer as it stands in the response; None without one."""
    answer_class: str | None
    """Equal for equivalent answers to one problem: what maj@k votes over. None without an answer."""


SAMPLE_COLUMNS = {
    "problem_id": "string",
    "sample_index": "int64",
    "seed": "int64",
    "text": "string",
    "token_count": "Int64",
    "finish_reason": "string",  # "stop", "length", or what the engine calls it
    "mean_logprob": "Float64",  # of the sampled tokens, in nats; missing where the engine does not give it
    "entropy": "Float64",  # estimate in nats a token; missing where the engine does not give it
    "engine": "string",
    "model": "string",  # the model's fingerprint
    "params": "string",  # hash of the sampling parameters; in full in store.json
    "duration_s": "Float64",  # of the request that the sample came with
    "finished_at": "Float64",  # Unix time
}
"""Columns of a store's samples and their pandas types (nullable ones in capitals); one row a sample."""

GRADE_COLUMNS = {
    "problem_id": "string",
    "sample_index": "int64",
    "verdict": "string",
    "extracted": "string",
    "answer_class": "string",
}
"""Columns of a store's grades; one row a sample."""


@dataclass(frozen=True, eq=False)
class ScoredSuite:
    """One model's graded samples on one suite: all that metrics, comparison and report read."""

    label: str
    """The name shown for the model or the run."""
    suite: str
    suite_version: int
    problems: Mapping[str, Problem]
    """Every problem of the suite by id, also those without a sample yet, in the suite's order."""
    samples: pd.DataFrame
    """``SAMPLE_COLUMNS`` and ``GRADE_COLUMNS``, one row a sample, sorted by the suite's order and sample index."""
    manifest: Mapping[str, Any]
    """The store's ``store.json``: suite, template, model identity, sampling parameters, versions."""
