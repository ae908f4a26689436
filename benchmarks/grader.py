r"""How right and how fast the grader is, beside math-verify alone and lm-eval.

python benchmarks/grader.py --cases cases.jsonl --solutions math500.jsonl [--lm-eval 1000] [--json]

--cases: JSON lines with gold, answer, kind and expected (true: the same answer). --solutions: JSON lines with answer
and solution, a worked solution that ends in \boxed{}; MATH-500 as published. From the latter come the share of
solutions that are graded as right when they are given as model output, whole and cut at 70 %, and the speed: 128
responses to each problem, right ones in several spellings and wrong ones with the skewed spread of real samples.
"Cut at 70 %" is 70 % of the text in front of the first box.
lm-eval grades a random part of 64 responses to each problem with the same process; its time is scaled up.

Seconds are wall time of this process with the grader's usual workers, CPU seconds those of all of them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from aer_eval.grading import grader
from aer_eval.records import Problem, Verdict

Samples = list[tuple[Problem, str, str]]
SAMPLES = 128
LM_EVAL_SAMPLES = 64
CUT = 0.7


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Wall and CPU seconds of a block, those of its workers included."""
    seconds: dict[str, float] = {}
    before, start = cpu_seconds(), time.perf_counter()
    yield seconds
    seconds["wall_s"] = time.perf_counter() - start
    seconds["cpu_s"] = cpu_seconds() - before


def cpu_seconds() -> float:
    """Of this process and all below it, those included that have ended."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in [me, *me.children(recursive=True)])


# --- accuracy -----------------------------------------------------------------------------------------------------


def case_shares(cases: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each kind of case, the share with the expected verdict, by this grader and by math-verify alone."""
    with timed() as seconds:
        ours = [
            found.verdict is Verdict.CORRECT for found in grader.compare([(c["gold"], c["answer"]) for c in cases])
        ]
    alone = [math_verify_alone(case["gold"], case["answer"]) for case in cases]
    rows: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys((case["kind"], case["expected"]) for case in cases):
        picked = [i for i, case in enumerate(cases) if (case["kind"], case["expected"]) == kind]
        rows[f"{kind[0]} {'accepted' if kind[1] else 'rejected'}"] = {
            "cases": len(picked),
            "aer_eval": sum(ours[i] == kind[1] for i in picked) / len(picked),
            "math_verify": sum(alone[i] == kind[1] for i in picked) / len(picked),
        }
    return rows | {"seconds": dict(seconds)}


def math_verify_alone(gold: str, answer: str) -> bool:
    from math_verify import parse, verify

    return bool(verify(parse(f"\\boxed{{{gold}}}"), parse(f"\\boxed{{{answer}}}")))


def solution_shares(solutions: list[dict[str, Any]]) -> dict[str, float]:
    """Share of reference solutions graded as right, whole and cut."""
    problems = [as_problem(number, row) for number, row in enumerate(solutions)]
    shares = {}
    for name in ("whole", "cut"):
        texts = [row["solution"] if name == "whole" else cut(row["solution"]) for row in solutions]
        grades = grader.grade_samples([(p, t, "stop") for p, t in zip(problems, texts, strict=True)])
        shares[name] = sum(grade.verdict is Verdict.CORRECT for grade in grades) / len(grades)
    return shares


def cut(solution: str) -> str:
    return solution[: int(CUT * solution.find(r"\boxed"))]


def as_problem(number: int, row: dict[str, Any]) -> Problem:
    return Problem(id=str(number), problem=row["problem"], answer=row["answer"], answer_type="math")


# --- speed --------------------------------------------------------------------------------------------------------

SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda gold: gold,
    lambda gold: gold,
    lambda gold: gold + ".",
    lambda gold: gold.replace(r"\frac", r"\dfrac"),
    lambda gold: gold.replace(" ", ""),
    lambda gold: rf"\text{{{gold}}}" if gold.isdigit() else rf"\left({gold}\right)",
    lambda gold: "x = " + gold,
)


def responses(solutions: list[dict[str, Any]], samples: int, rng: random.Random) -> Samples:
    """Made-up responses: worked solutions with another answer in the box, as often right as a mid-size model's."""
    answers = [row["answer"] for row in solutions]
    made: Samples = []
    for number, row in enumerate(solutions):
        right_share = rng.betavariate(0.8, 0.6)
        wrong = [mutated(row["answer"], rng) for _ in range(24)] + rng.sample(answers, 24)
        weights = [1 / rank for rank in range(1, len(wrong) + 1)]
        head = row["solution"][: row["solution"].rfind(r"\boxed")]
        for _ in range(samples):
            right = rng.random() < right_share
            answer = rng.choice(SPELLINGS)(row["answer"]) if right else rng.choices(wrong, weights)[0]
            made.append((as_problem(number, row), f"{head}\\boxed{{{answer}}}.", "stop"))
    return made


