"""COUNTDOWN-3 with its end: reach a target with three digits, and then end.

The task and its checker are ``aer_eval.grading.countdown3``. Right is a right expression, and then the end-of-sequence
token and nothing else. An unfinished response is wrong: were it not, a policy held at a target entropy could put all
of it into the tokens after the answer, where it costs nothing.

As a reward: ``--reward.remote_url path/to/countdown.py``.
"""

from __future__ import annotations

from aer_eval.grading import countdown3
from aer_eval.grading.countdown3 import EXPRESSION, evaluate
from aer_openrlhf.rewards.scoring import EOS, Outcome, exact_outcome, finished_answer, make_reward_func

__all__ = ["EOS", "EXPRESSION", "canonical_answer", "evaluate", "is_correct", "reward_func", "score"]


def canonical_answer(response: str) -> str | None:
    """The expression of a finished, well-formed response, to count distinct answers by; None for any other."""
    return finished_answer(response, EXPRESSION)


def is_correct(response: str, label: str) -> bool:
    """Whether a response is right. Raises ValueError or TypeError for a label of another form."""
    return countdown3.is_correct(canonical_answer(response) or "", label)


def score(response: str, label: str) -> Outcome:
    """1 for a right response, else 0; an expression at the start is an answer even where the response is wrong."""
    return exact_outcome(response, EXPRESSION, is_correct(response, label))


reward_func = make_reward_func(score)
