"""`aer-data prompts SOURCE OUT.jsonl`: prompts and labels for OpenRLHF from a hub dataset or a local file."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from aer_eval.errors import UserError
from aer_eval.suites.rows import FILE_TYPES, Row, read_file, read_hub
from aer_eval.suites.templates import PLACE, TEMPLATES, Template
from aer_eval.whole_file import whole_file

# The evaluation's own, so that a model is asked in training as it is in the evaluation. `chat` is not among them:
# OpenRLHF applies the chat template itself, to what `plain` gives, with --data.apply_chat_template.
TEXT_TEMPLATES = {name: template for name, template in TEMPLATES.items() if template.text is not None}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `aer-data`; returns 2, with nothing written, where the source or the output is no good."""
    args = _parser().parse_args(argv)
    try:
        rows = islice(read_rows(args.source, args.split, args.config), args.limit)
        template = TEXT_TEMPLATES[args.template]
        prompts = (to_prompt(row, args.question_field, args.answer_field, args.answer_after, template) for row in rows)
        count = write_jsonl(prompts, args.out)
    except UserError as problem:
        print(f"aer-data: error: {problem}", file=sys.stderr)
        return 2
    print(f"wrote {count} prompts to {args.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aer-data", description="Make training data for aer-train.")
    commands = parser.add_subparsers(dest="command", required=True)
    prompts = commands.add_parser("prompts", description=__doc__, help="questions and answers to prompts and labels")
    prompts.add_argument("source", metavar="SOURCE", help="hub dataset id, or a local .jsonl, .json or .parquet file")
    prompts.add_argument("out", metavar="OUT.jsonl", type=Path, help='file to write, a {"prompt", "label"} a line')
    prompts.add_argument("--split", default="train", help="split of a hub dataset (default: %(default)s)")
    prompts.add_argument("--config", help="configuration of a hub dataset that has several, such as main")
    prompts.add_argument("--question-field", default="question", help="default: %(default)s")
    prompts.add_argument("--answer-field", default="answer", help="default: %(default)s")
    prompts.add_argument(
        "--answer-after",
        metavar="MARK",
        help="the label is what follows the last MARK in the answer: '####' for GSM8K",
    )
    prompts.add_argument(
        "--template",
        choices=sorted(TEXT_TEMPLATES),
        default="raw",
        help="plain appends the request for steps and a \\boxed{} answer, for --data.apply_chat_template; qwen-boxed "
        "is the same written out in Qwen2.5-Math's chat format; raw is the question alone (default: %(default)s)",
    )
    prompts.add_argument("--limit", type=_positive, help="take only the first rows")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


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


def read_rows(source: str, split: str, config: str | None) -> Iterator[Row]:
    """The rows of a local file, or else of a dataset on the hub; raises UserError where it cannot be read."""
    path = Path(source).expanduser()
    if path.is_file():
        yield from read_file(path)
    elif path.exists() or path.suffix in FILE_TYPES or source.startswith((".", "/", "~")):
        raise UserError(f"{source}: no such file; give a file or a hub dataset id such as openai/gsm8k")
    else:
        yield from read_hub(source, split, config)


def write_jsonl(records: Iterable[dict[str, str]], out: Path) -> int:
    """Write all records or, on any error, nothing; return their number. Raises UserError if there is none."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(out) as file:
            count = 0
            for record in records:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                count += 1
            if count == 0:
                raise UserError("the source has no rows; give another one")
    except OSError as problem:
        raise UserError(f"{out}: cannot be written ({problem}); give another OUT.jsonl") from problem
    return count


if __name__ == "__main__":
    sys.exit(main())
