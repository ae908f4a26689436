"""Which part of a response is its answer."""

import time

import pytest

from aer_eval.grading.extraction import Extracted, extract_answer, opened_by


@pytest.mark.parametrize(
    ("text", "answer", "rest"),
    [
        (r"so \boxed{5}.<eos>", "5", ".<eos>"),
        (r"\boxed{1} or rather \boxed{2}", "2", ""),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", ""),
        (r"\boxed {7}", "7", ""),
        (r"\fbox{8}", "8", ""),
        (r"**\boxed{073}**", "073", "**"),
        (r"\boxed{\left\{x \mid x>1\right.} done", r"\left\{x \mid x>1\right.", " done"),  # \{ is no group
        (r"\boxed{5} and then \boxed{6", "5", r" and then \boxed{6"),  # cut in mid-answer
        (r"\boxed{\boxed{5}}", "5", "}"),
        (r"\boxed{5}: I put it in \boxed{}", "5", r": I put it in \boxed{}"),
        (r"<think>\boxed{4}</think>It is \boxed{5}", "5", ""),
        (r"\boxed{4}</think>\boxed{5}", "5", ""),
    ],
)
def test_extracts_the_last_box_and_where_it_ends(text, answer, rest):
    assert extract_answer(text) == Extracted(answer, len(text) - len(rest))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the answer is 5",
        r"\boxed{",
        r"\boxed{ }",
        r"<think>maybe \boxed{5}</think>I do not know",  # a draft
        r"<think>maybe \boxed{5}, or",  # reasoning cut off by the length limit
        r"</think>\boxed{4}<think>",  # thinking again
    ],
)
def test_no_answer_without_a_final_box(text):
    assert extract_answer(text) is None


@pytest.mark.parametrize(
    ("prompt", "opening"),
    [
        ("<|assistant|><think>\n", "<think>"),
        ("<|assistant|><think>", "<think>"),
        ("<|assistant|><think>\n\n</think>\n\n", ""),  # without reasoning
        ("Reason in <think> and </think>.\n", ""),
    ],
)
def test_a_prompt_may_open_the_reasoning(prompt, opening):
    assert opened_by(prompt) == opening


def test_extraction_takes_linear_time():
    start = time.perf_counter()
    assert extract_answer(r"\boxed{" * 50_000) is None
    assert extract_answer(r"\boxed{" * 50_000 + "}" * 50_000) is not None
    assert time.perf_counter() - start < 5
