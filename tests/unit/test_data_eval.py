"""`aer-data eval`: the rows, what it refuses, and that the training reward grades them as the harness does."""

import json
from pathlib import Path

import pytest

from aer_eval.grading.grader import grade_samples
from aer_eval.records import Verdict
from aer_eval.suites.load import user_suite
from aer_openrlhf.cli.data import main
from aer_openrlhf.rewards import math

REQUEST = "\nPlease reason step by step, and put your final answer within \\boxed{}."


def write(path: Path, *pairs: tuple[str, str]) -> Path:
    path.write_text("".join(json.dumps({"problem": problem, "answer": answer}) + "\n" for problem, answer in pairs))
    return path


def read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_chat_template_is_left_to_openrlhf_and_sources_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = write(tmp_path / "one.jsonl", ("1+1?", "2"), ("2+2?", "4")), write(tmp_path / "two.jsonl", ("3?", "3"))
    out = tmp_path / "out.jsonl"
    assert main(["eval", str(out), "--suite", str(one), str(two)]) == 0
    assert [(row["prompt"], row["label"], row["datasource"]) for row in read(out)] == [
        ("1+1?" + REQUEST, "2", "one"),
        ("2+2?" + REQUEST, "4", "one"),
        ("3?" + REQUEST, "3", "two"),
    ]
    said = capsys.readouterr().out
    assert "wrote 3 rows" in said and "(one 2, two 1)" in said
    assert f"--eval.dataset {out}" in said and "--data.apply_chat_template" in said and "rewards/math.py" in said


def test_limit_and_template(tmp_path: Path) -> None:
    source, out = write(tmp_path / "one.jsonl", ("1+1?", "2"), ("2+2?", "4")), tmp_path / "out.jsonl"
    assert main(["eval", str(out), "--suite", str(source), "--limit", "1", "--template", "raw"]) == 0
    (row,) = read(out)
    assert row["prompt"] == "1+1?"


def test_a_problem_in_two_suites_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = write(tmp_path / "one.jsonl", ("1+1?", "2")), write(tmp_path / "two.jsonl", ("1+1?", "2"))
    assert main(["eval", str(tmp_path / "out.jsonl"), "--suite", str(one), str(two)]) == 2
    error = capsys.readouterr().err
    assert "one and two have a problem in common" in error and error.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_suites_of_two_rewards_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path / "one.jsonl", ("1+1?", "2"))
    (tmp_path / "countdown3.jsonl").write_text(json.dumps({"prompt": "123 006=", "label": "[[1, 2, 3], 6]"}) + "\n")
    command = ["eval", str(tmp_path / "out.jsonl"), "--suite", "countdown3", str(one)]
    assert main([*command, "--data", str(tmp_path)]) == 2
    assert "one run has one reward" in capsys.readouterr().err


@pytest.mark.parametrize("answer_type", ["integer", "math"])
def test_the_reward_agrees_with_the_harness(answer_type: str, tmp_path: Path) -> None:
    """On a reference as AIME writes it, normalised, in every spelling that a response may have."""
    suite = user_suite(write(tmp_path / "one.jsonl", ("?", "073")), answer_type=answer_type)
    (problem,) = suite.problems
    answers = ["73", "073", "73.0", "m+n=73", "m+n = 64+9 = 73", r"\text{73}", "73^\\circ", "74", "73 or 74", ""]
    responses = [f"So \\boxed{{{answer}}}" for answer in answers] + ["no box"]
    grades = grade_samples((problem, response, "stop") for response in responses)
    harness = [float(grade.verdict is Verdict.CORRECT) for grade in grades]
    assert harness[0] == 1.0 and harness[7] == 0.0
    assert [math.score(response, problem.answer).score for response in responses] == harness
