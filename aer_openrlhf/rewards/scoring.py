"""From a score for one response to the ``reward_func`` that OpenRLHF loads from a file.

A task is a function ``score(response, label) -> Outcome``; ``make_reward_func`` does the rest once for all tasks: it
cuts the prompt off, turns outcomes into the tensors that ``openrlhf.utils.agent`` expects, and keeps one bad sample
from costing the batch. OpenRLHF drops the reward of a sample whose function raises, and then fails on the hole.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from aer_eval.grading.extraction import opened_by

logger = logging.getLogger(__name__)

EOS = "<eos>"
"""End-of-sequence token of the demo model. OpenRLHF decodes with special tokens, so the reward sees it as text."""

PROMPT_TAIL_CHARS = 64
NO_ANSWER_TAIL = -1


@dataclass(frozen=True)
class Outcome:
    """What grading one response gave."""

    score: float
    """Correctness in [0, 1]."""
    answered: bool
    """An answer was found, right or wrong."""
    timed_out: bool = False
    tail_chars: int = NO_ANSWER_TAIL
    """Characters of the response, special tokens included, after the end of the graded answer; -1 without one."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a score must lie in [0, 1], got {self.score}")


ScoreFunction = Callable[..., Outcome]
RewardFunction = Callable[..., dict[str, Any]]


def make_reward_func(score: ScoreFunction, sees_prompt: bool = False) -> RewardFunction:
    """OpenRLHF's ``reward_func(queries, prompts, labels)`` for a score of one response.

    With ``sees_prompt`` it is ``score(response, label, prompt)``.
    ``queries`` are decoded prompt + response. A ``<think>`` that the prompt ends with is given to ``score`` in front
    of the response. The result holds float tensors with one element a sample: ``rewards`` and ``scores`` (the same)
    and ``extra_logs`` with ``no_answer``, ``grader_timeout``, ``reward_error`` (0 or 1) and ``answer_tail_chars``
    (see ``Outcome.tail_chars``), the same keys for every sample as OpenRLHF needs.

    A sample whose score cannot be had (``score`` raises, the prompt is not in the query) counts as wrong with
    ``reward_error`` 1; each type of exception is logged once with its traceback. The returned function raises
    ValueError where the three lists differ in length.
    """
    logged: set[type[Exception]] = set()

    def outcome_or_none(query: str, prompt: str, label: str) -> Outcome | None:
        try:
            response = opened_by(prompt) + cut_prompt(query, prompt)
            return score(response, label, prompt) if sees_prompt else score(response, label)
        except Exception as error:  # counted in reward_error: one bad sample must not end a training run
            if type(error) not in logged:
                logged.add(type(error))
                logger.exception("no score for a response with label %.80r, counted as wrong", label)
            return None

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str], **kwargs: Any
    ) -> dict[str, Any]:
        return _to_tensors([outcome_or_none(*sample) for sample in zip(queries, prompts, labels, strict=True)])

    return reward_func


def cut_prompt(query: str, prompt: str) -> str:
    """The response part of a query.

    The query may not begin with the prompt: OpenRLHF cuts long prompts on the left, and not every tokenizer gives
    back the text it was given. Then the response begins after the last characters of the prompt, where they stand
    first: a response that repeats them cannot cut off its own beginning.

    Raises:
        ValueError: the end of the prompt is not in the query.
    """
    if query.startswith(prompt):
        return query[len(prompt) :]
    _, found, response = query.partition(prompt[-PROMPT_TAIL_CHARS:])
    if not found:
        raise ValueError("the end of the prompt is not in the decoded text: it was cut on the right or re-encoded")
    return response


@dataclass(frozen=True)
class FinishedAnswer:
    """A task whose response is an answer that an exact checker judges, then the end-of-sequence token, and no more."""

    pattern: re.Pattern[str]
    """Of an answer."""
    is_right: Callable[[str, str], bool]
    """``(answer, label)``; an empty answer is wrong. Raises ValueError or TypeError for a label of another form."""

    def canonical_answer(self, response: str) -> str | None:
        """The answer of a finished, well-formed response, to count distinct answers by; None for any other."""
        text = response.removesuffix(EOS)
        return text if text != response and self.pattern.fullmatch(text) else None

    def is_correct(self, response: str, label: str) -> bool:
        """Whether a response is right; raises what ``is_right`` raises."""
        return self.is_right(self.canonical_answer(response) or "", label)

    def score(self, response: str, label: str) -> Outcome:
        """1 for a right response, else 0; an answer at the start counts as answered even where that is wrong."""
        found = self.pattern.match(response)
        tail_chars = NO_ANSWER_TAIL if found is None else len(response) - found.end()
        return Outcome(float(self.is_correct(response, label)), answered=found is not None, tail_chars=tail_chars)


def _to_tensors(outcomes: list[Outcome | None]) -> dict[str, Any]:
    """OpenRLHF's result dict; None stands for a sample that could not be scored."""
    known = [outcome or Outcome(score=0.0, answered=False) for outcome in outcomes]
    scores = torch.tensor([outcome.score for outcome in known])
    return {
        "rewards": scores,
        "scores": scores.clone(),
        "extra_logs": {
            "no_answer": torch.tensor([float(not outcome.answered) for outcome in known]),
            "grader_timeout": torch.tensor([float(outcome.timed_out) for outcome in known]),
            "reward_error": torch.tensor([float(outcome is None) for outcome in outcomes]),
            "answer_tail_chars": torch.tensor([float(outcome.tail_chars) for outcome in known]),
        },
    }
