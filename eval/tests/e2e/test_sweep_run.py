"""`aer-eval sweep` over real checkpoints."""

import json
import shutil
import subprocess
import sys

import pandas as pd
from evaluation import RUN_TIMEOUT, environment


def test_a_sweep_evaluates_every_checkpoint_and_draws_nothing_twice(tiny_model, problems, tmp_path):
    for step in (10, 20):
        shutil.copytree(tiny_model, tmp_path / "ckpt" / f"global_step{step}_hf")
    out = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "aer_eval.cli.main", "sweep", str(tmp_path / "ckpt"), "--suite", "countdown3"),
        *("--data", str(problems), "--limit", "5", "--n", "4", "--max-tokens", "6", "--engine", "hf"),
        *("--select-on", "countdown3", "--out", str(out)),
    ]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=RUN_TIMEOUT)
        assert done.returncode == 0, done.stderr[-4000:]
        for step in (10, 20):
            assert len(pd.read_parquet(out / f"step-{step}" / "countdown3" / "samples")) == 20
    written = json.loads((out / "sweep.json").read_text())
    assert list(written["steps"]) == ["10", "20"]
    assert written["selected"]["step"] == 10  # the same weights twice: of equal ones the earliest
    assert written["steps"]["10"] == written["steps"]["20"]
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert "step-10" not in done.stdout and "picked" in done.stdout
