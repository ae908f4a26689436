"""`aer-eval run --temperatures`: one engine, a store a temperature."""

import json
import subprocess
import sys

from evaluation import RUN_TIMEOUT, environment


def test_every_temperature_has_a_store_and_a_record(tiny_model, problems, tmp_path):
    out, record = tmp_path / "out", tmp_path / "pass_at_k.json"
    command = [
        *(sys.executable, "-m", "aer_eval.cli.main", "run", "--model", str(tiny_model), "--suite", "countdown3"),
        *("--data", str(problems), "--limit", "5", "--n", "4", "--max-tokens", "6", "--engine", "hf"),
        *("--temperatures", "0.5", "1", "--out", str(out), "--json", str(record)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=RUN_TIMEOUT)
    assert done.returncode == 0, done.stderr[-4000:]
    for temperature in ("0.5", "1"):
        manifest = json.loads((out / f"T-{temperature}" / "countdown3" / "store.json").read_text())
        assert manifest["sampling"]["temperature"] == float(temperature)
    half, whole = json.loads(record.read_text())
    assert (half["temperature"], whole["temperature"]) == (0.5, 1.0)
    assert half["num_prompts"] == 5 and half["num_samples"] == 4 and set(half["pass_at_k"]) == {"1", "2", "4"}
