"""`aer-eval suites`: the list, and a suite that is loaded and checked."""

import argparse
import json
from pathlib import Path

import pytest

from aer_eval.cli import suites as command
from aer_eval.cli.table import text_table
from aer_eval.errors import UserError
from aer_eval.suites.load import load_suite


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(["suites", *arguments]))


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["suite", "problems", "answers", "hub", "checked", "licence"]
    assert [line.split()[:5] for line in lines if line.startswith(("gsm8k", "amc23"))] == [
        ["amc23", "40", "integer", "math-ai/amc23", "yes"],
        ["gsm8k", "1319", "integer", "openai/gsm8k", "no"],
    ]
    assert "aer_math: aime24, aime25, amc23, math500" in lines


def test_a_suite_is_loaded_and_its_checksum_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "make_n.jsonl"
    path.write_text(json.dumps({"prompt": "057=", "label": 57}) + "\n")
    assert run("make_n", "--data", str(tmp_path)) == 0
    checksum = load_suite("make_n", path).checksum
    assert capsys.readouterr().out == f"make_n version 1: 1 problems, make_n answers, checksum {checksum}\n"


def test_other_problems_are_refused_and_can_be_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "aime24.jsonl"
    path.write_text(json.dumps({"problem": "Find 7.", "answer": "007"}) + "\n")
    with pytest.raises(UserError, match="1 problems, aime24 has 30"):
        run("aime24", "--data", str(path))
    assert run("aime24", "--data", str(path), "--allow-mismatch") == 0
    assert "(not one that is known)" in capsys.readouterr().out


def test_flags_without_a_name_do_nothing_and_say_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give its NAME"):
        run("--data", str(tmp_path))


def test_a_table_has_numbers_to_the_right() -> None:
    assert text_table(("name", "n"), [("a", 5), ("long name", 10)]) == "name        n\na           5\nlong name  10"
