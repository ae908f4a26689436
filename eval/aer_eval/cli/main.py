"""`aer-eval`: one command with a subcommand for each thing that can be done with samples."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from aer_eval import __version__
from aer_eval.cli.outcome import exit_code

COMMANDS = ("run", "score", "report", "compare", "sweep", "suites", "grade", "contamination", "lmeval")
"""Modules of this package, each with ``add_parser`` and ``run``."""


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; return the exit code: 0, 1 for a failed gate, 2 for bad input, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="aer-eval", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"aer-eval {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        import_module(f"aer_eval.cli.{command}").add_parser(subparsers)
    args = parser.parse_args(argv)
    return exit_code(
        lambda: int(args.run(args)),
        "aer-eval",
        "aer-eval: interrupted; what was finished is kept, the same command goes on from there",
    )


if __name__ == "__main__":
    sys.exit(main())
