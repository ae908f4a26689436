"""Answers that were written to hang, crash or take over a grader."""

import time

import pytest

from aer_eval.grading.audit import audit
from aer_eval.grading.grader import compare, grade_samples
from aer_eval.records import Problem, Verdict

PROBLEM = Problem("p", "", "x^2+1", "math")
MARKER = "MARKER"
"""Stands for the path of a file that must not appear."""

HOSTILE = [
    "9^{9^{9^9}}",
    "2^{2^{2^{2^{2^{2}}}}}",
    "(((9^9)^9)^9)^9",
    "10^{10^{10}}",
    "-9^{9^{9^{9}}} + 9^{9^{9^9}}",
    "99999999!",
    "((9!)!)!",
    "5" + "!" * 40,
    r"\binom{10^9}{5 \cdot 10^8}",
    "9" * 1_000_000,
    "0." + "3" * 1_900,
    "7" * 1_900 + r"\sqrt{2}",
    "1e999999999",
    r"10^{-999999999}",
    r"\frac{1}{10^{999999999}}",
    "(" * 1_900,
    "(" * 900 + "1" + ")" * 900,
    r"\sqrt{" * 250 + "2" + "}" * 250,
    r"\frac{1}{" * 200 + "2" + "}" * 200,
    "x" + "^{x" * 300 + "}" * 300,
    r"\frac{1}{2",
    "}" * 1_000,
    "{" * 1_000,
    r"\left(" * 300,
    r"\begin{pmatrix}" + (r"1 & " * 20 + r"1 \\ ") * 20 + r"\end{pmatrix}",
    r"\begin{pmatrix}" * 100,
    r"\det\begin{pmatrix}" + (r"x & " * 12 + r"y \\ ") * 13 + r"\end{pmatrix}",
    "(x+y+z+w)^{1000}",
    "(x+1)^{99999999}",
    r"\sum_{n=1}^{999999999} \frac{1}{n^3}",
    r"\prod_{n=1}^{999999} n^n",
    r"\int_0^{1} e^{e^{e^{x^{x}}}} dx",
    r"\lim_{x\to\infty} \frac{x^{x^x}}{x!}",
    "1," * 900 + "1",
    "__import__('os').system('touch MARKER')",
    "open('MARKER','w')",
    r"\text{open('MARKER','w')}",
    "().__class__.__bases__[0].__subclasses__()",
    "exec(\"open('MARKER','w')\")",
    "x\x00y",
    "\x00" * 1_000,
    "\ud800",  # half a character
    "\u202e5\u202c" + "\U0001d7d3" * 50,
    "5" + " " * 100_000 + "6",
    "a" * 1_000_000,
    r"\text{" * 200,
    "=" * 1_000,
    "x=" * 500 + "1",
    r"\pm" * 500 + "1",
]


def test_there_are_at_least_forty():
    assert len(set(HOSTILE)) >= 40


def test_nothing_hangs_crashes_or_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answers = [answer.replace(MARKER, str(tmp_path / "marker")) for answer in HOSTILE]
    start = time.perf_counter()
    found = compare([(PROBLEM.answer, answer) for answer in answers], timeout=0.5)
    assert time.perf_counter() - start < 120
    assert Verdict.CORRECT not in [judgement.verdict for judgement in found]
    assert list(tmp_path.iterdir()) == []
    assert compare([("x^2+1", "1+x^2")])[0].verdict is Verdict.CORRECT


@pytest.mark.parametrize("gold", ["5", "(1,2)", r"\text{Monday}", "2112_6"])
def test_long_ones_against_other_references(gold):
    found = compare([(gold, answer) for answer in HOSTILE if len(answer) > 1_000], timeout=1.0)
    assert Verdict.CORRECT not in [judgement.verdict for judgement in found]


def test_a_response_that_ends_in_one_is_graded_and_audited():
    samples = [
        (PROBLEM, f"\\boxed{{{answer}}}", "stop") for answer in HOSTILE if answer.count("{") == answer.count("}")
    ]
    grades = grade_samples(samples)
    assert len(grades) == len(samples)
    assert Verdict.CORRECT not in [grade.verdict for grade in grades]
    assert all(len(grade.answer_class or "") < 5_000 for grade in grades)
    assert audit([PROBLEM] * len(grades), grades) == []
