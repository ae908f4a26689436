"""`aer-data`: one command with a subcommand for each kind of data that `aer-train` takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from aer_eval.cli.outcome import exit_code
from aer_openrlhf.data import difficulty, evaluation, prompts

COMMANDS = (prompts, evaluation, difficulty)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit code: 0, 2 for bad input, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="aer-data", description="Make data for aer-train.", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    args = parser.parse_args(argv)
    return exit_code(
        lambda: int(args.run(args)),
        "aer-data: error",
        "aer-data: interrupted; what was sampled is kept, the same command goes on from there",
    )


if __name__ == "__main__":
    sys.exit(main())
