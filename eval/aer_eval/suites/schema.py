"""What a suite is: the fields of ``definitions/*.yaml``, checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aer_eval.errors import UserError
from aer_eval.records import AnswerType

AnswerCut = Literal["whole", "after_hashes", "last_box"]
"""How the reference is cut out of its field: not at all, what follows the last ``####``, what the last box holds."""


NAME = re.compile(r"[\w.-]*\w")
"""What a suite may be called: its name is that of a folder."""


@dataclass(frozen=True)
class HubSource:
    """A dataset on the Hugging Face hub."""

    id: str
    """Such as ``openai/gsm8k``."""
    revision: str
    """The commit, which fixes the content; ``main`` only where none is known."""
    split: str
    configs: tuple[str, ...] = ()
    """Configurations whose rows are put together; empty for the dataset's only one."""


@dataclass(frozen=True)
class SuiteDefinition:
    """A problem set: where it comes from, how its rows are read, and what it must hold."""

    name: str
    """As ``NAME``."""
    version: int
    """Goes up with every change that changes problems or references: numbers of two versions are not comparable."""
    answer_type: AnswerType
    template: str
    """The prompt template that is used where the user names none."""
    problem_field: str
    answer_field: str
    licence: str
    """Of the problems, as their publisher states it, and who owns them where that is somebody else."""
    source: str
    """Where the problems were first published."""
    answer_cut: AnswerCut = "whole"
    id_field: str | None = None
    """None: ids are made of the problem texts, so that the hub's rows and a local file give the same ones."""
    metadata_fields: tuple[str, ...] = ()
    """Fields that are kept beside a problem, where a row has them."""
    num_problems: int | None = None
    """How many there are; None where any number is right."""
    hub: HubSource | None = None
    """None: the problems come from a local file only."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Known transcriptions of the problems, name to ``gold.checksum``; ``hub`` is the hub's at the revision above."""

    def __post_init__(self) -> None:
        for reason in _faults(self):
            raise ValueError(f"suite {self.name!r}: {reason}")

    @property
    def checked(self) -> bool:
        """Whether the rows that the hub has at this revision were seen and are known by their checksum."""
        return self.hub is not None and "hub" in self.checksums


def _faults(definition: SuiteDefinition) -> list[str]:
    """What is wrong with a definition."""
    rules = {
        "name has characters that a folder's name should not have": NAME.fullmatch(definition.name),
        "version is not 1 or more": definition.version >= 1,
        f"answer_type is not one of {', '.join(get_args(AnswerType))}": definition.answer_type in get_args(AnswerType),
        f"cut is not one of {', '.join(get_args(AnswerCut))}": definition.answer_cut in get_args(AnswerCut),
        "num_problems is not 1 or more": definition.num_problems is None or definition.num_problems >= 1,
        "a checksum is not 64 hexadecimal digits": all(
            re.fullmatch("[0-9a-f]{64}", checksum) for checksum in definition.checksums.values()
        ),
        "revision is neither a commit nor main": definition.hub is None
        or re.fullmatch("[0-9a-f]{40}|main", definition.hub.revision),
    }
    return [reason for reason, holds in rules.items() if not holds]


def parse_definition(contents: Mapping[str, Any], origin: str) -> SuiteDefinition:
    """The definition that a YAML file's contents stand for.

    Args:
        contents: the file's top-level mapping.
        origin: the file's name, for the error.

    Raises:
        UserError: a key is missing, unknown or of a wrong value.
    """
    keys = dict(contents)
    try:
        fields = keys.pop("fields")
        hub, checksums = keys.pop("hub", None), keys.pop("checksums", None)
        return SuiteDefinition(
            problem_field=fields["problem"],
            answer_field=fields["answer"],
            answer_cut=fields.get("cut", "whole"),
            metadata_fields=tuple(fields.get("metadata", ())),
            hub=HubSource(**{**hub, "configs": tuple(hub.get("configs", ()))}) if hub else None,
            checksums=checksums or {},
            **keys,
        )
    except KeyError as problem:
        raise UserError(f"{origin}: no key {problem}; add it") from problem
    except (TypeError, ValueError) as problem:
        raise UserError(f"{origin}: {problem}; mend the file") from problem
