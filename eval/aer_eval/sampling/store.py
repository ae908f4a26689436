"""The store of one model's samples on one suite: append-only, durable, readable with pandas or polars.

    STORE/store.json           what every sample in it has in common
    STORE/samples/*.parquet    records.SAMPLE_COLUMNS, one row a sample
    STORE/grades/*.parquet     records.GRADE_COLUMNS, one file a grader

A part is written aside, flushed to the disk and renamed: it is there as a whole or not at all, so `kill -9` at any
moment leaves a store that the same command goes on from. Nothing is ever rewritten but the grades.
"""

from __future__ import annotations

import fcntl
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd

from aer_eval.errors import UserError
from aer_eval.records import GRADE_COLUMNS, SAMPLE_COLUMNS, Problem, ScoredSuite
from aer_eval.sampling.units import Completion
from aer_eval.settings import differing
from aer_eval.whole_file import whole_file

MANIFEST = "store.json"
FORMAT = 1
"""Version of the layout and the columns."""
SAMPLE_KEY = ("problem_id", "sample_index")
"""Columns that tell one sample from another."""
FREE_KEYS = ("versions", "created", "label", "model_name", "problems")
"""Keys of the manifest that may differ between two runs into one store; ``problems`` in metadata and white space."""


class SampleStore:
    """A store that is open for writing, by one process at a time: use it in a ``with`` statement."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        """Create the store, or open the one that is there.

        Args:
            path: the store's folder.
            manifest: JSON object: what all samples have in common.

        Raises:
            UserError: the folder holds another model's or another setting's samples, or cannot be written, or
                another process is writing it.
        """
        self.path = path
        self._samples = path / "samples"
        try:
            self._samples.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{path}: another aer-eval is writing to this store; wait for it or give another --out"
            ) from None
        except OSError as problem:
            raise UserError(f"{path}: cannot be written ({problem}); give another --out") from problem
        for torn in self._samples.glob("*.tmp"):
            torn.unlink()
        self.manifest = self._agree({"format": FORMAT, **manifest})

    def __enter__(self) -> SampleStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

    def _agree(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The manifest of the store, written if it is new; raise where it is another run's."""
        if not (self.path / MANIFEST).exists():
            if any(self._samples.iterdir()):
                raise UserError(f"{self.path}: has samples but no {MANIFEST}; restore it or give another --out")
            with whole_file(self.path / MANIFEST) as file:
                json.dump(manifest, file, indent=2)
            return manifest
        there = read_manifest(self.path)
        fixed = ({key: value for key, value in run.items() if key not in FREE_KEYS} for run in (there, manifest))
        different = [f"{key} is {old!r} there, {new!r} here" for key, old, new in differing(*fixed)]
        if different:
            raise UserError(f"{self.path} holds samples of another run ({'; '.join(different)}); give another --out")
        _refuse_other_problems(self.path, _problems(there), _problems(manifest))
        return there

    def done(self) -> dict[str, set[int]]:
        """Sample indices by problem that are in the store."""
        frame = read_samples(self.path, SAMPLE_KEY)
        return {str(problem): set(group) for problem, group in frame.groupby("problem_id")["sample_index"]}

    def append(self, completions: Sequence[Completion], engine: str, model: str, params: str) -> None:
        """Write samples as one part; they are on the disk when this returns.

        Raises:
            UserError: the disk is full or the folder is gone. Nothing of the part is left then.
        """
        now = time.time()
        rows = [{**vars(sample), "engine": engine, "model": model, "params": params, "finished_at": now}
                for sample in completions]  # fmt: skip
        frame = pd.DataFrame(rows, columns=list(SAMPLE_COLUMNS)).astype(SAMPLE_COLUMNS)
        part = self._samples / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"
        try:
            with whole_file(part, "wb") as file:
                frame.to_parquet(file, index=False, compression="zstd")
        except OSError as problem:
            raise UserError(
                f"{part.parent}: samples cannot be written ({problem}); make room and start again"
            ) from problem


def read_manifest(store: Path) -> dict[str, Any]:
    """``store.json`` of a store. Raises UserError where there is none or it is of another format."""
    try:
        manifest = json.loads((store / MANIFEST).read_text())
    except (OSError, ValueError) as problem:
        raise UserError(
            f"{store}: no readable {MANIFEST} ({problem}); give a folder that `aer-eval run` wrote"
        ) from problem
    if manifest.get("format") != FORMAT:
        raise UserError(
            f"{store}: store format {manifest.get('format')}, this aer-eval reads {FORMAT}; use its version"
        )
    return manifest


