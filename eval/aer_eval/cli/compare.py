"""`aer-eval compare`: is one model better than another, problem by problem?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from aer_eval.cli import output
from aer_eval.errors import UserError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help="paired differences between runs, with intervals and p-values",
        description="Compare runs with the first one on the problems that both have: difference in pass@k with a "
        "95 % interval, p-values, where the curves cross, and the problems that changed most. Prints Markdown.",
    )
    parser.add_argument(
        "baseline", metavar="A", type=Path, help="run folder that `aer-eval run --out` wrote, or a store"
    )
    parser.add_argument("others", metavar="B", nargs="+", type=Path, help="folders to compare with A")
    parser.add_argument(
        "--k",
        type=int,
        nargs="+",
        metavar="K",
        help="k of pass@k besides 1 (default: 2, 4, ... up to half of the fewest samples)",
    )
    parser.add_argument(
        "--top", type=int, default=10, help="problems shown of those that changed most (default: %(default)s)"
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write all numbers there, with every problem that changed"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the comparison."""
    if args.top < 0:
        raise UserError("--top must be at least 0")
    output.check_folder("--json", args.json)
    from aer_eval.compare import compare_runs, load_runs, markdown, to_json

    comparison = compare_runs(load_runs([args.baseline, *args.others]), args.k)
    if args.json is not None:
        output.write_text("--json", args.json, json.dumps(to_json(comparison), indent=2, allow_nan=False))
    print(markdown(comparison, args.top))
    return 0
