"""Suite definitions: what the package has, what a definition may say, and what names stand for."""

from importlib.resources import files
from typing import Any

import pytest

from aer_eval.errors import UserError
from aer_eval.suites.registry import GROUPS, definitions, find_definition, resolve_suites
from aer_eval.suites.schema import HubSource, SuiteDefinition, parse_definition
from aer_eval.suites.templates import TEMPLATES

CONTENTS: dict[str, Any] = {
    "name": "tiny",
    "version": 2,
    "answer_type": "integer",
    "template": "plain",
    "licence": "CC0",
    "source": "made up",
    "num_problems": 3,
    "hub": {"id": "me/tiny", "revision": "a" * 40, "split": "test", "configs": ["one", "two"]},
    "fields": {"problem": "question", "answer": "solution", "cut": "last_box", "metadata": ["level"]},
    "checksums": {"hub": "0" * 64},
}


def test_a_definition_is_read_field_by_field() -> None:
    assert parse_definition(CONTENTS, "tiny.yaml") == SuiteDefinition(
        name="tiny",
        version=2,
        answer_type="integer",
        template="plain",
        problem_field="question",
        answer_field="solution",
        answer_cut="last_box",
        metadata_fields=("level",),
        licence="CC0",
        source="made up",
        num_problems=3,
        hub=HubSource("me/tiny", "a" * 40, "test", ("one", "two")),
        checksums={"hub": "0" * 64},
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a/b"}, "name has characters"),
        ({"version": 0}, "version is not 1 or more"),
        ({"answer_type": "essay"}, "answer_type is not one of integer, math"),
        ({"fields": {"problem": "q", "answer": "a", "cut": "first"}}, "cut is not one of whole"),
        ({"fields": {"problem": "q"}}, "no key 'answer'"),
        ({"num_problems": 0}, "num_problems is not 1 or more"),
        ({"checksums": {"hub": "abc"}}, "a checksum is not 64"),
        ({"hub": {"id": "me/tiny", "revision": "v1.0", "split": "test"}}, "revision is neither a commit nor main"),
        ({"hub": {"id": "me/tiny", "split": "test"}}, "revision"),
        ({"temperature": 1}, "temperature"),
    ],
)
def test_a_wrong_definition_is_named_with_its_file(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=r"^tiny\.yaml: ") as caught:
        parse_definition({**CONTENTS, **change}, "tiny.yaml")
    assert message in str(caught.value)


def test_a_suite_is_checked_if_the_checksum_of_the_hub_is_known() -> None:
    assert parse_definition(CONTENTS, "").checked
    assert not parse_definition({**CONTENTS, "checksums": {"a copy": "0" * 64}}, "").checked
    assert not parse_definition({**CONTENTS, "checksums": None}, "").checked


def test_the_package_has_the_suites_and_each_file_has_its_name() -> None:
    expected = {"aime24", "aime25", "aime26", "amc23", "math500", "minerva_math", "olympiadbench", "hmmt_feb25"}
    assert set(definitions()) == expected | {"gsm8k", "math", "countdown3", "make_n", "swap_sort"}
    names = {file.name for file in files("aer_eval.suites").joinpath("definitions").iterdir()}
    assert names == {f"{name}.yaml" for name in definitions()}


def test_the_definitions_use_templates_that_exist_and_pin_the_hub() -> None:
    for definition in definitions().values():
        assert definition.template in TEMPLATES
        assert (definition.hub is None) == (definition.answer_type in ("countdown3", "make_n", "swap_sort"))
        assert definition.hub is None or len(definition.hub.revision) == 40
    assert {name: find_definition(name).num_problems for name in GROUPS["aer_math"]} == {
        "aime24": 30,
        "aime25": 30,
        "amc23": 40,
        "math500": 500,
    }


def test_groups_are_expanded_once_and_in_order() -> None:
    assert resolve_suites(["math500", "aer_math", "gsm8k", "gsm8k"]) == [
        "math500",
        "aime24",
        "aime25",
        "amc23",
        "gsm8k",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("amie24", "did you mean aime24"), ("AER_MATH", "did you mean aer_math"), ("zzz", "there are aime24, aime25")],
)
def test_an_unknown_name_gets_the_nearest_one(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=f"--suite {name}: no such suite; {hint}"):
        resolve_suites(["gsm8k", name])
