"""From a definition and its rows to a suite: read, cut, normalised, and checked against what it must hold."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from aer_eval.errors import UserError
from aer_eval.records import AnswerType, Problem, compact
from aer_eval.suites.gold import checksum, cut_answer, normalise_gold
from aer_eval.suites.registry import find_definition, resolve_suites
from aer_eval.suites.rows import (
    ANSWER_FIELDS,
    FILE_TYPES,
    PROBLEM_FIELDS,
    Row,
    find_field,
    find_file,
    read_file,
    read_hub,
    text_of,
)
from aer_eval.suites.schema import NAME, HubSource, SuiteDefinition


@dataclass(frozen=True)
class Suite:
    """A suite with its problems."""

    definition: SuiteDefinition
    problems: tuple[Problem, ...]
    checksum: str
    """``gold.checksum`` of the problems."""

    @property
    def name(self) -> str:
        """The suite's name."""
        return self.definition.name

    @property
    def transcription(self) -> str | None:
        """The name of the known transcription that these problems are; None for one that is not known."""
        names = [name for name, known in self.definition.checksums.items() if known == self.checksum]
        return names[0] if names else None

    def identity(self) -> dict[str, Any]:
        """What two runs on the same problems have in common, as JSON."""
        return {"name": self.name, "version": self.definition.version, "checksum": self.checksum}


def load_suite(suite: str | SuiteDefinition, data: Path | None = None, allow_mismatch: bool = False) -> Suite:
    """Load a suite's problems.

    Args:
        suite: a name of the registry, or a definition.
        data: a JSONL, JSON or Parquet file, or a folder with such a file named by the suite; None for the hub,
            which with ``HF_HUB_OFFLINE=1`` means its cache.
        allow_mismatch: accept another number of problems or other problems than the definition's.

    Raises:
        UserError: rows that are no problems, with the line; duplicate ids; a wrong number or checksum.
    """
    definition = find_definition(suite) if isinstance(suite, str) else suite
    if data is not None:
        path = find_file(data, definition.name) if data.is_dir() else data
        rows, origin = read_file(path), str(path)
    elif definition.hub is not None:
        rows, origin = _hub_rows(definition.hub), f"{definition.hub.id}@{definition.hub.revision[:8]}"
    else:
        raise UserError(f"--suite {definition.name}: its problems are on no hub; give a file with --data")
    loaded = _build(definition, rows, origin)
    if not allow_mismatch:
        _refuse_mismatch(loaded, origin, from_hub=data is None)
    return loaded


def load_suites(
    names: Sequence[str], data: Path | None = None, allow_mismatch: bool = False, **file_options: Any
) -> list[Suite]:
    """Load the suites that names of suites, groups and files of one's own stand for, each once.

    Args:
        names: suites and groups of the registry, and files.
        data: see ``load_suite``.
        allow_mismatch: see ``load_suite``.
        file_options: for the files, see ``user_suite``.

    Raises:
        UserError: as ``load_suite``; an unknown name; one data file for several suites, or data and only files; two
            suites of one name.
    """
    files = [name for name in names if name.endswith(FILE_TYPES)]
    named = resolve_suites([name for name in names if name not in files])
    if data is not None and files and not named:
        raise UserError(f"--data {data} does nothing where every --suite is a file; leave it out")
    if data is not None and len(named) > 1 and not data.is_dir():
        raise UserError(f"--data {data}: one file cannot hold {len(named)} suites; give a folder with a file for each")
    suites = [load_suite(name, data, allow_mismatch) for name in named]
    suites += [user_suite(Path(name), **file_options) for name in files]
    for name, count in Counter(suite.name for suite in suites).items():
        if count > 1:
            raise UserError(f"--suite: {count} suites are named {name}; rename a file")
    return suites


def user_suite(
    path: Path, problem_field: str | None = None, answer_field: str | None = None, answer_type: AnswerType = "math"
) -> Suite:
    """A suite of any file with problems and references, named after the file.

    Args:
        path: a JSONL, JSON or Parquet file.
        problem_field: its field with the problem; None finds it among the usual names.
        answer_field: its field with the reference; None finds it among the usual names.
        answer_type: how answers are found and compared.

    Raises:
        UserError: as ``load_suite``, or the file's name cannot name a suite.
    """
    if not NAME.fullmatch(path.stem):
        raise UserError(f"{path}: a suite is named after its file; rename it to letters, digits, '_', '-' and '.'")
    rows = list(read_file(path))
    for flag, wanted in (("--problem-field", problem_field), ("--answer-field", answer_field)):
        for row in rows:
            if wanted is not None and wanted not in row.fields:
                raise UserError(f"{row.place}: no field {wanted!r} (it has {_names(row)}); mend {flag}")
    definition = SuiteDefinition(
        name=path.stem,
        version=1,
        answer_type=answer_type,
        template="chat" if answer_type in ("integer", "math") else "raw",
        problem_field=problem_field or PROBLEM_FIELDS[0],
        answer_field=answer_field or ANSWER_FIELDS[0],
        licence="the file's owner's",
        source=path.name,
        id_field="id" if rows and "id" in rows[0].fields else None,
    )
    return _build(definition, rows, str(path))


