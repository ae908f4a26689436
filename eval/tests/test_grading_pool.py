"""The worker pool against hangs, deaths, greed and threads."""

import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from aer_eval.grading import pool
from aer_eval.grading.grader import compare, grade
from aer_eval.grading.pool import Lost, run_all
from aer_eval.records import Verdict

# What the workers run; they import it from here.


def double(number: int) -> int:
    return 2 * number


def hang(number: int) -> int:
    while True:
        time.sleep(1)


def die(number: int) -> int:
    os._exit(3)


def allocate(number: int) -> int:
    return len(bytearray(number))


def address_space(number: int) -> int:
    return resource.getrlimit(resource.RLIMIT_AS)[0]


def test_results_come_in_order():
    assert list(run_all(double, [(number,) for number in range(20)], 10)) == [2 * number for number in range(20)]


def test_a_hanging_worker_is_killed_and_the_others_go_on():
    start = time.perf_counter()
    (found,) = run_all(hang, [(1,)], 0.5)
    assert isinstance(found, TimeoutError)
    assert time.perf_counter() - start < 10
    assert list(run_all(double, [(4,)], 10)) == [8]


def test_a_number_tower_is_killed_inside_c_code():
    start = time.perf_counter()
    (found,) = compare([("1", "9^{9^{9^9}}")], timeout=0.5)  # no signal handler would run
    assert found.verdict in (Verdict.TIMEOUT, Verdict.CRASH)
    assert time.perf_counter() - start < 10


def test_a_dead_worker_and_a_greedy_one_lose_only_their_own_task():
    (dead,) = run_all(die, [(1,)], 10)
    (greedy,) = run_all(allocate, [(2 * 2**30,)], 10)
    assert isinstance(dead, Lost)
    assert isinstance(greedy, Lost)
    assert list(run_all(double, [(4,)], 10)) == [8]


def test_a_worker_has_less_than_two_gibibytes():
    (limit,) = run_all(address_space, [(1,)], 10)
    assert 2**30 <= limit < 2 * 2**30


def test_one_hanging_answer_of_a_chunk_costs_only_itself():
    answers = ["1+x", "9^{9^{9^9}}", "x+2", "x+1"]
    found = compare([("x+1", answer) for answer in answers], timeout=2)
    assert [judgement.verdict for judgement in found][::2] == [Verdict.CORRECT, Verdict.WRONG]
    assert found[1].verdict in (Verdict.TIMEOUT, Verdict.CRASH)


def test_a_stopped_pool_is_replaced():
    assert grade("y+1", "1+y") is Verdict.CORRECT
    pool._pool().stop()
    assert grade("y+2", "2+y") is Verdict.CORRECT


def test_threads_share_the_pool():
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(lambda n: grade(f"z+{n}", f"{n % 10}+z"), range(20)))
    assert verdicts == [Verdict.CORRECT] * 10 + [Verdict.WRONG] * 10


def test_the_pool_starts_in_a_thread_and_ends_with_the_process():
    code = (
        "import threading\n"
        "from aer_eval.grading.grader import grade\n"
        "thread = threading.Thread(target=lambda: print(grade('x+1', '1+x').value))\n"
        "thread.start(); thread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("correct\n", "")


def test_neither_import_nor_plain_numbers_need_sympy():
    code = "import sys\nfrom aer_eval.grading.grader import grade\ngrade('5', '6')\nassert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], timeout=120, check=True)
