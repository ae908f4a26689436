"""SWAP-SORT with its end: sort a row of digits by exchanging neighbours, row by row, and then end.

The task and its checker are ``aer_eval.grading.swap_sort``. Right is a right way, and then the end-of-sequence token
and nothing else (see ``countdown`` for why).

As a reward: ``--reward.remote_url path/to/swap_sort.py``.
"""

from __future__ import annotations

from aer_eval.grading import swap_sort
from aer_eval.grading.swap_sort import ROWS
from aer_openrlhf.rewards.scoring import EOS, FinishedAnswer, make_reward_func

__all__ = ["EOS", "ROWS", "canonical_answer", "is_correct", "reward_func", "score"]

TASK = FinishedAnswer(ROWS, swap_sort.is_correct)
canonical_answer, is_correct, score = TASK.canonical_answer, TASK.is_correct, TASK.score
reward_func = make_reward_func(score)
