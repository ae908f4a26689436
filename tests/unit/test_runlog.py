"""The run folder's files."""

import argparse
import json
import math
import pickle
from types import SimpleNamespace

import pytest

from aer_openrlhf import runlog


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_hold_known_finite_numbers_only(tmp_path):
    runlog.append_metrics(tmp_path, 3, {"a": 1.5, "b": None, "c": math.nan, "d": "text", "e": 2, "f": True})
    assert read_lines(tmp_path / "metrics.jsonl") == [{"step": 3, "a": 1.5, "e": 2.0}]


def test_a_torn_line_does_not_swallow_the_next(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "a": 1.0}\n{"step": 2, "a"')
    runlog.append_metrics(tmp_path, 2, {"a": 2.0})
    lines = path.read_text().splitlines()
    assert lines[1] == '{"step": 2, "a"'
    assert json.loads(lines[2]) == {"step": 2, "a": 2.0}


def make_args(key):
    wandb = SimpleNamespace(key=key, project="p")
    return SimpleNamespace(logger=SimpleNamespace(wandb=wandb), aer=SimpleNamespace(rho=0.5), key="kept")


def test_config_records_arguments_and_versions_but_no_secret(tmp_path, monkeypatch):
    command = ["aer-train", "--logger.wandb.key", "s3cret", "--logger.wandb.key=s3cret", "--aer.rho", "0.5"]
    monkeypatch.setattr("sys.argv", command)
    runlog.start_run(tmp_path, "aer", make_args("s3cret"), resume=False)
    text = (tmp_path / "run_config.json").read_text()
    config = json.loads(text)
    assert "s3cret" not in text
    assert config["args"]["aer"] == {"rho": 0.5}
    assert config["args"]["key"] == "kept"
    assert config["command"][-2:] == ["--aer.rho", "0.5"]
    assert config["versions"]["torch"]


@pytest.mark.parametrize("flag", ["--logger.wandb.key", "--logger.wandb.k", "--logger.wandb.ke"])
def test_no_spelling_of_a_secret_flag_records_its_value(flag):
    arguments = ["--logger.wandb.project", "p", flag, "s3cret", f"{flag}=s3cret", "--aer.rho", "0.5"]
    hidden = ["--logger.wandb.project", "p", flag, "(not recorded)", f"{flag}=(not recorded)", "--aer.rho", "0.5"]
    assert runlog._without_secrets(arguments) == hidden


def test_a_fresh_run_moves_old_metrics_aside_and_a_resume_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["aer-train"])
    runlog.append_metrics(tmp_path, 1, {"a": 1.0})
    runlog.start_run(tmp_path, "aer", make_args(None), resume=True)
    assert (tmp_path / "metrics.jsonl").exists()
    runlog.start_run(tmp_path, "aer", make_args(None), resume=False)
    assert not (tmp_path / "metrics.jsonl").exists()
    (aside,) = tmp_path.glob("metrics-before-*.jsonl")
    assert read_lines(aside) == [{"step": 1, "a": 1.0}]


def test_a_secret_is_itself_and_does_not_print():
    """OpenRLHF prints the nested arguments and hands them to W&B as they are."""
    flat = argparse.Namespace(**{"logger.wandb.key": "s3cret", "aer.rho": 0.5})
    runlog.hide_secrets(flat)
    key = vars(flat)["logger.wandb.key"]
    assert key == "s3cret"
    assert "s3cret" not in str(SimpleNamespace(wandb=SimpleNamespace(key=key)))
    assert "s3cret" not in str(SimpleNamespace(wandb=SimpleNamespace(key=pickle.loads(pickle.dumps(key)))))


def test_a_resume_moves_the_steps_after_its_checkpoint_aside_and_loses_none(tmp_path, capsys):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        runlog.append_metrics(tmp_path, step, {"a": float(step)})
    with path.open("a") as file:
        file.write('{"step": 4, "a"')  # killed while it wrote
    for step in (2, 3):
        runlog.append_evaluation(tmp_path, step, {"eval_default_pass1": 0.5})
    aside, aside_of_evaluations = runlog.rewind(tmp_path, 2)
    for step in (3, 4):
        runlog.append_metrics(tmp_path, step, {"a": 10.0 * step})
    assert [(row["step"], row["a"]) for row in read_lines(path)] == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0)]
    assert aside.read_text().splitlines() == ['{"step": 3, "a": 3.0}', '{"step": 4, "a"']
    assert aside.name in capsys.readouterr().out
    assert read_lines(tmp_path / "eval.jsonl") == [{"step": 2, "eval/eval_default_pass1": 0.5}]
    assert read_lines(aside_of_evaluations) == [{"step": 3, "eval/eval_default_pass1": 0.5}]


def test_nothing_moves_where_the_metrics_end_at_the_checkpoint(tmp_path):
    assert runlog.rewind(tmp_path, 0) == []
    runlog.append_metrics(tmp_path, 1, {"a": 1.0})
    assert runlog.rewind(tmp_path, 1) == []
    assert read_lines(tmp_path / "metrics.jsonl") == [{"step": 1, "a": 1.0}]
