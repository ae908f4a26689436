"""How often a model solves each prompt of a training set, and the set split by it.

Samples go into OUT/prompts, a store of aer-eval's, so a killed command goes on where it was. Beside it lie the rows
that the training set had, each with `pass_rate` and `n`, in a file for each class that has rows: never_solved, hard,
middle, easy, always_solved.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from aer_eval.cli import engine_flags, sampling_flags
from aer_eval.errors import UserError
from aer_eval.evaluate import Task, evaluate
from aer_eval.records import AnswerType, Problem
from aer_eval.suites.gold import checksum, normalise_gold
from aer_eval.suites.load import Suite, content_ids
from aer_eval.suites.rows import Row, text_of
from aer_eval.suites.schema import SuiteDefinition
from aer_openrlhf.data import rendering
from aer_openrlhf.data.files import positive, read_rows, write_jsonl

STORE = "prompts"
CLASSES = ("never_solved", "hard", "middle", "easy", "always_solved")
BAR_WIDTH = 40


@dataclass(frozen=True)
class Thresholds:
    """Where hard ends and easy begins, as pass rates. Raises UserError where they are no such pair."""

    hard_below: float
    easy_above: float

    def __post_init__(self) -> None:
        if not 0 < self.hard_below <= self.easy_above < 1:
            raise UserError(
                f"--hard-below {self.hard_below:g} and --easy-above {self.easy_above:g}: give two pass rates between "
                "0 and 1, the first not above the second"
            )

    def classify(self, correct: int, n: int) -> str:
        """The class of a prompt of which `correct` of `n` samples are right."""
        if correct in (0, n):
            return "never_solved" if correct == 0 else "always_solved"
        rate = correct / n
        return "hard" if rate < self.hard_below else "easy" if rate > self.easy_above else "middle"


def add_parser(commands: Any) -> None:
    """Add `aer-data difficulty`."""
    parser = commands.add_parser(
        "difficulty",
        help="pass rate of a model on each training prompt; easy and hard sets",
        description="Sample a model on every prompt of a training set, grade the samples, and split the set by "
        "pass rate. Killed at any moment, the same command goes on where it was; with a larger --n it draws the "
        "difference, with other thresholds it only splits anew.",
    )
    parser.add_argument("source", metavar="PROMPTS", help="what --data.prompt_dataset gets: a file or a hub id")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for the sets and the store of samples")
    parser.add_argument("--hard-below", type=float, default=0.33, help="pass rate (default: %(default)s)")
    parser.add_argument("--easy-above", type=float, default=0.67, help="pass rate (default: %(default)s)")
    parser.add_argument("--limit", type=positive, help="only the first rows")
    rendering.add_flags(parser)
    parser.add_argument("--data.label_key", dest="label_key", default="label", help="default: %(default)s")
    parser.add_argument(
        "--answer-type",
        choices=get_args(AnswerType),
        default="math",
        help="how answers are found and compared (default: %(default)s, as in rewards/math.py)",
    )
    engine_flags.add(parser)
    sampling_flags.add(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sample, grade, split, summarise. All that can be checked is checked before the engine starts."""
    thresholds = Thresholds(args.hard_below, args.easy_above)
    params = sampling_flags.parse(args)
    rows = list(read_rows(args.source, args.split, args.config))
    prompts = rendering.render_rows(rows, rendering.from_args(args), args.model)
    suite = to_suite(rows, prompts, args.label_key, args.answer_type)
    task = Task(suite, rendering.AS_TRAINED, args.n, args.chunk, args.limit)
    (summary,) = evaluate(engine_flags.choose(args, args.model), [task], params, args.out)
    counts = {str(name): (int(row.correct), int(row.n)) for name, row in summary.per_problem.iterrows()}
    judged = [(row, *counts[problem.id]) for row, problem in zip(rows[: args.limit], suite.problems, strict=False)]
    write_sets(judged, thresholds, args.out)
    print(report([(correct, n) for _, correct, n in judged], thresholds, args.out))
    return 0


def to_suite(rows: Sequence[Row], prompts: Sequence[str], label_key: str, answer_type: AnswerType) -> Suite:
    """A suite whose problems are the rendered prompts; raises UserError for a label that is missing or no answer."""
    problems = tuple(
        Problem(name, prompt, _gold(row, label_key, answer_type), answer_type)
        for name, prompt, row in zip(content_ids(prompts), prompts, rows, strict=True)
    )
    if not problems:
        raise UserError("the source has no rows; give another one")
    definition = SuiteDefinition(
        name=STORE,
        version=1,
        answer_type=answer_type,
        template=rendering.AS_TRAINED.name,
        problem_field="prompt",
        answer_field=label_key,
        licence="the data's owner's",
        source="a training set",
    )
    return Suite(definition, problems, checksum(problems))


def _gold(row: Row, label_key: str, answer_type: AnswerType) -> str:
    label = text_of(row.fields.get(label_key))
    if not label:
        raise UserError(f"{row.place}: no text in {label_key!r}; name the answer's field with --data.label_key")
    try:
        return normalise_gold(label, answer_type)
    except ValueError as problem:
        raise UserError(f"{row.place}: no {answer_type} answer ({problem}); mend it or --answer-type") from problem


def write_sets(judged: Sequence[tuple[Row, int, int]], thresholds: Thresholds, out: Path) -> None:
    """One file a class, with the rows (row, right samples, samples) in their order; none for a class without rows."""
    for name in CLASSES:
        chosen = [item for item in judged if thresholds.classify(*item[1:]) == name]
        path = out / f"{name}.jsonl"
        if chosen:
            write_jsonl((_judged_row(*item, name) for item in chosen), path)
        else:
            path.unlink(missing_ok=True)  # of other thresholds; `datasets` does not read an empty file


def _judged_row(row: Row, correct: int, n: int, name: str) -> Mapping[str, Any]:
    return {**row.fields, "pass_rate": correct / n, "n": n, "difficulty": name}


def report(counts: Sequence[tuple[int, int]], thresholds: Thresholds, out: Path) -> str:
    """A line with the number of prompts in each class, and a histogram of pass rates; counts: (right, samples)."""
    classes = [thresholds.classify(*count) for count in counts]
    sizes = ", ".join(f"{name} {classes.count(name)}" for name in CLASSES)
    mean = sum(correct / n for correct, n in counts) / len(counts)
    fewest, most = min(n for _, n in counts), max(n for _, n in counts)
    samples = f"{most}" if fewest == most else f"{fewest} to {most}"
    head = f"{len(counts)} prompts, {samples} samples each, mean pass rate {mean:.3f}: {sizes}; written to {out}"
    return "\n".join([head, *histogram(counts)])


def histogram(counts: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Lines of a histogram over pass rates: 0, ten steps between, 1."""
    bins = ["0", *(f"{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}" for tenth in range(10)), "1"]
    sizes = [0] * len(bins)
    for correct, n in counts:
        sizes[0 if correct == 0 else -1 if correct == n else 1 + 10 * correct // n] += 1
    for name, size in zip(bins, sizes, strict=True):
        yield f"{name:>10} {size:>7} {'#' * round(BAR_WIDTH * size / max(sizes))}".rstrip()
