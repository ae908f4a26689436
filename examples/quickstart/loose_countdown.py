"""COUNTDOWN-3 with a loose reward: a right answer at the start is enough, whatever follows it is free.

Not for training a model you want: it shows where entropy goes when it costs nothing somewhere
(``examples/studies/entropy_flight.yaml``). The reward to use is ``aer_openrlhf/rewards/countdown.py``.
"""

from aer_eval.grading import countdown3
from aer_openrlhf.rewards.scoring import FinishedAnswer, make_reward_func


class AnswerAtTheStart(FinishedAnswer):
    """A task whose response begins with the answer, whatever follows it."""

    def is_correct(self, response: str, label: str) -> bool:
        """Whether the answer at the start of a response is right."""
        found = self.pattern.match(response)
        return self.is_right(found.group() if found else "", label)


reward_func = make_reward_func(AnswerAtTheStart(countdown3.EXPRESSION, countdown3.is_correct).score)
