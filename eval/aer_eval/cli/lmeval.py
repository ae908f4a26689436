"""`aer-eval lmeval`: lm-eval's result files for a run, and the check that both count alike."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from aer_eval.errors import UserError

LARGEST_DIFFERENCE = 1e-9
"""Two ways to add up the same numbers stay far below this; one sample that counts differently is far above it."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "lmeval",
        help="lm-eval's result files for a run",
        description="Give the stored samples of a run to lm-eval as if its model had drawn them, and write its "
        "results_*.json and samples_*.jsonl. Its numbers must be those of aer-eval: exit with 1 where they differ.",
    )
    parser.add_argument(
        "run_folder", metavar="RUN", type=Path, help="folder that `aer-eval run --out` wrote, or a store"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the files, made if missing")
    parser.add_argument("--template", metavar="FILE", help="text file of the run's prompt template, if it had its own")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files and print lm-eval's table; return 1 where its numbers are not ours."""
    if find_spec("lm_eval") is None:
        raise UserError("aer-eval lmeval needs lm-eval: pip install 'aer-eval[lm-eval]'")
    from aer_eval.sampling.store import find_stores

    stores = find_stores(args.run_folder)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"--out {args.out}: cannot be made ({problem}); give another folder") from problem
    from lm_eval.utils import make_table

    from aer_eval.lmeval.replay import replay

    done = replay(stores, args.out, args.template)
    print(make_table(done.results))
    print(f"{done.file}, with the samples of each task beside it")
    for store, difference in done.differences.items():
        print(f"{store}: largest difference to aer-eval's own numbers {difference:.1e}")
    if max(done.differences.values()) <= LARGEST_DIFFERENCE:
        return 0
    print(f"the numbers differ; if another grader graded the run, `aer-eval score {args.run_folder}` mends it")
    return 1
