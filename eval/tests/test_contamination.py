"""Contamination: which problems are in a training set, found by hand-made texts; and the command."""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from aer_eval.cli import contamination as command
from aer_eval.contamination import TrainingText, find_overlaps, words
from aer_eval.errors import UserError
from aer_eval.records import Problem


def problem(name: str, text: str) -> Problem:
    return Problem(name, text, "1", "math")


def training(*texts: str) -> list[TrainingText]:
    return [TrainingText(f"line {number}", text) for number, text in enumerate(texts, 1)]


def test_words_are_runs_of_letters_or_digits() -> None:
    assert words(r"Let $2x=\left(\dfrac{A}{12}\right)$, é_1!") == ("let", "2", "x", "frac", "a", "12", "é", "1")
    assert words(r"$a\leftarrow b$") == ("a", "leftarrow", "b")


def test_the_same_text_in_other_typography_is_exact() -> None:
    found = find_overlaps(
        {"s": [problem("p", r"What is  $\frac{1}{2} x$?")]},
        training("Something else", r"what is \( \dfrac12x \).", r"What is $\frac{1}{2} x$?"),
    )
    assert [(o.kind, o.share, o.place, o.place_share, o.training_text) for o in found] == [
        ("exact", 1.0, "line 2", 1.0, r"what is \( \dfrac12x \).")
    ]


def test_shares_of_ngrams_in_all_lines_and_in_the_best_one() -> None:
    # Six words have four distinct 3-grams: abc, bcd, cde, def.
    problems = [problem("p", "a b c d e f"), problem("q", "u v w x y z")]
    found = find_overlaps({"s": problems}, training("d e f", "k a b c d", "A-B, c! D"), ngram=3)
    assert [(o.problem_id, o.kind, o.share, o.place, o.place_share, o.ngram) for o in found] == [
        ("p", "ngram", 0.75, "line 2", 0.5, 3)
    ]


def test_a_repeated_ngram_counts_once() -> None:
    (found,) = find_overlaps({"s": [problem("p", "a b a b a c")]}, training("x a b a y"), ngram=3)
    assert found.share == pytest.approx(1 / 3)  # aba, bab, bac


def test_a_short_problem_is_compared_as_a_whole() -> None:
    problems = [problem("p", "Find x now"), problem("one", "057="), problem("signs", "+-?")]
    found = find_overlaps({"s": problems}, training("Find x. Now find y and 057", "Find x"), ngram=13)
    assert [(o.problem_id, o.kind, o.share, o.ngram, o.place) for o in found] == [
        ("p", "ngram", 1.0, 3, "line 1"),
        ("one", "ngram", 1.0, 1, "line 1"),
    ]


def test_suites_are_told_apart() -> None:
    text = "one two three four"
    found = find_overlaps({"s": [problem("p", text)], "t": [problem("p", text)]}, training(text))
    assert [(o.suite, o.problem_id, o.kind) for o in found] == [("s", "p", "exact"), ("t", "p", "exact")]


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    rows = [
        {"id": "same", "problem": "What is the sum of one and two?", "answer": "3"},
        {"id": "near", "problem": "a b c d e f", "answer": "1"},
        {"id": "far", "problem": "p q r s t u v", "answer": "1"},
        {"id": "new", "problem": "nobody has seen this one before", "answer": "1"},
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(["contamination", *map(str, arguments)]))


def test_totals_and_matches(suite_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat = tmp_path / "chat.parquet"
    turns = [{"role": "user", "content": "what is the sum of one and two"}]
    pd.DataFrame({"prompt": [turns], "reward": [1]}).to_parquet(chat)
    lines = tmp_path / "train.jsonl"
    lines.write_text('{"question": "a b c d e", "answer": 1}\n\n{"question": "x p q r y", "answer": 2}\n')
    out = tmp_path / "found.jsonl"
    assert run("--train", chat, lines, "--suite", suite_file, "--ngram", 3, "--out", out) == 0
    # near has 3 of its 4 3-grams in the data, far 1 of 5, which is less than the 0.5 of --min-share.
    assert capsys.readouterr().out.splitlines()[:2] == [
        "suite  problems  exact  share >= 0.5  less  short",
        "mine          4      1             1     1      0",
    ]
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["problem_id"], row["kind"], row["share"], row["place"]) for row in found] == [
        ("same", "exact", 1.0, f"{chat} row 1"),
        ("near", "ngram", 0.75, f"{lines} line 1"),
    ]
    assert found[1]["problem"] == "a b c d e f" and found[1]["training_text"] == "a b c d e"
    assert "note" not in found[0]


def test_a_short_problem_has_a_note(suite_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text('{"text": "z a b c d e f z"}\n')
    out = tmp_path / "found.jsonl"
    assert run("--train", train, "--train-field", "text", "--suite", suite_file, "--out", out) == 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["problem_id"], row["ngram"], row["note"]) == ("near", 6, "fewer than 13 words: compared as a whole")
    assert capsys.readouterr().out.splitlines()[1].split() == ["mine", "4", "0", "1", "0", "4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ngram", "0"], "--ngram 0: must be at least 1"),
        (["--min-share", "0"], "--min-share 0: must be above 0"),
        (["--out", "/nowhere/found.jsonl"], "--out /nowhere/found.jsonl: no folder /nowhere"),
        (
            ["--train-field", "text"],
            "line 1: no text in 'text' (fields: question); name the right one with --train-field",
        ),
    ],
)
def test_bad_input_is_one_line(options: list[Any], message: str, suite_file: Path, tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text('{"question": "a"}\n')
    with pytest.raises(UserError) as caught:
        run("--train", train, "--suite", suite_file, *options)
    assert message in str(caught.value)
