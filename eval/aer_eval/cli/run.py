"""`aer-eval run`: sample a model on suites into stores, grade the samples, print the table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from aer_eval.cli import engine_flags, output, sampling_flags, suite_flags
from aer_eval.sampling.units import SamplingParams


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
    parser.add_argument(
        "--temperatures",
        type=float,
        nargs="+",
        metavar="T",
        help="several temperatures with one start of the engine, instead of --temperature: OUT/T-0.7/SUITE and so on",
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder; gets one store a suite")
    parser.add_argument("--label", help="name for tables and plots (default: the model's name)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write pass@k for `aer-report` and `aer-study`")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sample, grade, print. Everything that can be checked is checked before the engine starts."""
    from aer_eval.evaluate import evaluate_each, pass_at_k_record
    from aer_eval.grading.grader import GRADER_ID
    from aer_eval.metrics.summary import markdown_table

    output.check_folder("--json", args.json)
    params = _params(args)
    tasks = suite_flags.load_tasks(args)
    results = evaluate_each(engine_flags.choose(args, args.model), tasks, params, args.label)
    for out, summaries in results.items():
        title = f"temperature {params[out].temperature:g}\n\n" if args.temperatures else ""
        print(f"{title}{markdown_table(summaries)}\n")
    if args.json is not None:
        records = [
            pass_at_k_record(summary, args.model, params[out].temperature)
            for out, summaries in results.items()
            for summary in summaries
        ]
        output.write_text("--json", args.json, json.dumps(records, indent=2) + "\n")
    folders = " ".join(map(str, results))
    print(f"graded by {GRADER_ID}; `aer-eval report {folders} --out {args.out / 'report'}` draws the report")
    return 0


def _params(args: argparse.Namespace) -> dict[Path, SamplingParams]:
    """How each run folder is sampled: OUT itself, or a folder in it for every one of several temperatures."""
    if not args.temperatures:
        return {args.out: sampling_flags.parse(args)}
    return {
        args.out / f"T-{temperature:g}": sampling_flags.parse(
            argparse.Namespace(**{**vars(args), "temperature": temperature})
        )
        for temperature in args.temperatures
    }
