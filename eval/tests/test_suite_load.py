"""Loading a suite: files, the hub, its cache, and rows that are no problems."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from aer_eval.errors import UserError
from aer_eval.suites.gold import checksum
from aer_eval.suites.load import Suite, load_suite, load_suites, user_suite
from aer_eval.suites.schema import HubSource, SuiteDefinition

TINY = SuiteDefinition(
    name="tiny",
    version=1,
    answer_type="integer",
    template="chat",
    problem_field="question",
    answer_field="solution",
    answer_cut="last_box",
    metadata_fields=("level", "url"),
    licence="CC0",
    source="made up",
    num_problems=2,
)
ROWS = [
    {"question": " What is $1 + 1$? ", "solution": r"It is \boxed{02}.", "level": 3, "url": None},
    {"question": "What is $2 + 3$?", "solution": r"\boxed{5}", "level": 1},
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_become_problems(tmp_path: Path) -> None:
    suite = load_suite(TINY, write(tmp_path / "any.jsonl", ROWS))
    assert [(problem.problem, problem.answer) for problem in suite.problems] == [
        ("What is $1 + 1$?", "2"),
        ("What is $2 + 3$?", "5"),
    ]
    assert [problem.metadata for problem in suite.problems] == [{"level": "3"}, {"level": "1"}]
    assert {problem.answer_type for problem in suite.problems} == {"integer"}
    assert suite.identity() == {"name": "tiny", "version": 1, "checksum": checksum(suite.problems)}


@pytest.mark.parametrize("name", ["tiny.jsonl", "tiny.json", "tiny.parquet", "tiny_test.jsonl"])
def test_a_folder_holds_the_file_of_the_suite(name: str, tmp_path: Path) -> None:
    write(tmp_path / "tinytot.jsonl", [])
    path = tmp_path / name
    if path.suffix == ".parquet":
        pd.DataFrame(ROWS).to_parquet(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(ROWS, indent=1))
    else:
        write(path, ROWS)
    assert len(load_suite(TINY, tmp_path).problems) == 2


def test_a_folder_without_the_file_or_with_two(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no tiny\.jsonl, \.json or \.parquet in it"):
        load_suite(TINY, tmp_path)
    write(tmp_path / "tiny_a.jsonl", ROWS)
    write(tmp_path / "tiny_b.jsonl", ROWS)
    with pytest.raises(UserError, match=r"tiny_a\.jsonl and tiny_b\.jsonl could all be tiny"):
        load_suite(TINY, tmp_path)


def test_ids_come_from_the_texts_whatever_the_transcription(tmp_path: Path) -> None:
    twice = [*ROWS, ROWS[0]]
    definition = replace(TINY, num_problems=3)
    ids = [problem.id for problem in load_suite(definition, write(tmp_path / "a.jsonl", twice)).problems]
    assert len(ids[0]) == 12 and ids[2] == f"{ids[0]}-2" and ids[1] not in (ids[0], ids[2])
    other = [{"id": n, "Problem": row["question"].replace(" ", "  "), "ANSWER": n} for n, row in enumerate(twice)]
    assert [problem.id for problem in load_suite(definition, write(tmp_path / "b.jsonl", other)).problems] == ids


def test_other_field_names_hold_the_answer_as_it_is(tmp_path: Path) -> None:
    rows = [{"prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}], "Gold": ["7"]}]
    suite = load_suite(replace(TINY, num_problems=1), write(tmp_path / "tiny.jsonl", rows))
    assert (suite.problems[0].problem, suite.problems[0].answer) == ("Q", "7")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q"}, "no field solution, answer, gold, label"),
        ({"solution": r"\boxed{1}"}, "no field question, problem, prompt, input (it has solution)"),
        ({"question": " ", "solution": r"\boxed{1}"}, "'question' is empty"),
        ({"question": None, "solution": r"\boxed{1}"}, "'question' is NoneType, not text"),
        ({"question": "q", "solution": True}, "'solution' is bool, not text"),
        ({"question": "q", "answer": float("nan")}, "'answer' is float, not text"),
        ({"question": "q", "solution": "no box"}, r"no \boxed{...} in 'solution'"),
        ({"question": "q", "solution": r"\boxed{x}"}, "no integer answer in 'solution' ('x' is not an integer)"),
        ({"question": "q", "answer": "$$"}, "no integer answer in 'answer' (empty)"),
        (["q", "a"], "not an object with named fields"),
    ],
)
def test_a_bad_row_is_named_with_its_line(row: Any, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.jsonl", [ROWS[0], row])
    with pytest.raises(UserError) as caught:
        load_suite(TINY, path)
    assert str(caught.value).startswith(f"{path} line 2: {message}") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("torn.jsonl", b'{"question": "q"}\n{"que', "torn.jsonl line 2: not valid JSON"),
        ("latin.jsonl", '{"question": "é"}'.encode("latin-1"), "latin.jsonl: cannot be read as UTF-8 text"),
        ("broken.parquet", b"PAR1", "broken.parquet: cannot be read as Parquet"),
        ("table.csv", b"question,answer\n", "table.csv: not a file type that is read here"),
        ("empty.jsonl", b"", "empty.jsonl: no rows"),
    ],
)
def test_an_unreadable_file_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_suite(TINY, tmp_path / name)


def test_a_wrong_number_or_other_problems_are_refused_unless_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.jsonl", ROWS)
    known = {"hub": load_suite(TINY, path).checksum}
    definition = replace(TINY, checksums=known)
    assert load_suite(definition, path).transcription == "hub"
    short = write(tmp_path / "short.jsonl", ROWS[:1])
    with pytest.raises(UserError, match=r"short\.jsonl: 1 problems, tiny has 2; .*--allow-mismatch"):
        load_suite(definition, short)
    other = write(tmp_path / "other.jsonl", [ROWS[0], {**ROWS[1], "solution": r"\boxed{6}"}])
    with pytest.raises(UserError, match=r"other problems or answers than those of tiny version 1 .*--allow-mismatch"):
        load_suite(definition, other)
    assert len(load_suite(definition, short, allow_mismatch=True).problems) == 1
    assert load_suite(definition, other, allow_mismatch=True).transcription is None


def test_a_known_transcription_may_have_another_number_of_problems(tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.jsonl", ROWS[:1])
    known = load_suite(TINY, path, allow_mismatch=True).checksum
    assert load_suite(replace(TINY, checksums={"older state": known}), path).transcription == "older state"


def on_hub(checksums: dict[str, str], *configs: str) -> SuiteDefinition:
    return replace(TINY, hub=HubSource("me/tiny", "a" * 40, "test", configs), checksums=checksums)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `datasets.load_dataset` was asked for; it gives one row a configuration, or both without one."""
    datasets = pytest.importorskip("datasets")
    calls: list[Any] = []

    def load_dataset(name: str, config: str | None, split: str, revision: str) -> Any:
        calls.append((name, config, split, revision))
        if config == "none":
            raise ValueError("Unknown configuration.\nThere are two.")
        return datasets.Dataset.from_list({"one": ROWS[:1], "two": ROWS[1:], None: ROWS}[config])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def test_the_hub_is_asked_for_every_configuration_at_the_revision(asked: list[Any], tmp_path: Path) -> None:
    suite = load_suite(on_hub({}, "one", "two"))
    assert asked == [("me/tiny", "one", "test", "a" * 40), ("me/tiny", "two", "test", "a" * 40)]
    assert suite == replace(load_suite(TINY, write(tmp_path / "t.jsonl", ROWS)), definition=suite.definition)


