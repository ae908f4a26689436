"""What a study is: the file STUDY.yaml, checked once and expanded into runs, each with its resolved command lines."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from aer_eval.errors import UserError, first_line

NAME = re.compile(r"[\w.-]*\w")
"""What a task or an arm may be called: its name is that of a folder."""
START = "start"
"""The arm of the models that the runs start from, one row a task: they are evaluated, not trained."""
KEYS = {"train", "evaluate", "start", "settings", "flags", "values", "tasks", "arms", "reference", "metrics", "seeds"}
ADDED = ("flags", "values", "arms")
"""The keys in which a study completes its base; every other replaces the base's."""
GIVEN = ("task", "arm", "method", "seed", "run_dir", "flags")
"""The placeholders that a run fills; ``values`` and a task's entries are the others."""


@dataclass(frozen=True)
class Arm:
    """One column of the comparison: a method and the flags that set it apart."""

    name: str
    method: str
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One cell of the grid."""

    task: str
    arm: str
    seed: int
    folder: Path
    flags: Mapping[str, Any]
    """All flags of the training, as JSON holds them."""
    train: tuple[str, ...]
    """The command line that trains, and goes on from its newest checkpoint when it is called again; empty for a task's
    start model, which is evaluated as it is."""
    evaluate: tuple[str, ...]
    """The command line that writes ``pass_at_k.json`` into the folder; empty for none."""

    @property
    def name(self) -> str:
        """``TASK/ARM/seed-N``; ``TASK/start`` of a start model."""
        return f"{self.task}/{self.arm}/seed-{self.seed}" if self.train else f"{self.task}/{self.arm}"

    def portable(self, command: Sequence[str]) -> list[str]:
        """A command line of the run with ``{run_dir}`` for its folder: the same wherever that lies."""
        return [word.replace(str(self.folder), "{run_dir}") for word in command]


@dataclass(frozen=True)
class Study:
    """A grid of runs: every task with every arm and every seed."""

    name: str
    train: str
    """Command line with placeholders such as ``{seed}``."""
    tasks: Mapping[str, Mapping[str, Any]]
    """Name -> the task's own values of placeholders; ``task`` is what ``{task}`` stands for, else the name."""
    arms: Mapping[str, Arm]
    seeds: tuple[int, ...]
    reference: str
    """The arm whose frontier the others are compared with."""
    evaluate: str = ""
    start: str = ""
    """Command line that evaluates a task's start model."""
    flags: Mapping[str, Any] = field(default_factory=dict)
    """Training flags of every run, without their dashes; an arm's flags win."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Values of placeholders; a task's own win."""
    metrics: tuple[str, ...] = ()
    """Metrics of ``metrics.jsonl`` whose means over the last steps are told in the tables too."""
    settings: Callable[[str, str], Mapping[str, Any]] | None = None
    """``(task, method) -> flags``, below ``flags``: the ``flags`` function of the file that ``settings`` names."""

    def runs(self, root: Path) -> list[Run]:
        """All runs, the start models first, then seed by seed, so that every arm has its first result early.

        Their folders are ``root/NAME/TASK/ARM/seed-N`` and ``root/NAME/TASK/start``.

        Raises:
            UserError: an unknown placeholder or method, or two runs that are trained by one command line.
        """
        starts = [self._start(task, root / self.name / task / START) for task in self.tasks if self.start]
        trained = [
            self._run(task, arm, seed, root / self.name / task / arm.name / f"seed-{seed}")
            for task, seed, arm in product(self.tasks, self.seeds, self.arms.values())
        ]
        self._refuse_equal(trained)
        return starts + trained

    def _start(self, task: str, folder: Path) -> Run:
        values = {**self.values, "task": task, **self.tasks[task], "run_dir": folder}
        return Run(task, START, 0, folder, flags={}, train=(), evaluate=fill("start", self.start, values))

    def _run(self, task: str, arm: Arm, seed: int, folder: Path) -> Run:
        flags = {**self._method_flags(task, arm), **self.flags, **arm.flags}
        given = {"arm": arm.name, "method": arm.method, "seed": seed, "run_dir": folder, "flags": to_arguments(flags)}
        values = {**self.values, "task": task, **self.tasks[task], **given}
        return Run(
            task,
            arm.name,
            seed,
            folder,
            json.loads(json.dumps(flags, default=str)),
            fill("train", self.train, values),
            fill("evaluate", self.evaluate, values),
        )

    def _method_flags(self, task: str, arm: Arm) -> Mapping[str, Any]:
        if self.settings is None:
            return {}
        try:
            return self.settings(self.tasks[task].get("task", task), arm.method)
        except ValueError as problem:
            raise UserError(f"{self.name}: arm {arm.name}: {problem}") from problem

    def _refuse_equal(self, runs: Sequence[Run]) -> None:
        """UserError where two runs have one command line: what sets them apart does not reach it."""
        first: dict[tuple[str, ...], Run] = {}
        for run in runs:
            other = first.setdefault(tuple(run.portable(run.train)), run)
            if other is not run:
                wanted = (
                    "{seed}" if other.seed != run.seed else "{flags} or {method}" if other.arm != run.arm else "{task}"
                )
                raise UserError(
                    f"{self.name}: train is the same command line for {other.name} and {run.name}; put {wanted} into "
                    "it, or remove one of them"
                )


def to_arguments(flags: Mapping[str, Any]) -> list[str]:
    """Command-line words of flags without their dashes: True is a bare flag, None no flag, a list several values."""
    words: list[str] = []
    for name, value in flags.items():
        if value is True:
            words.append(f"--{name}")
        elif value is not None:
            words += [f"--{name}", *map(str, value if isinstance(value, list | tuple) else [value])]
    return words


