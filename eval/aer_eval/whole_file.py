"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file for writing; it takes its place when the block ends, or nothing does where the block raises.

    Afterwards it is on the disk for good, also if the power goes.

    Args:
        path: the file; its folder is there.
        mode: ``w`` for text in UTF-8, ``wb`` for bytes.

    Raises:
        OSError: it cannot be written.
    """
    aside = path.with_name(
        f".{path.name}.{os.getpid()}.tmp"
    )  # hidden: whoever reads the folder meanwhile passes it by
    try:
        with aside.open(mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
