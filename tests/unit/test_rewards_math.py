"""The math reward: grading verdicts as rewards and logs. The grader itself: eval/tests."""

import pytest

from aer_eval.records import Verdict
from aer_openrlhf.rewards import math as math_reward

PROMPT = "What is 1/4 + 1/4? Put your answer in \\boxed{}.<assistant>"


def reward(response: str, label: str = "\\frac{1}{2}") -> dict[str, float]:
    result = math_reward.reward_func([PROMPT + response], [PROMPT], [label])
    return {"score": result["scores"].item()} | {key: value.item() for key, value in result["extra_logs"].items()}


@pytest.mark.parametrize(
    ("response", "score", "no_answer", "tail"),
    [
        ("It is \\boxed{\\frac12}.<eos>", 1, 0, 6),
        ("<think>\\boxed{1}</think>\\boxed{0.5}<eos>", 1, 0, 5),
        ("It is \\boxed{\\frac13}", 0, 0, 0),
        ("It is 1/2.<eos>", 0, 1, -1),
        ("<think>\\boxed{0.5}, but let me check", 0, 1, -1),
        ("It is \\boxed{0.5", 0, 1, -1),
    ],
)
def test_reward(response, score, no_answer, tail):
    assert reward(response) == {
        "score": score,
        "no_answer": no_answer,
        "grader_timeout": 0,
        "reward_error": 0,
        "answer_tail_chars": tail,
    }


@pytest.mark.parametrize(
    ("response", "score", "no_answer", "tail"),
    [
        ("so maybe \\boxed{0.5}. Wait, let me", 0, 1, -1),
        ("so maybe \\boxed{1}. No.</think>\\boxed{0.5}<eos>", 1, 0, 5),
    ],
)
def test_a_prompt_that_opens_the_reasoning(response, score, no_answer, tail):
    prompt = PROMPT + "<think>\n"
    result = math_reward.reward_func([prompt + response], [prompt], ["\\frac{1}{2}"])
    logs = result["extra_logs"]
    assert (result["scores"].item(), logs["no_answer"].item(), logs["answer_tail_chars"].item()) == (
        score,
        no_answer,
        tail,
    )


def test_a_timeout_is_wrong_and_counted(monkeypatch):
    monkeypatch.setattr(math_reward, "grade", lambda gold, answer, question: Verdict.TIMEOUT)
    result = reward("\\boxed{9^{9^{9^9}}}<eos>")
    assert (result["score"], result["grader_timeout"], result["no_answer"], result["answer_tail_chars"]) == (
        0,
        1,
        0,
        5,
    )


def test_an_unreadable_answer_is_wrong():
    result = reward("\\boxed{\\frac{1}{2}|}")
    assert (result["score"], result["no_answer"], result["reward_error"]) == (0, 0, 0)


def test_a_formula_of_the_prompt_earns_nothing():
    prompt = "Factor $x^2-4$. Put your answer in \\boxed{}.<assistant>"
    answers = ["\\boxed{x^2-4}", "\\boxed{(x-2)(x+2)}"]
    scores = math_reward.reward_func([prompt + answer for answer in answers], [prompt] * 2, ["(x+2)(x-2)"] * 2)[
        "scores"
    ]
    assert scores.tolist() == [0.0, 1.0]


def test_a_lost_worker_and_a_blank_label_are_reward_errors(monkeypatch):
    assert reward("\\boxed{5}", label=" ")["reward_error"] == 1
    monkeypatch.setattr(math_reward, "grade", lambda gold, answer, question: Verdict.CRASH)
    result = reward("\\boxed{5}")
    assert (result["score"], result["reward_error"]) == (0, 1)
