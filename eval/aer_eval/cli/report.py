"""`aer-eval report`: the report on one or several run folders, and gates that a build can fail on."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from aer_eval.errors import UserError

if TYPE_CHECKING:
    from aer_eval.report.results import Result


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "report",
        help="a page, Markdown and JSON from graded samples; gates",
        description="Write report.html (one self-contained file), report.md, report.json and png/*.png from graded "
        "samples. With --fail-below, exit with 1 where a gate fails.",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="folder that `aer-eval run --out` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report, made if missing")
    parser.add_argument("--title", default="Evaluation report", help="heading of the page (default %(default)s)")
    parser.add_argument("--k", type=int, help="k of the table's second pass@k (default the largest up to n/2)")
    parser.add_argument(
        "--samples",
        type=int,
        default=2,
        help="responses of each kind shown for a run and suite (default %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the responses that are shown (default %(default)s)")
    parser.add_argument(
        "--fail-below",
        metavar="GATE",
        action="append",
        default=[],
        help="'SUITE:METRIC>=VALUE' (or '<=') must hold in every run, or with RUN/ before it in that run; METRIC as "
        "in report.json under estimates and rates; a suite with problems missing fails; repeatable",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report; return 1 where a gate failed."""
    _check_flags(args)
    from aer_eval.compare import load_runs
    from aer_eval.report.gates import check, parse_gate
    from aer_eval.report.render import make_report, write_report
    from aer_eval.report.results import to_results

    gates = [parse_gate(gate) for gate in args.fail_below]
    results = to_results([scored for loaded in load_runs(args.runs) for scored in loaded.values()], args.k)
    outcomes = check(gates, results)
    _check_k(args.k, results)
    report = make_report(results, outcomes, args.title, args.k, args.samples, args.seed)
    for note in report.notes:
        print(f"aer-eval report: {note}", file=sys.stderr)
    try:
        print(write_report(report, args.out))
    except OSError as problem:
        raise UserError(f"--out {args.out}: cannot be written ({problem}); give another folder") from problem
    for outcome in outcomes:
        print(outcome)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _check_flags(args: argparse.Namespace) -> None:
    if not all(map(find_spec, ("jinja2", "matplotlib"))):
        raise UserError("aer-eval report needs jinja2 and matplotlib: pip install 'aer-eval[report]'")
    for flag, value, least in (("--samples", args.samples, 0), ("--seed", args.seed, 0), ("--k", args.k, 1)):
        if value is not None and value < least:
            raise UserError(f"{flag} must be at least {least}")


def _check_k(k: int | None, results: list[Result]) -> None:
    there = sorted({k for result in results for k in result.pass_at_k})
    if k is not None and k not in there:
        raise UserError(f"--k {k}: no run has so many samples of every problem; give k from 1 to {there[-1]}")
