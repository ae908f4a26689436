"""The grader against a hand-made corpus, and its verdicts and classes on whole responses."""

import json
from pathlib import Path

import pytest

from aer_eval.errors import UserError
from aer_eval.grading import grader
from aer_eval.grading.grader import GRADER_ID, compare, grade, grade_samples
from aer_eval.records import Grade, Problem, Verdict

CASES = json.loads((Path(__file__).parent / "cases" / "answers.json").read_text())
"""References, each with answers that are the same and answers that are not."""


def problem(answer: str, answer_type: str = "math") -> Problem:
    return Problem(id="p", problem="", answer=answer, answer_type=answer_type)


def graded(gold: str, text: str, finish_reason: str | None = "stop", answer_type: str = "math") -> Grade:
    (found,) = grade_samples([(problem(gold, answer_type), text, finish_reason)])
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["gold"])
def test_corpus(case):
    gold = case["gold"]
    same = compare([(gold, answer) for answer in (gold, *case["same"])])
    different = compare([(gold, answer) for answer in case["different"]])
    assert [found.verdict for found in same] == [Verdict.CORRECT] * len(same), same
    assert Verdict.CORRECT not in [found.verdict for found in different], different


@pytest.mark.parametrize(
    ("gold", "answer"),
    [("[2,5)", r"2\le x<5"), ("x=5", "5"), ("1,2", r"\{2,1\}"), (r"\frac12", "50\\%"), ("4x-5y=-50", "5y-4x=50")],
)
def test_both_ways_round(gold, answer):
    assert grade(gold, answer) is grade(answer, gold) is Verdict.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x+1", "|x+1|"),
        ("10-x", "|x-10|"),
        ("x-12", r"\sqrt{(x-12)^2}"),
        (r"(1,\infty)", r"\{x\in\mathbb{Z} \mid x>1\}"),
        ("21_3", "2(1_3)"),
    ],
)
def test_alike_in_part_is_not_the_same(gold, answer):
    assert grade(gold, answer) is not Verdict.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [("21_3", "(21)_3"), (r"\{x\in\mathbb{Z} \mid x>1\}", r"\{n\in\mathbb{Z} : 1<n\}"), ("|x-10|", "|10-x|")],
)
def test_the_same_in_other_words(gold, answer):
    assert grade(gold, answer) is Verdict.CORRECT


COPIES = (
    ("Factor $x^2-4$.", "(x-2)(x+2)", "x^2-4", "(x+2)(x-2)"),
    (r"Compute $\dbinom{31}{28}$.", "4495", r"\binom{31}{28}", "4495"),
    (r"Evaluate \[\tan 100^\circ+4\sin 100^\circ.\]", r"-\sqrt{3}", r"\tan 100^\circ + 4\sin 100^\circ", r"-\sqrt3"),
    (r"Let \(f(x)=\frac{x^2+x}{x}\). Simplify.", "x+1", r"\frac{x^2+x}{x}", "1+x"),
)


@pytest.mark.parametrize(("question", "gold", "copy", "answer"), COPIES)
def test_a_formula_of_the_question_is_no_answer_to_it(question, gold, copy, answer):
    asked = Problem(id="p", problem=question, answer=gold, answer_type="math")
    copied, answered = grade_samples([(asked, rf"\boxed{{{text}}}", "stop") for text in (copy, answer)])
    assert (copied.verdict, answered.verdict) == (Verdict.WRONG, Verdict.CORRECT)
    assert grade(gold, copy) is Verdict.CORRECT and grade(gold, copy, question) is Verdict.WRONG


@pytest.mark.parametrize(
    ("gold", "answer"),
    [(r"\frac{3}{4}\sqrt{2}", r"\dfrac34\sqrt2"), ("0.75", r"\frac{3}{4}"), ("[5,8]", r"5\le x\le 8"), ("5", "x=5")],
)
def test_an_answer_that_stands_in_the_question_as_it_is_remains_right(gold, answer):
    assert grade(gold, answer, f"Which one is it: ${answer}$ or $-({answer})$?") is Verdict.CORRECT


