"""The demo tasks: random problems, a split that never leaks, and the JSONL file that OpenRLHF trains on.

All have exact rewards and several right answers per prompt, so that exploration and accuracy do not conflict:

* ``countdown``: ``"abc ttt="``; right is any expression that uses the digits a, b, c once each, with two of
  ``+ - *``, and has the value ttt.
* ``make_n``: ``"057="``; right is any sum ``aa+bb`` of two zero-padded two-digit numbers with that value.
* ``swap_sort``: ``"513246="``; right is any way to sort the row by exchanging neighbours in the wrong order, with the
  row written down after every exchange: ``153246 135246 132546 ...``. Long answers, from easy to hard.

As a command it writes training problems: ``python examples/quickstart/tasks.py --count 4000 --out FILE.jsonl``.
"""

import argparse
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Literal

from aer_eval.grading.swap_sort import exchanges
from aer_openrlhf.rewards import countdown, make_n, swap_sort

EOS = "<eos>"
ROW_LENGTH = 6  # of swap_sort
MAX_EXCHANGES = ROW_LENGTH * (ROW_LENGTH - 1) // 2  # it takes so many to turn a row round
HELD_OUT_SHARE = 0.2  # of all problems of a task; fixed, so that every run is evaluated on problems no run trains on
Split = Literal["train", "held_out"]


@dataclass(frozen=True)
class Problem:
    """One prompt, its label for the reward, and one random right answer for the supervised warm-up."""

    prompt: str
    label: str
    answer: str
    key: str
    """What makes two prompts the same problem (the order of countdown's digits does not): the split goes by it."""


@dataclass(frozen=True)
class Task:
    """A demo task: how to draw a problem, and the reward module whose ``is_correct`` grades a response."""

    name: str
    draw: Callable[[random.Random], Problem]
    is_correct: Callable[[str, str], bool]
    reward_file: str
    """Path of the reward module, as ``--reward.remote_url`` takes it."""
    max_new_tokens: int
    """The longest right answer: its characters and <eos>."""
    draw_warm_up: Callable[[random.Random], Problem] | None = None
    """How the supervised warm-up draws, where not as the training does."""


def draw_countdown(rng: random.Random) -> Problem:
    """Draw three digits 1-9 and two operators; the value, if it is 0..999, is the target."""
    while True:
        digits = [rng.randint(1, 9) for _ in range(3)]
        a, b, c = rng.sample(digits, 3)
        expression = f"{a}{rng.choice('+-*')}{b}{rng.choice('+-*')}{c}"
        target = eval(expression)  # made of three digits and two operators, by the line above
        if 0 <= target <= 999:
            return Problem(
                prompt=f"{''.join(map(str, digits))} {target:03d}=",
                label=json.dumps([digits, target]),
                answer=expression + EOS,
                key=f"countdown {sorted(digits)} {target}",
            )


def draw_make_n(rng: random.Random) -> Problem:
    """Draw two numbers 0-99; their sum is the target."""
    a, b = rng.randrange(100), rng.randrange(100)
    total = a + b
    return Problem(prompt=f"{total:03d}=", label=str(total), answer=f"{a:02d}+{b:02d}{EOS}", key=f"make_n {total}")


def draw_swap_sort(rng: random.Random) -> Problem:
    """Draw six digits that are sorted by one to fifteen exchanges, every number of them equally often."""
    return swap_sort_problem(rng, rng.randint(1, MAX_EXCHANGES))


def draw_easy_swap_sort(rng: random.Random) -> Problem:
    """The easiest of three draws: a model warmed up on these solves some problems always and others never."""
    return swap_sort_problem(rng, min(rng.randint(1, MAX_EXCHANGES) for _ in range(3)))