def _hub_rows(hub: HubSource) -> Iterator[Row]:
    return chain.from_iterable(read_hub(hub.id, hub.split, config, hub.revision) for config in hub.configs or (None,))


def _build(definition: SuiteDefinition, rows: Iterable[Row], origin: str) -> Suite:
    """The suite of the rows, not yet compared with what the definition says it holds."""
    rows = list(rows)
    if not rows:
        raise UserError(f"{origin}: no rows; give the file or the split with the problems")
    texts = [_field_text(row, definition.problem_field, PROBLEM_FIELDS)[0] for row in rows]
    ids = content_ids(texts) if definition.id_field is None else _row_ids(rows, definition.id_field)
    problems = tuple(
        Problem(
            id=name,
            problem=text,
            answer=_gold(row, definition),
            answer_type=definition.answer_type,
            metadata={key: str(row.fields[key]) for key in _present(row, definition.metadata_fields)},
        )
        for name, text, row in zip(ids, texts, rows, strict=True)
    )
    return Suite(definition, problems, checksum(problems))


def _gold(row: Row, definition: SuiteDefinition) -> str:
    """The reference of a row; the cut is for the definition's own field, other names hold it as it is."""
    text, field = _field_text(row, definition.answer_field, ANSWER_FIELDS)
    answer = cut_answer(text, definition.answer_cut) if field == definition.answer_field else text
    if answer is None:
        raise UserError(f"{row.place}: no \\boxed{{...}} in {field!r}; mend or remove the row")
    try:
        return normalise_gold(answer, definition.answer_type)
    except ValueError as problem:
        expected = definition.answer_type
        raise UserError(
            f"{row.place}: no {expected} answer in {field!r} ({problem}); mend or remove the row"
        ) from problem


def _field_text(row: Row, own: str, usual: Sequence[str]) -> tuple[str, str]:
    """The text of the row's own field, or else of the first with a usual name, and which field it is."""
    field = find_field(row, (own,), usual)
    if field is None:
        wanted = ", ".join(dict.fromkeys((own, *usual)))
        raise UserError(f"{row.place}: no field {wanted} (it has {_names(row)}); rename the right one")
    text = text_of(row.fields[field])
    if text is None:
        kind = type(row.fields[field]).__name__
        raise UserError(f"{row.place}: {field!r} is {kind}, not text; mend or remove the row")
    if not text:
        raise UserError(f"{row.place}: {field!r} is empty; mend or remove the row")
    return text, field


def _present(row: Row, fields: Sequence[str]) -> list[str]:
    return [field for field in fields if row.fields.get(field) is not None]


def _names(row: Row) -> str:
    return ", ".join(map(str, row.fields)) or "no field at all"


def content_ids(texts: Sequence[str]) -> Iterator[str]:
    """Twelve digits of a hash of each text; a text that comes again gets ``-2``, ``-3`` behind them."""
    seen: Counter[str] = Counter()
    for text in texts:
        digest = hashlib.sha256(compact(text).encode()).hexdigest()[:12]
        seen[digest] += 1
        yield digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _row_ids(rows: Sequence[Row], field: str) -> list[str]:
    """The rows' own ids."""
    places: dict[str, str] = {}
    for row in rows:
        name = text_of(row.fields.get(field))
        if not name:
            raise UserError(f"{row.place}: no text in {field!r}; give every row an id or none")
        if name in places:
            raise UserError(f"{row.place}: id {name!r} is already that of {places[name]}; make the ids unique")
        places[name] = row.place
    return list(places)


def _refuse_mismatch(suite: Suite, origin: str, from_hub: bool) -> None:
    """Problems of a known transcription pass; others only where none is known, and then in the right number."""
    definition, count = suite.definition, len(suite.problems)
    if suite.transcription is not None:
        return
    mend = "give the suite's own, or accept these with --allow-mismatch"
    if definition.num_problems not in (None, count):
        raise UserError(f"{origin}: {count} problems, {suite.name} has {definition.num_problems}; {mend}")
    # The revision fixes what the hub has: it is only held against the hub's own checksum.
    if definition.checked if from_hub else definition.checksums:
        raise UserError(
            f"{origin}: other problems or answers than those of {suite.name} version {definition.version} "
            f"(checksum {suite.checksum[:12]}, known: {', '.join(definition.checksums)}); {mend}"
        )
