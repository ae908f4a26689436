"""The flags that choose suites and prompts, and their loading."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from aer_eval.errors import UserError
from aer_eval.records import AnswerType

if TYPE_CHECKING:
    from aer_eval.evaluate import Task
    from aer_eval.suites.load import Suite

FILE_FLAGS = ("problem_field", "answer_field", "answer_type")
"""Flags for a ``--suite`` that is a file rather than a name."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = parser.add_argument_group("suites")
    group.add_argument(
        "--suite",
        nargs="+",
        required=True,
        help="suites or groups (`aer-eval suites` lists them), or files of your own with a problem and an answer",
    )
    group.add_argument("--data", type=Path, help="local file or folder in place of the hub")
    group.add_argument("--allow-mismatch", action="store_true", help="accept another number of problems or checksum")
    group.add_argument("--limit", type=int, help="only the first problems of each suite")
    group.add_argument("--problem-field", help="of a file of your own (default: found among the usual names)")
    group.add_argument("--answer-field", help="of a file of your own (default: found among the usual names)")
    group.add_argument(
        "--answer-type", choices=get_args(AnswerType), help="of a file of your own: how answers compare (default math)"
    )
    group.add_argument(
        "--template", help="prompt template: a name, or a text file with {problem} (default: the suite's)"
    )


def load_tasks(args: argparse.Namespace) -> list[Task]:
    """What is to be sampled: the suites with their problems, each with its template.

    Raises:
        UserError: an unknown suite or template, bad data, two suites of one name, or a flag that does nothing.
    """
    from aer_eval.evaluate import Task
    from aer_eval.suites.templates import find_template

    suites = chosen_suites(args)
    templates = [find_template(args.template or suite.definition.template) for suite in suites]
    return [
        Task(suite, template, args.n, args.chunk, args.limit)
        for suite, template in zip(suites, templates, strict=True)
    ]


def chosen_suites(args: argparse.Namespace) -> list[Suite]:
    """The suites with their problems; raises UserError as ``load_tasks``."""
    from aer_eval.suites.load import load_suites
    from aer_eval.suites.rows import FILE_TYPES

    if args.limit is not None and args.limit < 1:
        raise UserError("--limit must be at least 1")
    given = {flag: getattr(args, flag) for flag in FILE_FLAGS if getattr(args, flag) is not None}
    if given and not any(name.endswith(FILE_TYPES) for name in args.suite):
        raise UserError(f"--{next(iter(given)).replace('_', '-')} is for a file given as --suite; leave it out")
    return load_suites(args.suite, args.data, args.allow_mismatch, **given)