def fill(key: str, template: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The words of a command line, placeholders replaced; a list that stands alone becomes several words.

    Raises:
        UserError: names the key of the study and the placeholder that is unknown, or a list within a word.
    """
    words: list[str] = []
    for word in shlex.split(template):
        alone = values.get(word[1:-1]) if word.startswith("{") and word.endswith("}") else None
        if isinstance(alone, list | tuple):
            words += map(str, alone)
            continue
        for name in re.findall(r"{(\w+)}", word):
            if isinstance(values.get(name), list | tuple):
                raise UserError(f"{key}: {word}: {name} is a list, several words; let {{{name}}} stand alone")
        try:
            words.append(word.format_map(values))
        except (KeyError, ValueError, IndexError, AttributeError) as problem:
            raise UserError(f"{key}: {word}: unknown placeholder; there are {', '.join(values)}") from problem
    return tuple(words)


def load(path: Path) -> Study:
    """Read STUDY.yaml; ``base`` is a file beside it, every other path one of the current folder.

    Raises:
        UserError: one line with the file, the key and the mend.
    """
    try:
        return _parse(path.stem, _read(path))
    except ValueError as problem:
        raise UserError(f"{path}: {problem}") from problem


def _read(path: Path) -> dict[str, Any]:
    """The file's contents over those of its base: flags, values and arms are added to it, all else replaces it."""
    try:
        contents = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(contents, dict):
            raise UserError(f"{path}: not a mapping; docs/study-runner.md shows a study")
        if "base" not in contents:
            return contents
        base = _read(path.parent / str(contents.pop("base")))
    except (OSError, yaml.YAMLError) as problem:
        raise UserError(f"{path}: {' '.join(str(problem).split())}") from problem
    added = {key: {**_mapping(key, base.get(key)), **_mapping(key, contents.get(key))} for key in ADDED}
    return {**base, **contents, **added}


def _parse(name: str, contents: Mapping[str, Any]) -> Study:
    if unknown := set(contents) - KEYS:
        raise ValueError(f"{', '.join(sorted(map(str, unknown)))}: unknown; there are {', '.join(sorted(KEYS))}")
    for key in ("train", "tasks", "arms", "seeds"):
        if not contents.get(key):
            raise ValueError(f"{key} is missing or empty")
    tasks = {
        _name("tasks", task): _mapping(task, values) for task, values in _mapping("tasks", contents["tasks"]).items()
    }
    values = _mapping("values", contents.get("values"))
    for key in {*values, *(key for task in tasks.values() for key in task if key != "task")} & set(GIVEN):
        raise ValueError(f"{key}: filled by the run itself, so it cannot be among the values")
    seeds = contents["seeds"]
    if not isinstance(seeds, list) or any(type(seed) is not int for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds is {seeds}: give a list of different whole numbers")
    arms = {arm: _arm(_name("arms", arm), entry) for arm, entry in _mapping("arms", contents["arms"]).items()}
    if START in arms:
        raise ValueError(f"arms: {START}: the name of the start model's row; call the arm something else")
    reference = contents.get("reference", next(iter(arms)))
    if reference not in arms:
        raise ValueError(f"reference: {reference}: no such arm; there are {', '.join(arms)}")
    return Study(
        name=_name("the file's name", name),
        train=_command("train", contents["train"]),
        evaluate=_command("evaluate", contents.get("evaluate", "")),
        start=_command("start", contents.get("start", "")),
        tasks=tasks,
        arms=arms,
        reference=reference,
        seeds=tuple(seeds),
        flags=_flags("flags", contents.get("flags")),
        values=values,
        metrics=_metrics(contents.get("metrics", [])),
        settings=_load_settings(contents["settings"]) if "settings" in contents else None,
    )


def _arm(name: str, entry: Any) -> Arm:
    entry = _mapping(name, entry)
    if unknown := set(entry) - {"method", "flags"}:
        raise ValueError(f"arms: {name}: {', '.join(sorted(map(str, unknown)))}: an arm has method and flags")
    return Arm(name, str(entry.get("method", name)), _flags(name, entry.get("flags")))


def _flags(key: str, value: Any) -> dict[str, Any]:
    flags = _mapping(key, value)
    for name, setting in flags.items():
        if name.startswith("-") or setting is False or isinstance(setting, dict):
            raise ValueError(f"{key}: {name}: {setting}: a flag is without dashes; true is a bare flag, null is none")
    return flags


def _metrics(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"metrics is {value}: give a list of names such as aer/alpha (docs/metrics.md)")
    return tuple(value)


def _mapping(key: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{key}: not a mapping of names; quote a name that YAML takes for a number")
    return value


def _name(key: str, value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"{key}: {value!r}: the name of a folder: letters, digits, dots, dashes, underscores")
    return value


def _command(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{key}: not a command line")
    try:
        shlex.split(value)
    except ValueError as problem:
        raise ValueError(f"{key}: {problem}") from problem
    return value


def _load_settings(value: Any) -> Callable[[str, str], Mapping[str, Any]]:
    """The ``flags`` function of a Python file, which finds the modules beside it."""
    path = Path(str(value))
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        settings = runpy.run_path(str(path))
    except Exception as problem:  # whatever the file raises
        raise ValueError(f"settings: {path}: {first_line(problem)}") from problem
    finally:
        sys.path.pop(0)
    if not callable(settings.get("flags")):
        raise ValueError(f"settings: {path}: has no function flags(task, method)")
    function: Callable[[str, str], Mapping[str, Any]] = settings["flags"]
    return function
