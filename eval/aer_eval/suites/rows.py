"""Rows of JSONL, JSON and Parquet files and of hub datasets, each with the place where it stands."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aer_eval.errors import UserError, first_line

FILE_TYPES = (".jsonl", ".json", ".parquet")
PROBLEM_FIELDS = ("problem", "question", "prompt", "input")
"""Names that a problem's field often has, in any case of letters."""
ANSWER_FIELDS = ("answer", "gold", "label", "ground_truth", "target", "final_answer", "expected_answer")
"""Names that a reference's field often has, in any case of letters."""


@dataclass(frozen=True)
class Row:
    """One record of a source and where it stands, such as ``train.jsonl line 7``."""

    place: str
    fields: dict[str, Any]


def read_file(path: Path) -> Iterator[Row]:
    """The rows of a file: JSONL, a JSON array of objects, or Parquet.

    Raises:
        UserError: no such file, another type, or it cannot be read; with the line where there is one.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; mend the path")
    if path.suffix not in FILE_TYPES:
        raise UserError(f"{path}: not a file type that is read here; give {', '.join(FILE_TYPES)}")
    for place, fields in _read_parquet(path) if path.suffix == ".parquet" else _read_json(path):
        if not isinstance(fields, dict):
            raise UserError(f"{place}: not an object with named fields; mend or remove it")
        yield Row(place, fields)


def _read_json(path: Path) -> Iterator[tuple[str, Any]]:
    """An array of objects, or one object a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({first_line(problem)}); mend the file") from problem
    if text.lstrip().startswith("["):
        for number, fields in enumerate(_parse(text, str(path)), 1):
            yield f"{path} row {number}", fields
        return
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON text may hold U+2028
        if line.strip():
            place = f"{path} line {number}"
            yield place, _parse(line, place)


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise UserError(f"{place}: not valid JSON ({problem}); mend or remove it") from problem


def _read_parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            for fields in batch.to_pylist():
                number += 1
                yield f"{path} row {number}", fields
    except (pyarrow.ArrowException, OSError) as problem:
        raise UserError(f"{path}: cannot be read as Parquet ({first_line(problem)}); mend the file") from problem


def read_hub(name: str, split: str, config: str | None = None, revision: str | None = None) -> Iterator[Row]:
    """The rows of a dataset on the hub, or of its copy in the cache where ``HF_HUB_OFFLINE`` is set.

    Raises:
        UserError: `datasets` is not installed, or the dataset cannot be loaded.
    """
    try:
        from datasets import load_dataset
    except ImportError as problem:
        raise UserError(f"{name}: a hub dataset needs `pip install datasets`; or give a local file") from problem
    try:
        table = load_dataset(name, config, split=split, revision=revision)
    except Exception as problem:  # no network, no such dataset, no such split or configuration, no access
        what = f"split {split!r}" + (f" of configuration {config!r}" if config else "")
        raise UserError(
            f"{name}: {what} cannot be loaded from the hub ({first_line(problem)}); "
            "mend the id, the split or the configuration, or give a local file"
        ) from problem
    _refuse_other_revision(table, name, revision)
    place = " ".join(filter(None, (name, config, f"split {split}")))
    for number, fields in enumerate(table, 1):
        yield Row(f"{place} row {number}", fields)


def _refuse_other_revision(table: Any, name: str, revision: str | None) -> None:
    """Offline, `datasets` takes the newest revision in its cache whatever was asked for; its folder has the commit."""
    for file in getattr(table, "cache_files", ()):
        commit = re.search(r"/([0-9a-f]{40})/", file["filename"])
        if commit and revision not in (None, "main", commit[1]):
            raise UserError(
                f"{name}: the cache has revision {commit[1][:8]}, not {revision}; "
                "load it once online or give a local file"
            )


def find_file(folder: Path, name: str) -> Path:
    """The file of a suite in a folder: ``NAME.jsonl``, ``.json``, ``.parquet``, or else the only ``NAME_*`` of these.

    Raises:
        UserError: there is none, or more than one.
    """
    for pattern in (f"{name}.*", f"{name}_*"):
        found = [path for path in sorted(folder.glob(pattern)) if path.suffix in FILE_TYPES]
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise UserError(f"--data {folder}: {names} could all be {name}; give the file itself")
        if found:
            return found[0]
    raise UserError(f"--data {folder}: no {name}.jsonl, .json or .parquet in it; name the suite's file so")


def find_field(row: Row, own: Sequence[str], usual: Sequence[str]) -> str | None:
    """The row's field of one of its own names, or else of one of the usual names in any case of letters."""
    by_lower_case = {str(name).lower(): name for name in row.fields}
    found = [name for name in own if name in row.fields] + [by_lower_case[n] for n in usual if n in by_lower_case]
    return found[0] if found else None


def text_of(value: Any) -> str | None:
    """The text that a field holds, without the white space around it; None where it is no text.

    Numbers are written out, a list of one is its element, and chat messages are what the user says in them.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if math.isnan(value) else str(value)
    if isinstance(value, list) and value and all(isinstance(turn, dict) and "content" in turn for turn in value):
        return "\n".join(str(turn["content"]) for turn in value if turn.get("role") == "user").strip()
    return text_of(value[0]) if isinstance(value, list) and len(value) == 1 else None
