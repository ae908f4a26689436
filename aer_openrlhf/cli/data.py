"""`aer-data prompts SOURCE OUT.jsonl`: prompts and labels for OpenRLHF from a hub dataset or a local file."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

BOXED = "\nPlease reason step by step, and put your final answer within \\boxed{}."
TEMPLATES: dict[str, Callable[[str], str]] = {
    "plain": lambda question: question,
    "qwen-boxed": lambda question: question + BOXED,
}
FILE_TYPES = (".jsonl", ".json", ".parquet")


class DataError(Exception):
    """A source that cannot be turned into prompts; the message is one line with the place and the mend."""


@dataclass(frozen=True)
class Row:
    """One record of a source and where it stands, such as ``train.jsonl line 7``."""

    place: str
    fields: Any


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `aer-data`; returns 2, with nothing written, where the source or the output is no good."""
    args = _parser().parse_args(argv)
    try:
        rows = islice(read_rows(args.source, args.split, args.config), args.limit)
        template = TEMPLATES[args.template]
        prompts = (to_prompt(row, args.question_field, args.answer_field, args.answer_after, template) for row in rows)
        count = write_jsonl(prompts, args.out)
    except DataError as problem:
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
        choices=sorted(TEMPLATES),
        default="plain",
        help="qwen-boxed appends the request for steps and a \\boxed{} answer (default: %(default)s)",
    )
    prompts.add_argument("--limit", type=_positive, help="take only the first rows")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def to_prompt(
    row: Row, question_field: str, answer_field: str, mark: str | None, template: Callable[[str], str]
) -> dict[str, str]:
    """OpenRLHF's record of one row; raises DataError where a field is missing, not text or empty."""
    question = _text(row, question_field, "--question-field")
    answer = _text(row, answer_field, "--answer-field")
    if mark is not None:
        _, found, answer = answer.rpartition(mark)
        answer = answer.strip()
        if not found or not answer:
            raise DataError(
                f"{row.place}: nothing follows {mark!r} in {answer_field!r}; mend the row or --answer-after"
            )
    return {"prompt": template(question), "label": answer}


def _text(row: Row, field: str, flag: str) -> str:
    """A field of a row without the white space around it."""
    if not isinstance(row.fields, dict):
        raise DataError(f"{row.place}: not an object with named fields; mend or remove it")
    if field not in row.fields:
        names = ", ".join(map(str, row.fields)) or "no field at all"
        raise DataError(f"{row.place}: no field {field!r} (it has {names}); name the right one with {flag}")
    value = row.fields[field]
    if not isinstance(value, str):
        raise DataError(f"{row.place}: {field!r} is {type(value).__name__}, not text; mend the row or {flag}")
    if not value.strip():
        raise DataError(f"{row.place}: {field!r} is empty; mend or remove the row")
    return value.strip()


def read_rows(source: str, split: str, config: str | None) -> Iterator[Row]:
    """The rows of a local file, or else of a dataset on the hub; raises DataError where it cannot be read."""
    path = Path(source).expanduser()
    if path.is_file():
        if path.suffix not in FILE_TYPES:
            raise DataError(f"{source}: not a file type that is read here; give {', '.join(FILE_TYPES)}")
        yield from _read_parquet(path) if path.suffix == ".parquet" else _read_json(path)
    elif path.exists() or path.suffix in FILE_TYPES or source.startswith((".", "/", "~")):
        raise DataError(f"{source}: no such file; give a file or a hub dataset id such as openai/gsm8k")
    else:
        yield from _read_hub(source, split, config)


def _read_json(path: Path) -> Iterator[Row]:
    """An array of objects, or one object a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({_first_line(problem)})") from problem
    if text.lstrip().startswith("["):
        for number, fields in enumerate(_parse(text, str(path)), 1):
            yield Row(f"{path} row {number}", fields)
        return
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON text may hold U+2028
        if line.strip():
            place = f"{path} line {number}"
            yield Row(place, _parse(line, place))


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise DataError(f"{place}: not valid JSON ({problem}); mend or remove it") from problem


def _read_parquet(path: Path) -> Iterator[Row]:
    from datasets import Dataset

    try:
        table = Dataset.from_parquet(str(path))
    except Exception as problem:  # pyarrow and datasets have a dozen types for a file that is no good
        raise DataError(f"{path}: cannot be read as Parquet ({_first_line(problem)})") from problem
    for number, fields in enumerate(table, 1):
        yield Row(f"{path} row {number}", fields)


def _read_hub(name: str, split: str, config: str | None) -> Iterator[Row]:
    from datasets import load_dataset

    try:
        table = load_dataset(name, config, split=split)
    except Exception as problem:  # no network, no such dataset, no such split or configuration, no access
        raise DataError(
            f"{name}: split {split!r} cannot be loaded from the hub ({_first_line(problem)}); "
            "mend the id, --split or --config, or give a local file"
        ) from problem
    for number, fields in enumerate(table, 1):
        yield Row(f"{name} split {split} row {number}", fields)


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]


def write_jsonl(records: Iterable[dict[str, str]], out: Path) -> int:
    """Write all records or, on any error, nothing; return their number. Raises DataError if there is none."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as aside:
            partial = Path(aside) / out.name
            with partial.open("w", encoding="utf-8") as file:
                count = 0
                for record in records:
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
                    count += 1
            if count == 0:
                raise DataError("the source has no rows; give another one")
            os.replace(partial, out)
    except OSError as problem:
        raise DataError(f"{out}: cannot be written ({problem}); give another OUT.jsonl") from problem
    return count


if __name__ == "__main__":
    sys.exit(main())
