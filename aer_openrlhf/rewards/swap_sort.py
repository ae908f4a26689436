"""SWAP-SORT with its end: sort a row of digits by exchanging neighbours, row by row, and then end.

The task and its checker are ``aer_eval.grading.swap_sort``. Right is a right way, and then the end-of-sequence token
and nothing else (see ``countdown`` for why).

As a reward: ``--reward.remote_url path/to/swap_sort.py``.
"""

from __future__ import annotations

from aer_eval.grading import swap_sort
from aer_eval.grading.swap_sort import ROWS
from aer_openrlhf.rewards.scoring import EOS, Outcome, exact_outcome, finished_answer, make_reward_func

__all__ = ["EOS", "ROWS", "canonical_answer", "is_correct", "reward_func", "score"]


def canonical_answer(response: str) -> str | None:
    """The rows of a finished, well-formed response, to count distinct answers by; None for any other."""
    return finished_answer(response, ROWS)


def is_correct(response: str, label: str) -> bool:
    """Whether a response is right. Raises ValueError for a label that is not a row of digits."""
    return swap_sort.is_correct(canonical_answer(response) or "", label)


def score(response: str, label: str) -> Outcome:
    """1 for a right response, else 0; rows at the start are an answer even where the response is wrong."""
    return exact_outcome(response, ROWS, is_correct(response, label))


reward_func = make_reward_func(score)
