"""`aer-eval suites`: the suites there are, and whether problems at hand are one of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from aer_eval.cli.table import text_table
from aer_eval.errors import UserError
from aer_eval.suites.load import Suite, load_suites
from aer_eval.suites.registry import GROUPS, definitions


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "suites",
        help="list the suites, or load and check one",
        description="Without a name, list the suites. With names, load their problems from the hub or from --data, "
        "check them, and print their number and checksum.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="suites or groups to load and check")
    parser.add_argument("--data", type=Path, help="local file or folder in place of the hub")
    parser.add_argument("--allow-mismatch", action="store_true", help="accept another number of problems or checksum")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list, or a line for each suite that is loaded."""
    if not args.names and (args.data or args.allow_mismatch):
        raise UserError("--data and --allow-mismatch are for a suite: give its NAME")
    if not args.names:
        print(_listing())
    for suite in load_suites(args.names, args.data, args.allow_mismatch):
        print(_line(suite))
    return 0


def _listing() -> str:
    rows = [
        (
            suite.name,
            suite.num_problems or "any",
            suite.answer_type,
            suite.hub.id if suite.hub else "(--data)",
            "yes" if suite.checked else "no" if suite.hub else "",
            suite.licence,
        )
        for suite in definitions().values()
    ]
    table = text_table(("suite", "problems", "answers", "hub", "checked", "licence"), rows)
    groups = "\n".join(f"{group}: {', '.join(members)}" for group, members in GROUPS.items())
    note = "checked: the hub's rows at the pinned revision were seen, and are known by their checksum."
    return f"{table}\n\n{groups}\n{note}"


def _line(suite: Suite) -> str:
    known = ""
    if suite.definition.checksums:
        known = f" (as in {suite.transcription})" if suite.transcription else " (not one that is known)"
    return (
        f"{suite.name} version {suite.definition.version}: {len(suite.problems)} problems, "
        f"{suite.definition.answer_type} answers, checksum {suite.checksum}{known}"
    )
