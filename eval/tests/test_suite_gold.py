"""References: cutting, one spelling, and the checksum of a suite."""

import hashlib
from dataclasses import replace

import pytest

from aer_eval.records import AnswerType, Problem
from aer_eval.suites.gold import checksum, cut_answer, normalise_gold
from aer_eval.suites.schema import AnswerCut


@pytest.mark.parametrize(
    ("text", "cut", "answer"),
    [
        ("48/2 = 24 clips, <<48+24=72>>72.\n#### 72", "after_hashes", " 72"),
        ("72", "after_hashes", "72"),
        (r"First \boxed{1}, then $\boxed{\frac{1}{2}}$.", "last_box", r"\frac{1}{2}"),
        (r"\fbox{7}", "last_box", "7"),
        ("no box", "last_box", None),
        (r"cut off \boxed{\frac{1}{2}", "last_box", None),
        (r"\boxed{1} #### 2", "whole", r"\boxed{1} #### 2"),
    ],
)
def test_the_reference_is_cut_out_of_its_field(text: str, cut: AnswerCut, answer: str | None) -> None:
    assert cut_answer(text, cut) == answer


@pytest.mark.parametrize(
    ("text", "answer_type", "gold"),
    [
        ("025", "integer", "25"),
        ("000", "integer", "0"),
        ("27.0", "integer", "27"),
        (r"336^\circ", "integer", "336"),
        ("$-1$", "integer", "-1"),
        (" 70,000 ", "integer", "70000"),
        ("057", "make_n", "57"),
        ("3142", "swap_sort", "3142"),
        (r" \frac{1}{2} ", "math", r"\frac{1}{2}"),
        ("$69$,$84$", "math", "69,84"),
        (r"\$40", "math", r"\$40"),
        ("0.50", "math", "0.50"),
        ("[[1,2,3],  6]", "countdown3", "[[1, 2, 3], 6]"),
    ],
)
def test_a_reference_has_one_spelling(text: str, answer_type: AnswerType, gold: str) -> None:
    assert normalise_gold(text, answer_type) == gold


@pytest.mark.parametrize(
    ("text", "answer_type"),
    [
        ("  ", "math"),
        ("$$", "integer"),
        ("27.5", "integer"),
        ("x + 1", "integer"),
        ("3 or 4", "make_n"),
        ("4 2 1", "swap_sort"),
        ("6", "countdown3"),
        ("[[1, 2], 6]", "countdown3"),
        ("[[1, 2, 3], null]", "countdown3"),
    ],
)
def test_what_is_no_reference_is_refused(text: str, answer_type: AnswerType) -> None:
    with pytest.raises(ValueError):
        normalise_gold(text, answer_type)


FIRST = Problem("a", "What is $1 + 1$?", "2", "integer", {"level": "1"})
SECOND = Problem("b", "What is $\\frac{1}{2}$?", "\\frac{1}{2}", "math")


def test_the_checksum_is_that_of_the_sorted_texts_without_white_space() -> None:
    pairs = '[["Whatis$1+1$?", "2"], ["Whatis$\\\\frac{1}{2}$?", "\\\\frac{1}{2}"]]'
    assert checksum([SECOND, FIRST]) == hashlib.sha256(pairs.encode()).hexdigest()


def test_the_checksum_depends_on_texts_and_answers_alone() -> None:
    same = replace(FIRST, id="other", problem="What  is\n$1+1$ ?", metadata={"url": "u"})
    assert checksum([same, SECOND]) == checksum([SECOND, FIRST])
    assert checksum([replace(FIRST, answer="3"), SECOND]) != checksum([FIRST, SECOND])
    assert checksum([replace(FIRST, problem="What is $1 - 1$?"), SECOND]) != checksum([FIRST, SECOND])
    assert checksum([FIRST]) != checksum([FIRST, FIRST])
