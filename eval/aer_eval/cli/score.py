"""`aer-eval score`: grade the samples of stores, without an engine."""

from __future__ import annotations

import argparse
from pathlib import Path

from aer_eval.cli import output


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "score",
        help="grade stored samples again, without sampling",
        description="Grade the samples of run folders or stores with the installed grader and print pass@k. Samples "
        "stay as they are; grades of another grader stay beside the new ones.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folder (all its stores) or one store")
    parser.add_argument("--k", type=int, nargs="+", help="k of pass@k (default: 1, 2, 4, ... n)")
    parser.add_argument(
        "--audit", type=Path, metavar="FILE", help="run a second, independent grader; list every disagreement in FILE"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Grade, print, audit if asked."""
    from aer_eval.grading.grader import GRADER_ID
    from aer_eval.metrics.summary import markdown_table, summarise
    from aer_eval.sampling.store import find_stores
    from aer_eval.scoring import score_store

    output.check_folder("--audit", args.audit)
    suites = [score_store(store) for folder in args.runs for store in find_stores(folder)]
    print(markdown_table([summarise(scored, args.k) for scored in suites]))
    print(f"graded by {GRADER_ID}")
    if args.audit is not None:
        from aer_eval.grading.audit import as_lines, audit_suite

        found = [disagreement for scored in suites for disagreement in audit_suite(scored)]
        output.write_text("--audit", args.audit, as_lines(found))
        print(f"{len(found)} disagreements of the second grader in {args.audit}")
    return 0
