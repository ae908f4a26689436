"""The suites that come with the package, and the groups of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import yaml

from aer_eval.errors import UserError
from aer_eval.suites.schema import SuiteDefinition, parse_definition

GROUPS = {"aer_math": ("aime24", "aime25", "amc23", "math500")}
"""Names that stand for several suites."""


@cache
def definitions() -> dict[str, SuiteDefinition]:
    """All definitions of the package by name, in alphabetical order."""
    found = {}
    for file in sorted(files("aer_eval.suites").joinpath("definitions").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            definition = parse_definition(yaml.safe_load(file.read_text(encoding="utf-8")), file.name)
            found[definition.name] = definition
    return found


def find_definition(name: str) -> SuiteDefinition:
    """The definition of a suite. Raises UserError, with the nearest name, where there is none."""
    if name not in definitions():
        raise UserError(_unknown(name, list(definitions())))
    return definitions()[name]


def resolve_suites(names: Sequence[str]) -> list[str]:
    """The suites that names of suites and groups stand for, each once, in the order of the names.

    Raises:
        UserError: a name is neither; the message has the nearest one.
    """
    resolved: dict[str, None] = {}
    for name in names:
        if name not in GROUPS and name not in definitions():
            raise UserError(_unknown(name, [*definitions(), *GROUPS]))
        resolved |= dict.fromkeys(GROUPS.get(name, (name,)))
    return list(resolved)


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"--suite {name}: no such suite; {hint}"
