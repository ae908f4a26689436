"""Files that flags name for results: refused before the work begins, written after it."""

from __future__ import annotations

from pathlib import Path

from aer_eval.errors import UserError
from aer_eval.whole_file import whole_file


def check_folder(flag: str, path: Path | None) -> None:
    """Refuse a file whose folder is not there; None, a flag that was not given, is fine. Raises UserError."""
    if path is not None and not path.parent.is_dir():
        raise UserError(f"{flag} {path}: no folder {path.parent}; make it or give another file")


def write_text(flag: str, path: Path, text: str) -> None:
    """Write a file as a whole. Raises UserError where that cannot be done."""
    try:
        with whole_file(path) as file:
            file.write(text)
    except OSError as problem:
        raise UserError(f"{flag} {path}: cannot be written ({problem}); give another file") from problem
