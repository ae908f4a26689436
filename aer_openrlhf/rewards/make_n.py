"""MAKE-N: write a number as a sum, in one of up to 100 ways.

The prompt is ``"057="``, the label ``"57"``. Right is any ``aa+bb`` of two zero-padded two-digit numbers with that
sum, and then the end-of-sequence token and nothing else (see ``countdown`` for why).

As a reward: ``--reward.remote_url path/to/make_n.py``.
"""

from __future__ import annotations

import re

from aer_openrlhf.rewards.scoring import EOS, Outcome, exact_outcome, finished_answer, make_reward_func

__all__ = ["EOS", "SUM", "canonical_answer", "is_correct", "reward_func", "score"]

SUM = re.compile("([0-9]{2})[+]([0-9]{2})")


def canonical_answer(response: str) -> str | None:
    """The sum of a finished, well-formed response, to count distinct answers by; None for any other."""
    return finished_answer(response, SUM)


def is_correct(response: str, label: str) -> bool:
    """Whether a response is right. Raises ValueError for a label that is not a number."""
    target = int(label)
    answer = canonical_answer(response)
    return answer is not None and sum(map(int, answer.split("+"))) == target


def score(response: str, label: str) -> Outcome:
    """1 for a right response, else 0; a sum at the start is an answer even where the response is wrong."""
    return exact_outcome(response, SUM, is_correct(response, label))


reward_func = make_reward_func(score)
