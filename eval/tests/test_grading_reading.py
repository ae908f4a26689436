"""How answers are read before any algebra: spellings, plain numbers, kinds of answers."""

import json
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aer_eval.grading.judgement import judge
from aer_eval.grading.normalisation import normalise
from aer_eval.grading.numbers import Number, equal_numbers, read_number
from aer_eval.grading.reading import Based, Collection, Equation, Residue, Value, Words, read
from aer_eval.records import Verdict

GOLDS = [case["gold"] for case in json.loads((Path(__file__).parent / "cases" / "answers.json").read_text())]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (r" $\dfrac12$. ", r"\frac{1}{2}"),
        (r"{1\over 2}", r"\frac{1}{2}"),
        (r"\tfrac{ \pi }4", r"\frac{\pi}{4}"),
        (r"\sqrt3", r"\sqrt{3}"),
        ("2√13", r"2\sqrt{13}"),
        (r"1{,}234{,}567", "1234567"),
        (r"9,\!240", "9240"),
        (r"12\,345", "12345"),
        ("12,34", "12,34"),
        ("1, 234", "1, 234"),  # a list
        (r"3\times10^8", r"3\cdot 10^8"),
        ("1.6e-19", r"1.6 \cdot 10^{-19}"),
        (r"90^{\circ}", "90"),
        (r"\cos 60^\circ", r"\cos (\frac{60 \pi}{180})"),
        (r"\left[ 0, 1 \right)", "[ 0, 1 )"),
        (r"\$5", "5"),
        ("n!=5", r"n\ne 5"),
        ("4!=24", "4!=24"),  # a factorial
        (r"5\ (\text{mod } p-1)", r"5\pmod{p-1}"),
        (r"x \leqslant 3", r"x \le 3"),
        (r"\mathbf{5}", "5"),
        (r"\text{12}", "12"),
        (r"\\frac{1}{2}", r"\frac{1}{2}"),  # JSON read twice
        (r"**7**", "7"),
        (r"\begin{bmatrix}1\\[2mm]2\\\end{bmatrix}", r"\begin{pmatrix}1\cr 2\end{pmatrix}"),
    ],
)
def test_one_spelling(text, normal):
    assert normalise(text) == normal


@pytest.mark.parametrize("gold", GOLDS)
def test_normalising_twice_changes_nothing(gold):
    assert normalise(normalise(gold)) == normalise(gold)


@pytest.mark.parametrize(
    ("text", "value", "places"),
    [
        ("-007", -7, None),
        ("12.0", 12, 1),
        ("0.125", Fraction(1, 8), 3),
        ("--5", 5, None),
        (r"\frac{-3}{4}", Fraction(-3, 4), None),
        (r"-3\frac{1}{2}", Fraction(-7, 2), None),
        ("4 17/36", Fraction(161, 36), None),
        (r"1.5 \cdot 10^{8}", 150_000_000, None),
        (r"1.60 \cdot 10^{-3}", Fraction(16, 10_000), 5),
        ("10^{-2}", Fraction(1, 100), 2),
        (r"0.1\overline{6}", Fraction(1, 6), None),
        ("(5)", 5, None),
    ],
)
def test_numbers(text, value, places):
    assert read_number(text) == Number(Fraction(value), places)


@pytest.mark.parametrize("text", ["", "x", "1,2", r"\frac{1}{0}", r"\sqrt{4}", "1 2", r"-3+\frac{1}{2}", "1e5", "()"])
def test_what_is_no_plain_number(text):
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("0.333333", r"\frac{1}{3}", True),
        ("0.33333", r"\frac{1}{3}", False),  # five places
        ("0.333334", r"\frac{1}{3}", False),  # not the rounding
        ("0.000003", r"\frac{1}{300000}", False),  # one digit
        ("0.5000001", "0.5", False),
        ("31254", "31255", False),
    ],
)
def test_a_long_decimal_stands_for_what_it_rounds(one, other, equal):
    assert equal_numbers(read_number(one), read_number(other)) is equal
    assert equal_numbers(read_number(other), read_number(one)) is equal


