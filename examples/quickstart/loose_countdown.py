"""COUNTDOWN-3 with a loose reward: a right answer at the start is enough, whatever follows it is free.

Not for training a model you want: it shows where entropy goes when it costs nothing somewhere
(``examples/studies/entropy_flight.yaml``). The reward to use is ``aer_openrlhf/rewards/countdown.py``.
"""

from aer_eval.grading.countdown3 import EXPRESSION, is_correct
from aer_openrlhf.rewards.scoring import Outcome, make_reward_func


def score(response: str, label: str) -> Outcome:
    """1 where the response begins with a right expression, else 0."""
    found = EXPRESSION.match(response)
    if found is None:
        return Outcome(0.0, answered=False)
    return Outcome(float(is_correct(found.group(), label)), answered=True, tail_chars=len(response) - found.end())


reward_func = make_reward_func(score)
