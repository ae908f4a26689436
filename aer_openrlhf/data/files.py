"""Rows from a local file or the hub, and JSONL files that are written as a whole or not at all."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aer_eval.errors import UserError, first_line
from aer_eval.suites.rows import FILE_TYPES, Row, read_file, read_hub
from aer_eval.whole_file import whole_file


def positive(text: str) -> int:
    """A whole number of 1 or more, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def read_rows(source: str, split: str, config: str | None) -> Iterator[Row]:
    """The rows of a local file, or else of a dataset on the hub; raises UserError where it cannot be read."""
    path = Path(source).expanduser()
    if path.is_file():
        yield from read_file(path)
    elif path.exists() or path.suffix in FILE_TYPES or source.startswith((".", "/", "~")):
        raise UserError(f"{source}: no such file; give a file or a hub dataset id such as openai/gsm8k")
    else:
        yield from read_hub(source, split, config)


def write_jsonl(records: Iterable[Mapping[str, Any]], out: Path) -> int:
    """Write all records or, on any error, nothing; return their number.

    Raises:
        UserError: there is none, or one that JSON cannot hold; the file cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(out) as file:
            count = 0
            for record in records:
                count += 1
                try:
                    file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
                except (TypeError, ValueError) as problem:  # a date or a NaN of a Parquet file, half a surrogate pair
                    raise UserError(
                        f"{out}: its row {count} cannot be written as JSON ({first_line(problem)}); mend or remove "
                        "that field in the source"
                    ) from problem
            if count == 0:
                raise UserError("the source has no rows; give another one")
    except OSError as problem:
        raise UserError(f"{out}: cannot be written ({problem}); give another OUT") from problem
    return count