def test_the_hub_is_held_against_its_own_checksum_only(asked: list[Any]) -> None:
    assert len(load_suite(on_hub({"a copy": "0" * 64})).problems) == 2
    with pytest.raises(UserError, match=r"me/tiny@aaaaaaaa: other problems or answers"):
        load_suite(on_hub({"hub": "0" * 64}))


def test_a_hub_that_does_not_answer_is_one_line(asked: list[Any]) -> None:
    with pytest.raises(UserError) as caught:
        load_suite(on_hub({}, "none"))
    assert "me/tiny: split 'test' of configuration 'none' cannot be loaded" in str(caught.value)
    assert "(Unknown configuration.); " in str(caught.value) and "\n" not in str(caught.value)


OFFLINE = """
import sys
from aer_eval.errors import UserError
from aer_eval.suites.load import load_suite
from aer_eval.suites.schema import HubSource, SuiteDefinition

hub = HubSource("me/tiny", sys.argv[1], "test")
try:
    tiny = SuiteDefinition("tiny", 1, "integer", "chat", "question", "solution", "", "", "last_box", hub=hub)
    suite = load_suite(tiny)
    print([problem.answer for problem in suite.problems])
except UserError as problem:
    print(problem)
"""


def test_offline_the_cache_is_used_and_another_revision_refused(tmp_path: Path) -> None:
    json_builder = pytest.importorskip("datasets.packaged_modules.json.json").Json
    source = write(tmp_path / "test.jsonl", ROWS)
    builder = json_builder(
        cache_dir=str(tmp_path / "made"), dataset_name="tiny", hash="a" * 40, data_files={"test": [str(source)]}
    )
    builder.download_and_prepare()
    cached = tmp_path / "home" / "datasets" / "me___tiny" / "default" / "0.0.0" / ("a" * 40)
    cached.parent.mkdir(parents=True)
    Path(builder.cache_dir).rename(cached)

    def load(revision: str) -> str:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
        environment.pop("HF_DATASETS_CACHE", None)
        command = [sys.executable, "-c", OFFLINE, revision]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert load("a" * 40) == "['2', '5']\n"
    assert "me/tiny: the cache has revision aaaaaaaa, not bbbbbbbb" in load("b" * 40)


