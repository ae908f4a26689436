"""Grade the lines of a JSONL file, whoever sampled them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from aer_eval.errors import UserError
from aer_eval.grading.audit import Disagreement, audit
from aer_eval.grading.exact import CHECKERS
from aer_eval.grading.grader import grade_answers, grade_samples
from aer_eval.records import AnswerType, Grade, Problem
from aer_eval.whole_file import whole_file

LINES_AT_ONCE = 4096
PROGRESS_AFTER_S = 3.0


def grade_file(source: Path, target: Path, with_audit: bool = False) -> tuple[dict[str, int], list[Disagreement]]:
    """Add ``verdict`` and ``extracted`` to every line of a file.

    Args:
        source: JSON objects, one a line, with ``gold`` and either ``text`` (a whole response) or ``answer`` (what
            stands in its box; null without one), and if known ``problem`` (whose formulas are no answers),
            ``finish_reason``, ``answer_type``, ``id``.
        target: written at once when all is graded; other fields are kept.
        with_audit: also ask the second grader.

    Returns:
        How many lines got each verdict, and where the two graders disagree.

    Raises:
        UserError: a file cannot be read or written, or a line is not as described; nothing is graded then.
    """
    count = sum(1 for _ in _read_lines(source))
    verdicts: dict[str, int] = {}
    disagreements: list[Disagreement] = []
    try:
        with whole_file(target) as out, tqdm(total=count, unit="line", delay=PROGRESS_AFTER_S) as bar:
            lines = _read_lines(source)
            while batch := list(islice(lines, LINES_AT_ONCE)):
                grades = _grade(batch)
                if with_audit:
                    disagreements += audit([_problem(line) for line in batch], grades)
                for line, grade in zip(batch, grades, strict=True):
                    verdicts[grade.verdict.value] = verdicts.get(grade.verdict.value, 0) + 1
                    fields = line | {"verdict": grade.verdict.value, "extracted": grade.extracted}
                    out.write(json.dumps(fields) + "\n")
                bar.update(len(batch))
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror or error}") from error
    return verdicts, disagreements


def _grade(lines: list[dict[str, Any]]) -> list[Grade]:
    """Grades of lines, in order: found answers as they are, responses after extraction."""
    with_text = [line for line in lines if "text" in line]
    without = [line for line in lines if "text" not in line]
    from_text = iter(grade_samples((_problem(line), line["text"], line.get("finish_reason")) for line in with_text))
    from_answer = iter(grade_answers((_problem(line), line["answer"], line.get("finish_reason")) for line in without))
    return [next(from_text if "text" in line else from_answer) for line in lines]


def _problem(line: dict[str, Any]) -> Problem:
    return Problem(
        id=str(line.get("id", "")),
        problem=str(line.get("problem", "")),
        answer=str(line["gold"]),
        answer_type=line.get("answer_type", "math"),
    )


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file, checked; blank ones are left out."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield _checked(text, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _checked(text: str, where: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON ({error.msg})") from error
    if not isinstance(line, dict):
        raise UserError(f"{where}: not a JSON object but {type(line).__name__}")
    if line.get("gold") is None or not str(line["gold"]).strip():
        raise UserError(f"{where}: no `gold`, the reference answer")
    if ("text" in line) == ("answer" in line):
        raise UserError(f"{where}: give either `text` (a whole response) or `answer` (what stands in its box)")
    if not isinstance(line.get("text", ""), str) or not isinstance(line.get("answer", ""), str | None):
        raise UserError(f"{where}: `text` and `answer` must be strings")
    if line.get("answer_type", "math") not in get_args(AnswerType):
        raise UserError(f"{where}: `answer_type` must be one of {', '.join(get_args(AnswerType))}")
    checker = CHECKERS.get(line.get("answer_type", "math"))
    if checker:
        try:
            checker.is_correct("", str(line["gold"]))
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: `gold` is no reference of {line['answer_type']} ({error})") from error
    return line
