"""COUNTDOWN-3 with its end: reach a target with three digits, and then end.

The task and its checker are ``aer_eval.grading.countdown3``. Right is a right expression, and then the end-of-sequence
token and nothing else. An unfinished response is wrong: were it not, a policy held at a target entropy could put all
of it into the tokens after the answer, where it costs nothing.

As a reward: ``--reward.remote_url path/to/countdown.py``.
"""

from __future__ import annotations

from aer_eval.grading import countdown3
from aer_eval.grading.countdown3 import EXPRESSION, evaluate
from aer_openrlhf.rewards.scoring import EOS, FinishedAnswer, make_reward_func

__all__ = ["EOS", "EXPRESSION", "canonical_answer", "evaluate", "is_correct", "reward_func", "score"]

TASK = FinishedAnswer(EXPRESSION, countdown3.is_correct)
canonical_answer, is_correct, score = TASK.canonical_answer, TASK.is_correct, TASK.score
reward_func = make_reward_func(score)
