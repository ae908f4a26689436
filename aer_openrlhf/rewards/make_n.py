"""MAKE-N with its end: write a number as a sum, in one of up to 100 ways, and then end.

The task and its checker are ``aer_eval.grading.make_n``. Right is a right sum, and then the end-of-sequence token and
nothing else (see ``countdown`` for why).

As a reward: ``--reward.remote_url path/to/make_n.py``.
"""

from __future__ import annotations

from aer_eval.grading import make_n
from aer_eval.grading.make_n import SUM
from aer_openrlhf.rewards.scoring import EOS, Outcome, exact_outcome, finished_answer, make_reward_func

__all__ = ["EOS", "SUM", "canonical_answer", "is_correct", "reward_func", "score"]


def canonical_answer(response: str) -> str | None:
    """The sum of a finished, well-formed response, to count distinct answers by; None for any other."""
    return finished_answer(response, SUM)


def is_correct(response: str, label: str) -> bool:
    """Whether a response is right. Raises ValueError for a label that is not a number."""
    return make_n.is_correct(canonical_answer(response) or "", label)


def score(response: str, label: str) -> Outcome:
    """1 for a right response, else 0; a sum at the start is an answer even where the response is wrong."""
    return exact_outcome(response, SUM, is_correct(response, label))


reward_func = make_reward_func(score)
