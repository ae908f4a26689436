"""The math grader against hand-made cases, and its worker pool against hangs, deaths and threads."""

import importlib.metadata
import json
import os
import runpy
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aer_openrlhf.rewards import grading
from aer_openrlhf.rewards.grading import Extracted, Verdict, extract_answer, grade, normalise

CASES = json.loads((Path(__file__).parent / "grading_cases.json").read_text())


# Compare functions for the workers, which import them from here.


def hang(gold: str, answer: str) -> Verdict:
    time.sleep(60)
    return Verdict.CORRECT


def die(gold: str, answer: str) -> Verdict:
    os._exit(3)


def take_memory(gold: str, answer: str) -> Verdict:
    return Verdict.CORRECT if bytearray(16 * 2**30) else Verdict.WRONG


@pytest.fixture
def empty_cache():
    grading._verdict_from_pool.cache_clear()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['gold']} vs {case['answer']}")
def test_verdict(case):
    assert grade(case["gold"], case["answer"]) is Verdict(case["verdict"]), case["why"]


@pytest.mark.parametrize(
    ("text", "answer", "rest"),
    [
        (r"so \boxed{5}.<eos>", "5", ".<eos>"),
        (r"\boxed{1} or rather \boxed{2}", "2", ""),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", ""),
        (r"\boxed {7}", "7", ""),
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
    ],
)
def test_no_answer_without_a_final_box(text):
    assert extract_answer(text) is None


def test_extraction_takes_linear_time():
    start = time.perf_counter()
    assert extract_answer(r"\boxed{" * 50_000) is None
    assert extract_answer(r"\boxed{" * 50_000 + "}" * 50_000) is not None
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["gold"])
def test_normalising_twice_changes_nothing(case):
    assert normalise(normalise(case["gold"])) == normalise(case["gold"])


def test_a_long_answer_is_not_read():
    assert grade("5", "," * 100_000 + "5") is Verdict.UNPARSED


def test_a_blank_reference_is_an_error():
    with pytest.raises(ValueError, match="blank"):
        grade(" $ $ ", "5")


def test_no_answer_is_executed(tmp_path):
    marker = tmp_path / "marker"
    for answer in (
        f"open('{marker}','w')",
        f"__import__('os').system('touch {marker}')",
        f"\\text{{open('{marker}','w')}}",
    ):
        assert grade("x^2", answer) in (Verdict.WRONG, Verdict.UNPARSED)
    assert not marker.exists()


def test_a_number_tower_is_killed_at_the_deadline():
    start = time.perf_counter()
    assert grade("1", "9^{9^{9^9}}", timeout=0.5) is Verdict.TIMEOUT  # inside C code: no signal handler would run
    assert time.perf_counter() - start < 4
    assert grade("x+1", "1+x") is Verdict.CORRECT


def test_a_hanging_comparison_is_killed_and_the_pool_goes_on(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(grading, "_compare", hang)
        assert grade("x", "x + hang", timeout=0.5) is Verdict.TIMEOUT
    assert grade("x+2", "2+x") is Verdict.CORRECT


@pytest.mark.parametrize("compare", [die, take_memory])
@pytest.mark.usefixtures("empty_cache")
def test_a_lost_worker_is_a_crash_and_the_pool_goes_on(monkeypatch, compare):
    with monkeypatch.context() as patch:
        patch.setattr(grading, "_compare", compare)
        assert grade("x+3", "3+x") is Verdict.CRASH
    assert grade("x+3", "3+x") is Verdict.CORRECT  # a crash is not remembered


def test_a_stopped_pool_is_replaced():
    assert grade("y+1", "1+y") is Verdict.CORRECT
    grading._pool().stop()
    assert grade("y+2", "2+y") is Verdict.CORRECT


def test_threads_share_the_pool():
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(lambda n: grade(f"z+{n}", f"{n % 10}+z"), range(20)))
    assert verdicts == [Verdict.CORRECT] * 10 + [Verdict.WRONG] * 10


def test_a_pair_is_compared_once(monkeypatch):
    assert grade("x+5", "5+x") is Verdict.CORRECT
    monkeypatch.setattr(grading, "_pool", lambda: pytest.fail("the verdict was not cached"))
    assert grade("x+5", " 5+x.") is Verdict.CORRECT  # the same normal form


def test_the_pool_starts_in_a_thread_and_ends_with_the_process():
    code = (
        "import threading\n"
        "from aer_openrlhf.rewards.grading import grade\n"
        "thread = threading.Thread(target=lambda: print(grade('x+1', '1+x').value))\n"
        "thread.start(); thread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("correct\n", "")


def test_another_antlr_runtime_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "4.11.0")
    with pytest.raises(ImportError, match=r"found 4\.11\.0: pip install 'math-verify\[antlr4_13_2\]'"):
        runpy.run_path(grading.__file__)
