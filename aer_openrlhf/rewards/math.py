r"""Mathematical answers in ``\boxed{}``, graded as in the evaluation: ``--reward.remote_url path/to/math.py``.

The label is the reference answer, LaTeX or plain, without its box. A response with no box has no answer and scores 0;
so does one whose grading runs past the deadline, which is counted in ``grader_timeout``.
"""

from __future__ import annotations

from aer_eval.grading.extraction import extract_answer
from aer_eval.grading.grader import check_parser, grade
from aer_eval.records import Verdict
from aer_openrlhf.rewards.scoring import Outcome, make_reward_func

check_parser()  # at the start of a run, not as the reward error of every sample


def score(response: str, label: str, prompt: str = "") -> Outcome:
    """1 for a right answer, else 0. A formula of the prompt is right only where it is the label itself.

    Raises:
        RuntimeError: the grader's worker died on this answer.
        ValueError: the label is blank.
    """
    found = extract_answer(response)
    if found is None:
        return Outcome(score=0.0, answered=False)
    verdict = grade(label, found.answer, prompt)
    if verdict is Verdict.CRASH:
        raise RuntimeError("the grader's worker died on this answer")
    return Outcome(
        score=float(verdict is Verdict.CORRECT),
        answered=True,
        timed_out=verdict is Verdict.TIMEOUT,
        tail_chars=len(response) - found.end,
    )


reward_func = make_reward_func(score, sees_prompt=True)