def find_stores(folder: Path) -> list[Path]:
    """The stores of a run folder, or the folder itself where it is a store. Raises UserError where there is none."""
    found = [folder] if (folder / MANIFEST).is_file() else sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    if not found:
        raise UserError(f"{folder}: no store in it; give a folder that `aer-eval run --out` wrote")
    return found


def read_samples(store: Path, columns: Sequence[str] = tuple(SAMPLE_COLUMNS)) -> pd.DataFrame:
    """The samples of a store, sorted by problem and sample index, in the types of ``SAMPLE_COLUMNS``.

    Args:
        store: the store's folder.
        columns: those that are wanted, ``SAMPLE_KEY`` among them: a large store is mostly text.

    Raises:
        UserError: a sample is in the store twice.
    """
    names = list(columns)
    parts = [pd.read_parquet(part, columns=names) for part in sorted((store / "samples").glob("*.parquet"))]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)
    _refuse_duplicates(frame, store)
    types = {name: SAMPLE_COLUMNS[name] for name in names}
    return frame.astype(types).sort_values(list(SAMPLE_KEY), ignore_index=True)


def read_problems(store: Path) -> dict[str, Problem]:
    """The problems that the store's manifest carries, so that scoring needs neither the hub nor the data."""
    return _problems(read_manifest(store))


def write_grades(store: Path, grader: str, grades: pd.DataFrame) -> Path:
    """Write the grades of all samples by one grader, in place of its earlier ones; return the file."""
    folder = store / "grades"
    folder.mkdir(exist_ok=True)
    path = folder / f"{grader}.parquet"
    with whole_file(path, "wb") as file:
        grades[list(GRADE_COLUMNS)].astype(GRADE_COLUMNS).to_parquet(file, index=False)
    return path


def load_scored(store: Path, label: str | None = None) -> ScoredSuite:
    """A store's samples with their newest grades.

    Args:
        store: the store's folder.
        label: the name to show; the model's name without one.

    Raises:
        UserError: samples are not graded yet, or there are none.
    """
    samples = read_samples(store)
    if samples.empty:
        raise UserError(f"{store}: no samples in it yet; run the `aer-eval run` that made it again")
    graders = sorted((store / "grades").glob("*.parquet"), key=lambda path: path.stat().st_mtime)
    if not graders:
        raise UserError(f"{store}: not graded yet; run `aer-eval score {store}`")
    return join_grades(store, samples, pd.read_parquet(graders[-1]), graders[-1].stem, label)


def join_grades(
    store: Path, samples: pd.DataFrame, grades: pd.DataFrame, grader: str, label: str | None
) -> ScoredSuite:
    """A store's samples with their grades, in the suite's order; see ``load_scored``."""
    manifest = read_manifest(store)
    scored = samples.merge(grades.astype(GRADE_COLUMNS), on=list(SAMPLE_KEY), how="left", validate="one_to_one")
    if scored["verdict"].isna().any():
        raise UserError(f"{store}: has samples that are not graded; run `aer-eval score {store}`")
    problems = {row["id"]: Problem(**row) for row in manifest["problems"]}
    order = {problem: place for place, problem in enumerate(problems)}
    places = scored["problem_id"].map(order).rename("place")
    scored = scored.iloc[
        pd.concat([places, scored["sample_index"]], axis=1).sort_values(["place", "sample_index"]).index
    ]
    return ScoredSuite(
        label=label or manifest["label"],
        suite=manifest["suite"]["name"],
        suite_version=manifest["suite"]["version"],
        problems=problems,
        samples=scored.reset_index(drop=True),
        manifest={**manifest, "grader": grader},
    )


def _problems(manifest: Mapping[str, Any]) -> dict[str, Problem]:
    return {row["id"]: Problem(**row) for row in manifest["problems"]}


def _refuse_other_problems(path: Path, there: Mapping[str, Problem], here: Mapping[str, Problem]) -> None:
    """An id must stand for one question in a store: its samples are graded against the problem there."""
    for name in [*here, *there]:
        if name not in there:
            what = "is not in it"
        elif name not in here:
            what = "is in it, and not here"
        elif field := there[name].differs_in(here[name]):
            what = f"has another {field} in it"
        else:
            continue
        raise UserError(
            f"{path} holds samples of other problems (problem {name!r} {what}); "
            "give the ids, references and --answer-type that it was made with, or another --out"
        )


def _refuse_duplicates(frame: pd.DataFrame, store: Path) -> None:
    twice = frame[frame.duplicated(list(SAMPLE_KEY))]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"{store}: {len(twice)} samples are in it twice, first {row.problem_id!r} sample {row.sample_index}: "
            "parts were copied in by hand; remove them"
        )