def test_the_right_hand_side_is_no_equation():
    assert grade("x^2+y=0", "0") is Verdict.WRONG
    assert grade("0", "x^2+y=0") is Verdict.WRONG


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("2(x+3)", r"\text{2x+3}"),
        ("2(x+3)", r"2x+3\text{.}"),
        ("(x+1)^2", r"\text{x+1^2}"),
        ("(a+b)c", r"\text{a+bc}"),
        ("(n+1)!", r"\text{n+1}"),
        ("|x-1|", r"\text{x-1}"),
        ("2^{x+1}", r"\text{2^x+1}"),
        ("2^{n}+1", r"2^{n+1}\text{.}"),
        (r"\frac{1}{23}", r"\frac{12}{3}\text{.}"),
        ("3.5", r"\text{3 5}"),
        ("0.25", r"025\text{?}"),
        ("-(x+1)", r"-x+1\text{!}"),
        (r"2(x+3)\text{ for }x>0", r"2x+3\text{ for }x>0"),
    ],
)
def test_the_same_letters_are_not_the_same_formula(gold, answer):
    assert grade(gold, answer) is not Verdict.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("2(x+3)", r"\text{2(x+3)}"),
        ("2(x+3)", r"\text{2x+6}"),
        ("ab+c", r"\text{ab+c}"),
        (r"\frac{1}{2}", r"\frac{2}{4}\text{.}"),
        ("(1,2)", r"\text{(1,2)}"),
        ("Bob", r"\text{Bob}"),
        (r"\text{Bob}", "Bob"),
        (r"11^{\text{th}}", "11^{th}"),
        (r"\text{June 20}", "June 20"),
        (r"5:21\textsc{pm}", r"5:21\text{ p.m.}"),
    ],
)
def test_a_formula_in_text_is_a_formula_and_words_are_words(gold, answer):
    assert grade(gold, answer) is Verdict.CORRECT


CHANGING_WORDS = (
    *("factorial", "squared", "cubed", "halves", "thirds", "fifth", "dozen", "dozen eggs", "million", "lakh"),
    *("plus four", "over two", "times ten", "radical two", "modulo four", "and a half", "to the fourth", "out of ten"),
)
UNITS = (
    *("square units", "cubic feet", "times", "times a week", "times as many", "quarters", "months", "roots"),
    *("squares", "fourth graders", "two-digit numbers", "children tickets", "points over par"),
)


@pytest.mark.parametrize("words", CHANGING_WORDS)
def test_words_that_change_the_value_are_no_unit(words):
    assert grade("5", f"5\\text{{ {words}}}") is Verdict.WRONG
    assert grade("5", f"\\text{{5 {words}}}") is Verdict.WRONG
    assert grade("5", f"5 {words}") is not Verdict.CORRECT


@pytest.mark.parametrize("words", UNITS)
def test_words_that_are_counted_are_a_unit(words):
    assert grade("5", f"5\\text{{ {words}}}") is Verdict.CORRECT


