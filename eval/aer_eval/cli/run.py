"""`aer-eval run`: sample a model on suites into stores, grade the samples, print the table."""

from __future__ import annotations

import argparse
from pathlib import Path

from aer_eval.cli import engine_flags, sampling_flags, suite_flags


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "run",
        help="sample a model on suites, grade, print pass@k",
        description="Sample a model on suites into OUT/SUITE, grade the samples and print pass@k. Killed at any "
        "moment, the same command goes on where it was; with a larger --n it draws the difference.",
    )
    suite_flags.add(parser)
    engine_flags.add(parser)
    sampling_flags.add(parser)
    parser.add_argument("--out", type=Path, required=True, help="run folder; gets one store a suite")
    parser.add_argument("--label", help="name for tables and plots (default: the model's name)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sample, grade, print. Everything that can be checked is checked before the engine starts."""
    from aer_eval.evaluate import evaluate
    from aer_eval.grading.grader import GRADER_ID
    from aer_eval.metrics.summary import markdown_table

    params = sampling_flags.parse(args)
    tasks = suite_flags.load_tasks(args)
    summaries = evaluate(engine_flags.choose(args, args.model), tasks, params, args.out, args.label)
    print(markdown_table(summaries))
    print(f"graded by {GRADER_ID}; `aer-eval report {args.out} --out {args.out / 'report'}` draws the report")
    return 0
