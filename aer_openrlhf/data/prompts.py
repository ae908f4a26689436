"""Questions and answers of a hub dataset or a local file as prompts and labels for OpenRLHF."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

from aer_eval.errors import UserError
from aer_eval.suites.rows import Row
from aer_eval.suites.templates import PLACE, TEMPLATES, Template
from aer_openrlhf.data.files import positive, read_rows, write_jsonl

# The evaluation's own, so that a model is asked in training as it is in the evaluation. `chat` is not among them:
# OpenRLHF applies the chat template itself, to what `plain` gives, with --data.apply_chat_template.
TEXT_TEMPLATES = {name: template for name, template in TEMPLATES.items() if template.text is not None}


def add_parser(commands: Any) -> None:
    """Add `aer-data prompts`."""
    parser = commands.add_parser("prompts", description=__doc__, help="questions and answers to prompts and labels")
    parser.add_argument("source", metavar="SOURCE", help="hub dataset id, or a local .jsonl, .json or .parquet file")
    parser.add_argument("out", metavar="OUT.jsonl", type=Path, help='file to write, a {"prompt", "label"} a line')
    parser.add_argument("--split", default="train", help="split of a hub dataset (default: %(default)s)")
    parser.add_argument("--config", help="configuration of a hub dataset that has several, such as main")
    parser.add_argument("--question-field", default="question", help="default: %(default)s")
    parser.add_argument("--answer-field", default="answer", help="default: %(default)s")
    parser.add_argument(
        "--answer-after",
        metavar="MARK",
        help="the label is what follows the last MARK in the answer: '####' for GSM8K",
    )
    parser.add_argument(
        "--template",
        choices=sorted(TEXT_TEMPLATES),
        default="raw",
        help="plain appends the request for steps and a \\boxed{} answer, for --data.apply_chat_template; qwen-boxed "
        "is the same written out in Qwen2.5-Math's chat format; raw is the question alone (default: %(default)s)",
    )
    parser.add_argument("--limit", type=positive, help="take only the first rows")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file and say how many prompts it holds; raises UserError, with nothing written, for bad input."""
    rows = islice(read_rows(args.source, args.split, args.config), args.limit)
    template = TEXT_TEMPLATES[args.template]
    prompts = (to_prompt(row, args.question_field, args.answer_field, args.answer_after, template) for row in rows)
    count = write_jsonl(prompts, args.out)
    print(f"wrote {count} prompts to {args.out}")
    return 0


def to_prompt(
    row: Row, question_field: str, answer_field: str, mark: str | None, template: Template
) -> dict[str, str]:
    """OpenRLHF's record of one row; raises UserError where a field is missing, not text or empty."""
    question = _text(row, question_field, "--question-field")
    answer = _text(row, answer_field, "--answer-field")
    if mark is not None:
        _, found, answer = answer.rpartition(mark)
        answer = answer.strip()
        if not found or not answer:
            raise UserError(
                f"{row.place}: nothing follows {mark!r} in {answer_field!r}; mend the row or --answer-after"
            )
    assert template.text is not None
    return {"prompt": template.text.replace(PLACE, question), "label": answer}


def _text(row: Row, field: str, flag: str) -> str:
    """A field of a row without the white space around it."""
    if field not in row.fields:
        names = ", ".join(map(str, row.fields)) or "no field at all"
        raise UserError(f"{row.place}: no field {field!r} (it has {names}); name the right one with {flag}")
    value = row.fields[field]
    if not isinstance(value, str):
        raise UserError(f"{row.place}: {field!r} is {type(value).__name__}, not text; mend the row or {flag}")
    if not value.strip():
        raise UserError(f"{row.place}: {field!r} is empty; mend or remove the row")
    return value.strip()