@pytest.mark.parametrize(
    "answer",
    ["2.2 million tons", r"2.2\text{ million}", r"2.2\text{ million tons}", r"2200\text{ thousand tons}"],
)
def test_a_scale_counts_with_a_unit_behind_it(answer):
    assert grade("2200000", answer) is Verdict.CORRECT
    assert grade("2.2", answer) is Verdict.WRONG


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        (r"\$5", "5 cents", Verdict.WRONG),
        ("5 cents", "$5", Verdict.WRONG),
        (r"\$5", "5 hours", Verdict.WRONG),
        (r"\$5", "5", Verdict.CORRECT),
        (r"\$5", r"5.00\text{ dollars}", Verdict.CORRECT),
        ("5 cents", "$5$", Verdict.CORRECT),  # delimiters of mathematics
        ("5", r"\$5", Verdict.CORRECT),
    ],
)
def test_a_dollar_sign_is_a_unit(gold, answer, verdict):
    assert grade(gold, answer) is verdict


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("5", r"5 \pmod 7", Verdict.CORRECT),
        ("5", r"x \equiv 5\pmod{7}", Verdict.CORRECT),
        ("5", r"5\text{ (mod }7)", Verdict.CORRECT),
        ("5", r"6\pmod 7", Verdict.WRONG),
        ("5", r"x\equiv 5\pmod 7, x\equiv 6\pmod 7", Verdict.WRONG),
        (r"5\pmod 7", r"5\bmod 7", Verdict.CORRECT),
        (r"5\pmod 7", r"x\equiv5 \mod{7}", Verdict.CORRECT),
        (r"5\pmod 7", r"5\pmod 8", Verdict.WRONG),
        (r"5\pmod 7", "5", Verdict.WRONG),
        (r"5\pmod 7", "5-7od, 5+7od", Verdict.WRONG),
        (r"n \equiv 0,2(\bmod 6)", r"2, 0 \pmod 6", Verdict.CORRECT),
        (r"n=1 \text{ or } n\equiv 2\pmod{4}", r"n\equiv 2\pmod4 \text{ or } n=1", Verdict.CORRECT),
    ],
)
def test_a_modulus(gold, answer, verdict):
    assert grade(gold, answer) is verdict


@pytest.mark.parametrize("answer", ["5|", r"\frac{1}{", r"\unknown{5}", "," * 100_000 + "5", "x'"])
def test_unparsed(answer):
    assert grade("5", answer) is Verdict.UNPARSED


def test_a_blank_reference_is_an_error():
    with pytest.raises(ValueError, match="blank"):
        grade(" $ $ ", "5")


def test_a_pair_is_compared_once(monkeypatch):
    assert grade("x+5", "5+x") is Verdict.CORRECT
    monkeypatch.setattr(grader, "run_all", lambda *_: pytest.fail("the verdict was not remembered") if _[1] else ())
    assert grade("x+5", "5+x") is Verdict.CORRECT


