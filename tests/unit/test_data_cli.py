"""`aer-data prompts`: what it writes, and that bad input ends in one line and no file."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from aer_eval.errors import UserError
from aer_openrlhf.cli.data import main
from aer_openrlhf.data.files import write_jsonl

GSM8K = [
    {"question": "How many clips?", "answer": "48/2 = <<48/2=24>>24 clips.\n#### 72"},
    {"question": " How much money?\n", "answer": "It is 1,000.\n#### 1,000 "},
]


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def prompts(source: Path, *options: str) -> tuple[int, Path]:
    """Exit code and output file of one call."""
    out = source.parent / "out" / "prompts.jsonl"
    return main(["prompts", str(source), str(out), *options]), out


def read(out: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def write_source(folder: Path, file_type: str) -> Path:
    path = folder / f"data.{file_type}"
    if file_type == "jsonl":
        return write_lines(path, GSM8K)
    if file_type == "json":
        path.write_text(json.dumps(GSM8K, indent=2))
    else:
        from datasets import Dataset

        Dataset.from_list(GSM8K).to_parquet(path)
    return path


@pytest.mark.parametrize("file_type", ["jsonl", "json", "parquet"])
def test_gsm8k_gold_is_what_follows_the_marker(file_type: str, tmp_path: Path) -> None:
    code, out = prompts(write_source(tmp_path, file_type), "--answer-after", "####", "--template", "plain")
    assert code == 0
    request = "\nPlease reason step by step, and put your final answer within \\boxed{}."
    assert read(out) == [
        {"prompt": "How many clips?" + request, "label": "72"},
        {"prompt": "How much money?" + request, "label": "1,000"},
    ]


def test_the_written_out_chat_format_ends_where_the_assistant_begins(tmp_path: Path) -> None:
    code, out = prompts(write_source(tmp_path, "jsonl"), "--answer-after", "####", "--template", "qwen-boxed")
    assert code == 0
    prompt = read(out)[0]["prompt"]
    assert prompt.startswith("<|im_start|>system\nPlease reason")
    assert prompt.endswith("<|im_start|>user\nHow many clips?<|im_end|>\n<|im_start|>assistant\n")


def test_fields_limit_and_raw_template(tmp_path: Path) -> None:
    rows = [{"problem": f"{n} + 1", "solution": str(n + 1)} for n in range(5)]
    options = ("--question-field", "problem", "--answer-field", "solution", "--limit", "2")
    code, out = prompts(write_lines(tmp_path / "data.jsonl", rows), *options)
    assert code == 0
    assert read(out) == [{"prompt": "0 + 1", "label": "1"}, {"prompt": "1 + 1", "label": "2"}]


@pytest.mark.parametrize(
    ("bad_row", "message"),
    [
        ({"question": "q"}, "no field 'answer' (it has question); name the right one with --answer-field"),
        ({"question": "q", "answer": "  "}, "'answer' is empty"),
        ({"question": None, "answer": "a"}, "'question' is NoneType, not text"),
        ({"question": "q", "answer": 42}, "'answer' is int, not text"),
        (["q", "a"], "not an object with named fields"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(
    bad_row: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "data.jsonl", [GSM8K[0], bad_row])
    code, out = prompts(source)
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith(f"aer-data: error: {source} line 2: {message}") and error.count("\n") == 1
    assert list(out.parent.iterdir()) == []


def test_a_missing_marker_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_lines(tmp_path / "data.jsonl", [{"question": "q", "answer": "72"}])
    assert prompts(source, "--answer-after", "####")[0] == 2
    assert f"{source} line 1: nothing follows '####' in 'answer'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("torn.jsonl", b'{"question": "q", "answer": "a"}\n{"question": "q', "torn.jsonl line 2: not valid JSON"),
        ("latin.jsonl", '{"question": "é"}'.encode("latin-1"), "latin.jsonl: cannot be read as UTF-8 text"),
        ("broken.json", b'[{"question": "q"', "broken.json: not valid JSON"),
        ("broken.parquet", b"PAR1", "broken.parquet: cannot be read as Parquet"),
        ("table.csv", b"question,answer\n", "table.csv: not a file type that is read here"),
        ("empty.jsonl", b"", "no rows"),
    ],
)
def test_an_unreadable_source_is_one_line(
    name: str, content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    code, out = prompts(tmp_path / name)
    error = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert error.startswith("aer-data: error: ") and message in error
    assert not out.exists()


def test_a_path_that_is_not_there_does_not_go_to_the_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prompts(tmp_path / "none.jsonl")[0] == 2
    assert "none.jsonl: no such file" in capsys.readouterr().err


def test_the_hub_is_asked_for_split_and_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import datasets

    asked: list[Any] = []

    def load_dataset(name: str, config: str | None, split: str, revision: str | None) -> list[dict[str, str]]:
        asked.append((name, config, split))
        if split != "test":
            raise ValueError(f"Unknown split {split!r}.\nShould be one of ['test'].")
        return GSM8K

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    out = tmp_path / "out.jsonl"
    assert main(["prompts", "openai/gsm8k", str(out), "--config", "main", "--split", "test"]) == 0
    assert asked == [("openai/gsm8k", "main", "test")] and len(read(out)) == 2
    assert main(["prompts", "openai/gsm8k", str(out), "--split", "none"]) == 2
    error = capsys.readouterr().err
    assert "openai/gsm8k: split 'none' cannot be loaded from the hub (Unknown split 'none'.)" in error
    assert error.count("\n") == 1
    assert len(read(out)) == 2  # an earlier file stays as it was


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_lines(tmp_path / "data.jsonl", GSM8K)
    assert main(["prompts", str(source), str(source / "out.jsonl")]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (date(2025, 1, 1), "Object of type date is not JSON serializable"),
        ("\ud800", "surrogates not allowed"),
        (float("nan"), "Out of range float values are not JSON compliant"),
    ],
)
def test_a_row_that_json_cannot_hold_is_one_line_and_no_file(value: Any, problem: str, tmp_path: Path) -> None:
    out = tmp_path / "easy.jsonl"
    with pytest.raises(UserError) as refused:
        write_jsonl([{"prompt": "1+1"}, {"prompt": "2+2", "added": value}], out)
    assert str(refused.value).startswith(f"{out}: its row 2 cannot be written as JSON (")
    assert problem in str(refused.value) and not out.exists()