def swap_sort_problem(rng: random.Random, num_exchanges: int) -> Problem:
    """Take a sorted row apart by so many exchanges, and sort it again on a random way."""
    row = "".join(sorted(rng.sample("123456789", ROW_LENGTH)))
    for _ in range(num_exchanges):
        row = rng.choice(exchanges(row[::-1]))[::-1]  # what stands in order is in the wrong order from behind
    way = [row]
    while possible := exchanges(way[-1]):
        way.append(rng.choice(possible))
    return Problem(prompt=f"{row}=", label=row, answer=" ".join(way[1:]) + EOS, key=f"swap_sort {row}")


TASKS: dict[str, Task] = {
    "countdown": Task("countdown", draw_countdown, countdown.is_correct, str(countdown.__file__), 6),
    "make_n": Task("make_n", draw_make_n, make_n.is_correct, str(make_n.__file__), 6),
    "swap_sort": Task(
        "swap_sort",
        draw_swap_sort,
        swap_sort.is_correct,
        str(swap_sort.__file__),
        (ROW_LENGTH + 1) * MAX_EXCHANGES,
        draw_easy_swap_sort,
    ),
}


def without_end(task: Task) -> Task:
    """The task judged by its answer alone, whatever follows it; for tasks whose answers all have one length."""
    return replace(
        task,
        is_correct=lambda response, label: task.is_correct(response + EOS, label),
        max_new_tokens=task.max_new_tokens - 1,
    )


@cache
def is_held_out(key: str) -> bool:
    """Whether a problem belongs to the evaluation: a hash of its key decides, whatever the seed of the run."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def draw_from(task: Task, split: Split, rng: random.Random) -> Problem:
    """Draw one problem of the given split."""
    while True:
        problem = task.draw(rng)
        if is_held_out(problem.key) == (split == "held_out"):
            return problem


def train_problems(task: Task, count: int, seed: int) -> list[Problem]:
    """Draw ``count`` training problems; the same one may come back, as in any task with a finite problem space."""
    rng = random.Random(f"{task.name} train {seed}")
    return [draw_from(task, "train", rng) for _ in range(count)]


def train_problems_from(path: Path, count: int, seed: int) -> list[Problem]:
    """Draw ``count`` of the problems in a JSONL file; each comes once before any comes again.

    Raises:
        OSError, ValueError, KeyError: no such file, not JSON, no ``prompt`` or ``label``, or no line at all.
    """
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    problems = [Problem(row["prompt"], row["label"], answer="", key="") for row in rows]
    if not problems:
        raise ValueError("no line in it")
    rng = random.Random(f"{path.name} {seed}")
    rounds = (rng.sample(problems, len(problems)) for _ in range(-(-count // len(problems))))
    return list(chain.from_iterable(rounds))[:count]


def held_out_problems(task: Task, count: int, seed: int) -> list[Problem]:
    """Draw up to ``count`` distinct held-out prompts, fewer if the task has fewer."""
    rng = random.Random(f"{task.name} held out {seed}")
    problems: dict[str, Problem] = {}
    for _ in range(30 * count):  # enough to meet nearly every held-out prompt of a small task
        if len(problems) == count:
            break
        problem = draw_from(task, "held_out", rng)
        problems.setdefault(problem.prompt, problem)
    return list(problems.values())


def write_jsonl(problems: list[Problem], path: Path) -> None:
    """Write ``{"prompt", "label"}`` lines, the form OpenRLHF reads with its input and label keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"prompt": problem.prompt, "label": problem.label}) for problem in problems)
    path.write_text("".join(line + "\n" for line in lines))


def main() -> None:
    """Write training problems of one task, to split them by difficulty, say."""
    parser = argparse.ArgumentParser(description="training problems of a demo task as JSONL")
    parser.add_argument("--task", choices=sorted(TASKS), default="countdown", help="demo task")
    parser.add_argument("--count", type=int, required=True, help="how many to draw; none is written twice")
    parser.add_argument("--seed", type=int, default=0, help="seed of the problems")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    problems = {problem.prompt: problem for problem in train_problems(TASKS[args.task], args.count, args.seed)}
    write_jsonl(list(problems.values()), args.out)
    print(f"wrote {len(problems)} different problems to {args.out}")


if __name__ == "__main__":
    main()
