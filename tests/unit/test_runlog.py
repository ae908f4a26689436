"""The run folder's files."""

import argparse
import json
import math
import pickle
from types import SimpleNamespace

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
