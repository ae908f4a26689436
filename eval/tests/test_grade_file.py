"""`aer-eval grade`: a JSONL file in, the same file with verdicts out."""

import json

import pytest

from aer_eval.cli.main import main

LINES = [
    {"gold": "5", "text": r"It is \boxed{5}.", "kept": [1, "é"]},
    {"gold": 5, "answer": "6"},
    {"gold": "5", "answer": None, "finish_reason": "length"},
    {"gold": "5", "text": "I do not know"},
    {"gold": "73", "answer": "m+n=073", "answer_type": "integer"},
    {"gold": "57", "text": "18+39", "answer_type": "make_n", "finish_reason": "stop"},
    {"gold": "x+1", "answer": "1+x"},
    {"gold": r"\frac{1}{3}", "answer": "0.333333", "id": "third"},
    {"gold": "(x-1)(x+1)", "answer": "x^2-1", "problem": "Factor $x^2-1$."},
]


def write(path, *lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_adds_verdicts_and_keeps_the_rest(tmp_path, capsys):
    source, target = write(tmp_path / "in.jsonl", *LINES), tmp_path / "out.jsonl"
    assert main(["grade", str(source), str(target)]) == 0
    found = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(line["verdict"], line["extracted"]) for line in found] == [
        ("correct", "5"),
        ("wrong", "6"),
        ("truncated", None),
        ("no_answer", None),
        ("correct", "m+n=073"),
        ("correct", "18+39"),
        ("correct", "1+x"),
        ("correct", "0.333333"),
        ("wrong", "x^2-1"),
    ]
    assert [{key: line[key] for key in line if key not in ("verdict", "extracted")} for line in found] == LINES
    assert capsys.readouterr().out.startswith("5 correct, 1 no_answer, 1 truncated, 2 wrong\n")
    assert list(tmp_path.iterdir()) == [source, target] or len(list(tmp_path.iterdir())) == 2


def test_the_second_grader_is_asked(tmp_path, capsys):
    source, audit = write(tmp_path / "in.jsonl", *LINES), tmp_path / "audit.jsonl"
    assert main(["grade", str(source), str(tmp_path / "out.jsonl"), "--audit", str(audit)]) == 0
    assert [json.loads(line) for line in audit.read_text().splitlines()] == [
        {
            "problem_id": "third",
            "gold": r"\frac{1}{3}",
            "answer": "0.333333",
            "verdict": "correct",
            "second": "wrong",
        }
    ]
    assert "1 disagreements" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: not a JSON object but list"),
        ('{"answer": "5"}', "line 2: no `gold`"),
        ('{"gold": " ", "answer": "5"}', "line 2: no `gold`"),
        ('{"gold": "5"}', "line 2: give either `text`"),
        ('{"gold": "5", "text": "a", "answer": "b"}', "line 2: give either `text`"),
        ('{"gold": "5", "text": 5}', "line 2: `text` and `answer` must be strings"),
        ('{"gold": "5", "answer": "5", "answer_type": "word"}', "line 2: `answer_type` must be one of integer, math"),
        ('{"gold": "5", "answer": "5", "answer_type": "countdown3"}', "line 2: `gold` is no reference of countdown3"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_graded(tmp_path, capsys, line, message):
    source, target = write(tmp_path / "in.jsonl", LINES[0], line, LINES[1]), tmp_path / "out.jsonl"
    assert main(["grade", str(source), str(target)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [source]


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["grade", str(tmp_path / "none.jsonl"), str(tmp_path / "out.jsonl")]) == 2
    assert "none.jsonl: cannot be read" in capsys.readouterr().err


def test_a_folder_that_is_not_there(tmp_path, capsys):
    source = write(tmp_path / "in.jsonl", LINES[0])
    assert main(["grade", str(source), str(tmp_path / "none" / "out.jsonl")]) == 2
    assert "out.jsonl: cannot be written" in capsys.readouterr().err


def test_a_file_may_be_graded_in_place(tmp_path):
    source = write(tmp_path / "in.jsonl", *LINES)
    assert main(["grade", str(source), str(source)]) == 0
    assert json.loads(source.read_text().splitlines()[0])["verdict"] == "correct"


def test_an_empty_file(tmp_path, capsys):
    source, target = write(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    assert main(["grade", str(source), str(target)]) == 0
    assert (target.read_text(), capsys.readouterr().out.splitlines()[0]) == ("", "no lines")
