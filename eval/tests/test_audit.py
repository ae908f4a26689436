"""The second reader by hand and on the grader's corpus, and the list of disagreements."""

import json
from pathlib import Path

import pytest

from aer_eval.grading.audit import Disagreement, audit
from aer_eval.grading.second_reader import NotRead, read, same
from aer_eval.records import Grade, Problem, Verdict

CASES = json.loads((Path(__file__).parent / "cases" / "answers.json").read_text())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-1,234", -1234),
        (r"\dfrac12", 0.5),
        (r"3\frac{1}{2}", 3.5),
        (r"2\sqrt{9}", 6),
        (r"\sqrt[3]{27}", 3),
        ("2^{10}", 1024),
        ("2^3!", 64 * 630),  # 8!
        (r"\frac{6}{2}\cdot 4", 12),
        ("8/2/2", 2),
        ("-2^2", -4),
        (r"|3-5|\,", 2),
        ("i^2", -1),
        (r"e^{i\pi}", -1),
        (r"5\text{ cm}^2", 5),
    ],
)
def test_second_reader_computes(text, value):
    assert read(text) == pytest.approx((value,) * 3)


@pytest.mark.parametrize(
    "text", [r"\foo{2}", "1 000", "x+", "(1", "9^9^9^9", "(" * 500 + "1", "a" * 5000, "1/0", "5 cm"]
)
def test_second_reader_says_what_it_cannot_read(text):
    with pytest.raises(NotRead):
        read(text)


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("(x+1)^2", "x^2+2x+1", True),
        ("(x+1)^2", "x^2+1", False),
        ("(1,2)", "(2,1)", False),
        ("(1,2]", "[1,2]", False),
        ("1,2", "2,1", True),
        (r"\{1,2\}", "2,1", True),
        (r"\text{East}", r"\text{east}", True),
        (r"\text{East}", r"\text{west}", False),
    ],
)
def test_second_reader_compares(gold, answer, equal):
    assert same(gold, answer) is equal


def test_the_graders_mostly_agree_on_the_corpus():
    """Decimals and names of variables apart, of which the second reader has another idea."""
    opinions = []
    for case in CASES:
        for kind in ("same", "different"):
            for answer in case[kind]:
                try:
                    opinions.append(same(case["gold"], answer) == (kind == "same"))
                except NotRead:
                    continue
    assert len(opinions) > 450
    assert sum(opinions) / len(opinions) > 0.97


def test_disagreements_are_listed_once():
    problem = Problem("p", "", r"\frac{1}{3}", "math")
    grades = [
        Grade(Verdict.CORRECT, "0.333333", "1/3"),
        Grade(Verdict.CORRECT, "0.333333", "1/3"),
        Grade(Verdict.WRONG, r"\frac{2}{6}", "1/3"),  # as if the grader were mistaken
        Grade(Verdict.CORRECT, r"\frac{1}{3}", "1/3"),
        Grade(Verdict.UNPARSED, r"\foo", "foo"),
        Grade(Verdict.NO_ANSWER, None, None),
    ]
    assert audit([problem] * len(grades), grades) == [
        Disagreement("p", r"\frac{1}{3}", "0.333333", Verdict.CORRECT, Verdict.WRONG),
        Disagreement("p", r"\frac{1}{3}", r"\frac{2}{6}", Verdict.WRONG, Verdict.CORRECT),
    ]
