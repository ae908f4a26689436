"""A run's folder: what it was made with, how far it came, and who works in it.

`run.json` stands before the training starts, `trained.json` once it has ended well, `done.json` last of all.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal

from aer_eval.errors import UserError
from aer_eval.settings import differing
from aer_eval.whole_file import whole_file
from aer_openrlhf.report.runs import EVALUATIONS_FILE

from .definition import Run

RUN_FILE, TRAINED_FILE, DONE_FILE = "run.json", "trained.json", "done.json"
State = Literal["new", "interrupted", "trained", "finished"]


def state(run: Run) -> State:
    """How far a run has come; one whose evaluation was changed since is trained, not finished.

    Raises:
        UserError: the folder was made with another command line.
    """
    made = read(run.folder / RUN_FILE)
    if made is None:
        return "new"
    _check_unchanged(run, made)
    if run.train and read(run.folder / TRAINED_FILE) is None:
        return "interrupted"
    done = read(run.folder / DONE_FILE)
    evaluated = done is not None and run.portable(done["evaluate"]) == run.portable(run.evaluate)
    return "finished" if evaluated else "trained"


def forget_evaluation(run: Run) -> None:
    """Remove what an earlier evaluation left, first that the run is finished: neither may pass for the next one's."""
    for name in (DONE_FILE, EVALUATIONS_FILE):
        (run.folder / name).unlink(missing_ok=True)


def start(run: Run) -> None:
    """Record the resolved command lines, and that one more attempt begins."""
    made = read(run.folder / RUN_FILE) or {"attempts": 0}
    contents = {
        "folder": str(run.folder),
        "task": run.task,
        "arm": run.arm,
        "seed": run.seed,
        "flags": run.flags,
        "train": run.train,
        "evaluate": run.evaluate,
        "attempts": made["attempts"] + 1,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write(run.folder / RUN_FILE, contents)


@contextmanager
def locked(run: Run) -> Iterator[int]:
    """Hold the run's folder; yields the descriptor of the lock, which a child that inherits it holds as well.

    Raises:
        UserError: somebody else works in it.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{run.folder}: another aer-study, or a run that it left, still works in it") from None
        yield file.fileno()


def in_use(run: Run) -> bool:
    """Whether somebody works in the run's folder."""
    try:
        with locked(run):
            return False
    except UserError:
        return True


def read(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where the file is missing.

    Raises:
        UserError: the file is damaged, or cannot be read.
    """
    try:
        contents: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise UserError(f"{path}: not valid JSON ({problem}); move its folder away") from problem
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); move away what is in its place") from problem
    return contents


def write(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a JSON object, as a whole or not at all."""
    with whole_file(path) as file:
        file.write(json.dumps(contents, indent=2) + "\n")


def _differing_words(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Where two command lines differ, each place with the word before it."""
    places = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        f"`{' '.join(old[max(a - 1, 0) : b])}`, now `{' '.join(new[max(c - 1, 0) : d])}`"
        for kind, a, b, c, d in places
        if kind != "equal"
    ]


def _check_unchanged(run: Run, made: Mapping[str, Any]) -> None:
    here = str(run.folder)
    train = [word.replace(made.get("folder", here), here) for word in made["train"]]
    if train == list(run.train):
        return
    changed = [f"--{name} {_shown(old)}, now {_shown(new)}" for name, old, new in differing(made["flags"], run.flags)]
    what = "; ".join(changed or _differing_words(train, run.train))
    raise UserError(f"{run.folder}: made with {what}; give the arm another name, or move the folder away")


def _shown(value: Any) -> str:
    return "absent" if value is None else str(value)
