"""MAKE-N with its end: write a number as a sum, in one of up to 100 ways, and then end.

The task and its checker are ``aer_eval.grading.make_n``. Right is a right sum, and then the end-of-sequence token and
nothing else (see ``countdown`` for why).

As a reward: ``--reward.remote_url path/to/make_n.py``.
"""

from __future__ import annotations

from aer_eval.grading import make_n
from aer_eval.grading.make_n import SUM
from aer_openrlhf.rewards.scoring import EOS, FinishedAnswer, make_reward_func

__all__ = ["EOS", "SUM", "canonical_answer", "is_correct", "reward_func", "score"]

TASK = FinishedAnswer(SUM, make_n.is_correct)
canonical_answer, is_correct, score = TASK.canonical_answer, TASK.is_correct, TASK.score
reward_func = make_reward_func(score)