def test_a_suite_without_a_hub_wants_a_file() -> None:
    with pytest.raises(UserError, match="--suite countdown3: its problems are on no hub; give a file with --data"):
        load_suite("countdown3")


def test_demo_tasks_load_from_the_files_that_train_on_them(tmp_path: Path) -> None:
    countdown = load_suite(
        "countdown3", write(tmp_path / "c.jsonl", [{"prompt": "123 006=", "label": "[[1, 2, 3], 6]"}])
    )
    make_n = load_suite("make_n", write(tmp_path / "m.jsonl", [{"prompt": "057=", "label": "57"}]))
    assert (countdown.problems[0].problem, countdown.problems[0].answer) == ("123 006=", "[[1, 2, 3], 6]")
    assert (make_n.problems[0].answer, make_n.problems[0].answer_type) == ("57", "make_n")


def test_any_file_with_two_fields_is_a_suite(tmp_path: Path) -> None:
    path = write(tmp_path / "my-set.jsonl", [{"id": "p1", "q": "Q?", "a": "$x$"}, {"id": "p2", "q": "R?", "a": "y"}])
    suite = user_suite(path, "q", "a")
    assert (suite.name, suite.definition.version, suite.definition.template) == ("my-set", 1, "chat")
    assert [(p.id, p.problem, p.answer, p.answer_type) for p in suite.problems] == [
        ("p1", "Q?", "x", "math"),
        ("p2", "R?", "y", "math"),
    ]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"id": "p1", "q": "R?", "a": "2"}, "line 2: id 'p1' is already that of"),
        ({"q": "R?", "a": "2"}, "line 2: no text in 'id'"),
        (
            {"id": "p2", "question": "R?", "a": "2"},
            "line 2: no field 'q' (it has id, question, a); mend --problem-field",
        ),
    ],
)
def test_a_file_of_ones_own_is_read_as_the_flags_say(second: Any, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"id": "p1", "q": "Q?", "a": "1"}, second])
    with pytest.raises(UserError) as caught:
        user_suite(path, "q", "a", "integer")
    assert message in str(caught.value)


def test_a_file_that_cannot_name_a_suite(tmp_path: Path) -> None:
    path = write(tmp_path / "my set.jsonl", [{"question": "Q", "answer": "1"}])
    with pytest.raises(UserError, match="a suite is named after its file"):
        user_suite(path)


def test_names_groups_and_files_are_loaded_together(tmp_path: Path) -> None:
    write(tmp_path / "countdown3.jsonl", [{"prompt": "123 006=", "label": "[[1, 2, 3], 6]"}])
    write(tmp_path / "make_n.jsonl", [{"prompt": "057=", "label": "57"}])
    own = write(tmp_path / "own.jsonl", [{"question": "Q", "answer": "1"}])

    def names(suites: list[Suite]) -> list[str]:
        return [suite.name for suite in suites]

    assert names(load_suites(["make_n", str(own), "countdown3"], tmp_path)) == ["make_n", "countdown3", "own"]
    with pytest.raises(UserError, match="one file cannot hold 2 suites"):
        load_suites(["make_n", "countdown3"], own)
    with pytest.raises(UserError, match="2 suites are named own"):
        load_suites([str(own), str(own)])