def values(*texts: str) -> tuple[Value, ...]:
    return tuple(map(Value, texts))


ROW_1, ROW_2 = Collection("row", values("1")), Collection("row", values("2"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (r"\frac12x", Value(r"\frac{1}{2}x")),
        (r"60\%", Value("60", percent=True)),
        (r"5\text{ cm}^2", Value("5", unit="cm")),
        ("18 hours", Value("18", unit="h")),
        ("5ab", Value("5ab")),  # variables
        ("1,2", Collection("list", values("1", "2"))),
        (r"2 \text{ and } 1", Collection("list", values("2", "1"))),
        (r"\{1,2\}", Collection("set", values("1", "2"))),
        ("(1,2)", Collection("()", values("1", "2"))),
        ("[1,2)", Collection("[)", values("1", "2"))),
        (r"1\le x<2", Collection("[)", values("1", "2"))),
        ("2>x", Collection("()", values(r"-\infty", "2"))),
        (r"x\in(1,2]", Collection("(]", values("1", "2"))),
        (r"x>1 \text{ and } x\le2", Collection("(]", values("1", "2"))),
        (r"1\pm x", Collection("list", values("1+ x", "1- x"))),
        ("3:1", Collection("ratio", values("3", "1"))),
        ("2112_{6}", Based("2112", "6")),
        (r"\text{Monday}", Words("monday")),
        ("Monday", Words("monday")),
        (r"\text{4:30 p.m.}", Words("4:30pm")),
        (r"\text{(C)}", Value("C")),
        (r"x\equiv 2 \pmod 7", Residue(Value("2"), Value("7"))),
        ("x=5", Equation("x", Value("5"), "x=5")),
        ("x=1,2", Equation("x", Collection("list", values("1", "2")), "x=1,2")),
        ("(4x-7)", Value("4x-7")),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", Collection("matrix", (ROW_1, ROW_2))),
    ],
)
def test_kinds(text, kind):
    assert read(text) == kind


PIECES = ("(", "((1,2),", "x=", r"\frac{", r"\text{ and ", r"\sqrt", "1,", " ", r"\pm", r"\lor ", "-")


@pytest.mark.parametrize("piece", PIECES)
def test_reading_is_fast_whatever_the_text(piece):
    """It runs in the grader's own process, without a deadline."""
    start = time.perf_counter()
    read((piece * 2000)[:2000])
    assert time.perf_counter() - start < 3


CHARACTERS = r"0123456789.,;:+-*/=<>()[]{}|!^_%$&'~ xyiC٣"
COMMANDS = (
    *(r"\frac", r"\sqrt", r"\text{", r"\overline{", r"\{", r"\}", r"\pm", r"\le", r"\cup", r"\in", r"\pi", r"\infty"),
    *(r"\,", r"\\", r"\circ", r"\sin", r"\left", r"\cdot", "and", "or", "cm", r"\textsl{"),
)
PARTS = (*CHARACTERS, *(command + " " for command in COMMANDS), r"\begin{pmatrix}", r"\end{pmatrix}")
LATEX = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)


def test_a_command_that_begins_like_text_is_read():
    assert read(r"\textasciitilde 5") == Value("5")


def test_an_inequality_beside_nothing_is_that_inequality():
    assert read(r"\, and 0<x") == read("0<x")


@given(LATEX)
@settings(max_examples=400, deadline=None)
def test_no_text_makes_reading_fail(text):
    assert read(text) is not None
    read_number(text)


@given(LATEX)
@settings(max_examples=200, deadline=None)
def test_an_answer_is_itself(text):
    assume(text.strip(" $"))
    assert judge(text, text, same=lambda *_: False, key=str).verdict is Verdict.CORRECT
