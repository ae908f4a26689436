"""The two demo tasks: random problems, a split that never leaks, and the JSONL file that OpenRLHF trains on.

Both tasks have exact rewards and several right answers per prompt, so that exploration and accuracy do not conflict:

* ``countdown``: ``"abc ttt="``; right is any expression that uses the digits a, b, c once each, with two of
  ``+ - *``, and has the value ttt.
* ``make_n``: ``"057="``; right is any sum ``aa+bb`` of two zero-padded two-digit numbers with that value.
"""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from aer_openrlhf.rewards import countdown, make_n

EOS = "<eos>"
MAX_NEW_TOKENS = 6  # five characters and <eos>: the longest right answer of either task
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


TASKS: dict[str, Task] = {
    "countdown": Task("countdown", draw_countdown, countdown.is_correct, str(countdown.__file__)),
    "make_n": Task("make_n", draw_make_n, make_n.is_correct, str(make_n.__file__)),
}


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
