"""The demo tasks' checkers and their verdicts, by hand."""

import itertools

import pytest

from aer_eval.grading import countdown3, make_n, swap_sort
from aer_eval.grading.exact import grade_exact
from aer_eval.records import Grade, Problem, Verdict

REFERENCE = "[[3, 4, 5], 17]"


@pytest.mark.parametrize("answer", ["3*4+5", "4*3+5", "5+3*4", "5+4*3"])
def test_every_way_to_the_target_is_right(answer):
    assert countdown3.is_correct(answer, REFERENCE)


@pytest.mark.parametrize(
    "answer",
    [
        "3*4+5 ",
        "3*4+5=17",
        "(3*4)+5",
        "3+4*5",  # 23
        "3*5+2",  # 17, but with a 2
        "3*4+5+0",
        "17",
        "٣*4+5",  # an Arabic 3 is a digit to int(), not to the task
        "__import__('os')",
        "",
    ],
)
def test_anything_else_is_wrong(answer):
    assert not countdown3.is_correct(answer, REFERENCE)


def test_values_agree_with_python_on_expressions_of_three_digits():
    for a, first, b, second, c in itertools.product("159", "+-*", "268", "+-*", "37"):
        expression = a + first + b + second + c
        assert countdown3.evaluate(expression) == eval(expression)
    with pytest.raises(ValueError, match="not an expression"):
        countdown3.evaluate("2+3")


@pytest.mark.parametrize("reference", ["", "17", "[[3, 4, 5]]", "null"])
def test_another_reference_is_an_error(reference):
    with pytest.raises((TypeError, ValueError)):
        countdown3.is_correct("3*4+5", reference)


def test_every_sum_is_right():
    right = [f"{a:02d}+{b:02d}" for a in range(100) for b in range(100) if make_n.is_correct(f"{a:02d}+{b:02d}", "57")]
    assert right == [f"{a:02d}+{57 - a:02d}" for a in range(58)]
    assert not any(make_n.is_correct(answer, "57") for answer in ("18+39 ", "018+39", "57+0", "67-10", ""))


@pytest.mark.parametrize("answer", ["231 213 123", "312 132 123"])  # 3 > 2 first, or 2 > 1
def test_every_way_to_sort_is_right(answer):
    assert swap_sort.is_correct(answer, "321")
    assert not swap_sort.is_correct(answer, "312")


@pytest.mark.parametrize(
    "answer",
    [
        "231 213",  # not sorted yet
        "123",  # 3 and 1 are no neighbours
        "231 213 231 213 123",  # 1 and 3 were in order
        "321 231 213 123",  # no exchange at first
        "231 213 123 123",
        "221 213 123",  # a digit that is not there
        "231 213 123 ",
        " 231 213 123",
        "231  213 123",
        "231213123",
        "231 213 123\n",
        "",
    ],
)
def test_any_other_way_to_sort_is_wrong(answer):
    assert not swap_sort.is_correct(answer, "321")


def test_equal_digits_are_in_order():
    assert swap_sort.is_correct("112", "121")
    assert not swap_sort.is_correct("112 112", "121")


def test_a_row_that_is_not_one_of_digits_is_an_error():
    with pytest.raises(ValueError, match="not a row of digits: 'three'"):
        swap_sort.is_correct("123", "three")


@pytest.mark.parametrize(
    ("text", "finish_reason", "grade"),
    [
        ("18+39", "stop", Grade(Verdict.CORRECT, "18+39", "18+39")),
        ("39+18", "stop", Grade(Verdict.CORRECT, "39+18", "39+18")),  # another right answer is another class
        ("18+40", "stop", Grade(Verdict.WRONG, "18+40", "18+40")),
        ("18+391", "stop", Grade(Verdict.WRONG, "18+39", "18+391")),
        ("1+2", "stop", Grade(Verdict.NO_ANSWER, None, None)),
        ("18+39", "length", Grade(Verdict.TRUNCATED, "18+39", "18+39")),  # not finished
        ("18+3", "length", Grade(Verdict.TRUNCATED, None, None)),
    ],
)
def test_verdicts(text, finish_reason, grade):
    assert grade_exact(Problem("p", "057=", "57", "make_n"), text, finish_reason) == grade