def mutated(answer: str, rng: random.Random) -> str:
    """The answer with one of its numbers changed."""
    numbers = list(re.finditer(r"\d+", answer))
    if not numbers:
        return f"{answer} + {rng.randint(1, 40)}"
    chosen = rng.choice(numbers)
    changed = str(abs(int(chosen[0]) + rng.choice((-9, -4, -3, -2, -1, 1, 2, 3, 5, 10, 12, 20, 50))))
    return answer[: chosen.start()] + changed + answer[chosen.end() :]


def speed(samples: Samples) -> dict[str, Any]:
    grader._remembered.clear()
    with timed() as seconds:
        grades = grader.grade_samples(samples)
    distinct = len({(problem.id, grade.extracted) for (problem, _, _), grade in zip(samples, grades, strict=True)})
    verdicts = dict(Counter(grade.verdict.value for grade in grades))
    return {"samples": len(samples), "distinct": distinct, "verdicts": verdicts} | seconds


def lm_eval_speed(solutions: list[dict[str, Any]], samples: Samples, part: int, rng: random.Random) -> dict[str, Any]:
    """Seconds that lm-eval's own graders of MATH would take for all samples, from a random part of them."""
    picked = rng.sample(samples, part)
    rows: dict[str, Any] = {}
    with antlr_called_4_11():
        try:
            from lm_eval.tasks.hendrycks_math import utils as hendrycks
            from lm_eval.tasks.minerva_math import utils as minerva
        except ModuleNotFoundError as error:
            sys.exit(f"--lm-eval needs lm-eval: pip install lm-eval ({error})")
        for name, task in (("hendrycks_math", hendrycks), ("minerva_math", minerva)):
            start = time.perf_counter()
            for problem, text, _ in picked:
                task.process_results(solutions[int(problem.id)], [text])
            rows[name] = (time.perf_counter() - start) * len(samples) / part
    return rows


@contextmanager
def antlr_called_4_11() -> Iterator[None]:
    """minerva_math and the sympy parser that it calls refuse antlr 4.13, with which they run as well."""
    installed = importlib.metadata.version
    importlib.metadata.version = lambda name: "4.11" if name.startswith("antlr4") else installed(name)
    try:
        yield
    finally:
        importlib.metadata.version = installed


# --- report -------------------------------------------------------------------------------------------------------


def print_tables(figures: dict[str, Any]) -> None:
    cases = figures.get("cases", {})
    if cases:
        print(f"{'cases':24s} {'number':>7s} {'aer_eval':>9s} {'math-verify alone':>18s}")
    for kind, row in cases.items():
        if kind != "seconds":
            print(f"{kind:24s} {row['cases']:7d} {row['aer_eval']:9.2%} {row['math_verify']:18.2%}")
    if "solutions" in figures:
        print(
            "\nreference solutions as output: {whole:.2%} correct; cut at 70 %: {cut:.2%}".format(
                **figures["solutions"]
            )
        )
        row = figures["speed"]
        print(f"{row['samples']} samples, {row['distinct']} distinct: {row['wall_s']:.1f} s, {row['cpu_s']:.1f} CPU s")
    if "lm_eval" in figures:
        rows = figures["lm_eval"]
        print(f"\n{'grading of 64 samples a problem':34s} {'seconds':>9s} {'of aer_eval':>12s}")
        for name, seconds in rows.items():
            print(f"{name:34s} {seconds:9.1f} {seconds / rows['aer_eval']:11.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, help="JSON lines with gold, answer, kind, expected")
    parser.add_argument("--solutions", type=Path, help="JSON lines with problem, answer, solution")
    parser.add_argument("--lm-eval", type=int, metavar="N", help="also let lm-eval grade N of the responses")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # math-verify's, on each of its timeouts
    figures: dict[str, Any] = defaultdict(dict, grader=grader.GRADER_ID)
    if args.cases:
        figures["cases"] = case_shares(read(args.cases))
    if args.solutions:
        solutions = read(args.solutions)
        figures["solutions"] = solution_shares(solutions)
        figures["speed"] = speed(responses(solutions, SAMPLES, random.Random(0)))
    if args.solutions and args.lm_eval:
        samples = responses(solutions, LM_EVAL_SAMPLES, random.Random(1))
        figures["lm_eval"] = {"aer_eval": speed(samples)["wall_s"]}
        figures["lm_eval"] |= lm_eval_speed(solutions, samples, args.lm_eval, random.Random(2))
    if args.json:
        print(json.dumps(figures))
    else:
        print_tables(figures)


if __name__ == "__main__":
    main()
