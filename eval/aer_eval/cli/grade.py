"""`aer-eval grade`: grade the lines of a JSONL file."""

from __future__ import annotations

import argparse
from pathlib import Path

from aer_eval.cli import output
from aer_eval.grading.grader import GRADER_ID


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "grade",
        help="grade a JSONL file of answers, whoever sampled them",
        description="Add `verdict` and `extracted` to every line of a JSONL file. A line has `gold` and either `text` "
        "(a whole response, whose last \\boxed{} counts) or `answer` (what stands in the box; null without one), and "
        "may have `problem` (a formula of it is no answer), `finish_reason` (`length`: cut at the token limit), "
        "`answer_type` (integer, math, countdown3, make_n, swap_sort) and `id`; all other fields are kept.",
    )
    parser.add_argument("source", type=Path, metavar="IN.jsonl")
    parser.add_argument("target", type=Path, metavar="OUT.jsonl")
    parser.add_argument(
        "--audit", type=Path, metavar="FILE", help="run a second, independent grader; list every disagreement in FILE"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Grade, print how many lines got each verdict."""
    from aer_eval.grading.audit import as_lines
    from aer_eval.grading.files import grade_file

    output.check_folder("--audit", args.audit)
    verdicts, disagreements = grade_file(args.source, args.target, with_audit=args.audit is not None)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())) or "no lines")
    if args.audit is not None:
        output.write_text("--audit", args.audit, as_lines(disagreements))
        print(f"{len(disagreements)} disagreements of the second grader in {args.audit}")
    print(f"graded by {GRADER_ID}")
    return 0