def test_a_crash_is_not_remembered(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(grader, "run_all", lambda function, tasks, timeout: [grader.Lost("died") for _ in tasks])
        assert grade("x+6", "6+x") is Verdict.CRASH
    assert grade("x+6", "6+x") is Verdict.CORRECT


@pytest.mark.parametrize(
    ("text", "finish_reason", "verdict"),
    [
        (r"It is \boxed{5}.", "stop", Verdict.CORRECT),
        (r"It is \boxed{5}. And so on", "length", Verdict.CORRECT),
        (r"It is \boxed{6}", "length", Verdict.WRONG),
        ("It is 5", "stop", Verdict.NO_ANSWER),
        ("It is 5", None, Verdict.NO_ANSWER),
        (r"It is \boxed{5", "length", Verdict.TRUNCATED),
        (r"<think>\boxed{5}, but wait", "length", Verdict.TRUNCATED),
        (r"<think>\boxed{5}</think> Done.", "stop", Verdict.NO_ANSWER),
    ],
)
def test_verdict_on_a_response(text, finish_reason, verdict):
    assert graded("5", text, finish_reason).verdict is verdict


@pytest.mark.parametrize(
    "answer",
    [
        "73",
        "073",
        "73.0",
        "73.",
        r"73^\circ",
        "m+n=73",
        "m+n = 64+9 = 73",
        "x^2+1=73",
        "73=m",
        "64+9 = 73 = m",
        "m+n = 1{,}000-927 = 73",
        r"\text{Area} = 73\text{ square units}",
        r"p \equiv 73 \pmod{100}",
        r"\text{73}",
        r"\textbf{73}",
        r"\mathbf{73}",
        "**73**",
        "$73$",
        r"\frac{146}{2}",
        "64+9",
        "73 \\text{ degrees}",
    ],
)
def test_integer_answers(answer):
    assert graded("73", f"So \\boxed{{{answer}}}", answer_type="integer").verdict is Verdict.CORRECT


@pytest.mark.parametrize(
    "answer",
    [
        *("37", "173", "73.5", "-73", "73x", "7,3", "m+n=74", "74=m", "73!", "7 3"),
        *(r"n\ne73", r"n\not=73", "n!=73", r"m\ne 72, m=73", "72, m=73", "m=72, n=73", "x_1=73, x_2=73"),
        *("n>=73", "n<=73", r"72\le n=73", r"n=73 \text{ or } 74"),
    ],
)
def test_wrong_integer_answers(answer):
    assert graded("73", f"So \\boxed{{{answer}}}", answer_type="integer").verdict is not Verdict.CORRECT


def test_commas_in_large_integers():
    for answer in ("12,345", "m+n=12,345", "m+n = 11,345+1{,}000 = 12,345"):
        assert graded("12345", f"\\boxed{{{answer}}}", answer_type="integer").verdict is Verdict.CORRECT


def test_extracted_is_what_stands_in_the_response():
    assert graded("73", r"\boxed{m+n = 073}", answer_type="integer").extracted == "m+n = 073"
    assert graded("73", "none") == Grade(Verdict.NO_ANSWER, None, None)


def classes(gold: str, *answers: str) -> list[str | None]:
    samples = [(problem(gold), f"\\boxed{{{answer}}}", "stop") for answer in answers]
    return [found.answer_class for found in grade_samples(samples)]


def test_right_answers_share_the_class_of_the_reference():
    assert classes(r"\frac{1}{2}", "0.5", r"\frac12", "1/2", r"50\%", r"\sin 30^\circ") == [r"\frac{1}{2}"] * 5


def test_equal_wrong_answers_share_a_class():
    half = classes("7", "0.5", r"\frac12", "1/2", "x=1/2", r"\cos 60^\circ")
    root = classes("7", r"\sqrt2", r"2^{1/2}", r"\frac{2}{\sqrt{2}}")
    lists = classes("7", "1,2", r"\{2,1\}", r"1\text{ and }2")
    polynomials = classes("7", "(x+1)^2", "x^2+2x+1", "1+2x+x^2")
    words = classes("7", r"\text{Monday}", "monday")
    residues = classes("7", r"x\equiv 5\pmod 9", r"5\bmod{9}")
    groups = [half, root, lists, polynomials, words, residues]
    assert [len(set(group)) for group in groups] == [1] * 6
    assert len(set().union(*groups)) == 6


def test_a_wrong_answer_never_has_the_class_of_the_reference():
    right, wrong = classes("5", "5", "2x=5")
    assert (right, right == wrong) == ("5", False)


def test_samples_of_many_kinds_keep_their_order():
    samples = [
        (problem("5"), r"\boxed{5}", "stop"),
        (problem("57", "make_n"), "18+39", "stop"),
        (problem("5"), "none", "stop"),
        (problem("x+1"), r"\boxed{1+x}", "stop"),
        (problem("[[3, 4, 5], 17]", "countdown3"), "3*4+5", "length"),
        (problem("5"), r"\boxed{6}", "stop"),
    ]
    assert [found.verdict.value for found in grade_samples(samples)] == [
        "correct",
        "correct",
        "no_answer",
        "correct",
        "truncated",
        "wrong",
    ]
    assert grade_samples([]) == []


def test_another_antlr_runtime_is_refused(monkeypatch):
    monkeypatch.setitem(grader.GRADER_VERSIONS, "antlr4-python3-runtime", "4.11.0")
    with pytest.raises(UserError, match=r"found 4\.11\.0: pip install 'math-verify\[antlr4_13_2\]'"):
        grade("5", "5")


def test_the_grader_is_named_by_its_versions(monkeypatch):
    assert grader._grader_id() == GRADER_ID
    monkeypatch.setitem(grader.GRADER_VERSIONS, "sympy", "0.0")
    assert grader._grader_id() != GRADER_ID
    assert GRADER_ID.replace(".", "").replace("-", "").isalnum()  # a file name
