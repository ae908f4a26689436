"""COUNTDOWN-3 by hand."""

import itertools
import json

import pytest

from aer_openrlhf.rewards import countdown
from aer_openrlhf.rewards.countdown import EOS, canonical_answer, evaluate, is_correct, reward_func, score

LABEL = "[[3, 4, 5], 17]"


@pytest.mark.parametrize("expression", ["3*4+5", "4*3+5", "5+3*4", "5+4*3"])
def test_every_way_is_right(expression):
    assert is_correct(expression + EOS, LABEL)


@pytest.mark.parametrize(
    "response",
    [
        "3*4+5",  # unfinished: the length limit came first
        "3*4+5<eos><eos>",
        "3*4+5 <eos>",
        " 3*4+5<eos>",
        "3*4+5=17<eos>",
        "<eos>3*4+5",
        "3*4+5\n<eos>",
        "(3*4)+5<eos>",
        "3+4*5<eos>",  # 23
        "3*5+2<eos>",  # 17, but with a 2
        "3*4+5+0<eos>",
        "17<eos>",
        "3*3+4<eos>",
        "٣*4+5<eos>",  # an Arabic 3 is a digit to int(), not to the task
        "__import__('os')<eos>",
        "<eos>",
        "",
    ],
)
def test_anything_else_is_wrong(response):
    assert not is_correct(response, LABEL)


def test_a_digit_that_stands_twice_is_used_twice():
    assert is_correct("2+2*7<eos>", "[[2, 7, 2], 16]")
    assert not is_correct("2+7+7<eos>", "[[2, 7, 2], 16]")


@pytest.mark.parametrize(
    ("expression", "value"),
    [("2+3*4", 14), ("2*3+4", 10), ("2-3-4", -5), ("2-3*4", -10), ("2*3-4", 2), ("2*3*4", 24), ("9-4+3", 8)],
)
def test_usual_precedence(expression, value):
    assert evaluate(expression) == value


def test_values_agree_with_python_on_every_expression_of_three_digits():
    for a, first, b, second, c in itertools.product("159", "+-*", "268", "+-*", "37"):
        expression = a + first + b + second + c
        assert evaluate(expression) == eval(expression)


def test_only_expressions_have_a_value():
    with pytest.raises(ValueError, match="not an expression"):
        evaluate("2+3")


def test_canonical_answer_counts_distinct_expressions():
    responses = ["3*4+5<eos>", "3*4+5<eos>", "5+3*4<eos>", "3*4+5", "junk<eos>"]
    assert {canonical_answer(response) for response in responses} == {"3*4+5", "5+3*4", None}


@pytest.mark.parametrize(
    ("response", "right", "answered", "tail"),
    [
        ("3*4+5<eos>", 1, True, 5),
        ("3*4+5", 0, True, 0),
        ("3*4+57+8", 0, True, 3),  # what follows the expression is no part of the answer
        ("3*4+", 0, False, -1),
        ("x3*4+5<eos>", 0, False, -1),
    ],
)
def test_outcome(response, right, answered, tail):
    outcome = score(response, LABEL)
    assert (outcome.score, outcome.answered, outcome.tail_chars) == (right, answered, tail)


@pytest.mark.parametrize("label", ["", "17", "[[3, 4, 5]]", "null"])
def test_a_label_of_another_form_is_a_reward_error(label):
    result = reward_func(["345 017=3*4+5<eos>"], ["345 017="], [label])
    assert result["scores"].tolist() == [0]
    assert result["extra_logs"]["reward_error"].tolist() == [1]


def test_reward_func():
    prompts = ["345 017=", "222 006="]
    labels = [json.dumps([[3, 4, 5], 17]), json.dumps([[2, 2, 2], 6])]
    result = reward_func([prompts[0] + "5+4*3<eos>", prompts[1] + "2*2*2<eos>"], prompts, labels)
    assert result["rewards"].tolist() == [1, 0]
    assert result["extra_logs"]["answer_tail_chars"].tolist() == [5, 5]
    assert countdown.EOS == "<eos>"
