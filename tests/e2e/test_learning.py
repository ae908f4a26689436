"""The demo on the real stack: the policy learns while AER holds its entropy."""

import json
import os
import sys
from pathlib import Path
from statistics import fmean

import pytest

from model import make_model
from settings import num_prompts, train_args
from tasks import TASKS, train_problems, write_jsonl
from tests.e2e.conftest import Training

STEPS, LAST = 150, 20
ETA = 0.3  # with 0.1, as in the demo, entropy swings for 100 steps about its target: where it ends is chance


@pytest.fixture
def demo_run(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    task, run_dir, data = TASKS["countdown"], tmp_path / "run", tmp_path / "prompts.jsonl"
    model = make_model(task, cache=Path("runs/cache"))
    write_jsonl(train_problems(task, num_prompts(STEPS), seed=0), data)
    arguments = train_args(task, model, data, run_dir, "aer", seed=0, steps=STEPS, **{"aer.eta": ETA})
    training = Training(run_dir, [sys.executable, "-m", "aer_openrlhf.cli.train_ppo_ray", *arguments]).start()
    yield training
    training.kill_all()


def test_reward_rises_and_entropy_ends_at_its_target(demo_run):
    """Mean reward of 20 steps of 256 responses has a standard error of about 0.01: a rise by 0.05 is no accident."""
    rows = demo_run.finish().rows()
    assert len(rows) == STEPS
    first, last = rows[:LAST], rows[-LAST:]
    reward = "rollout/reward_mean"
    assert fmean(row[reward] for row in last) > fmean(row[reward] for row in first) + 0.05
    target = rows[0]["aer/entropy_target"]
    assert fmean(row["aer/entropy"] for row in last) == pytest.approx(target, rel=0.1)
    assert rows[0]["aer/entropy"] > 1.5 * target  # it had somewhere to fall from,
    assert max(row["aer/alpha"] for row in rows) > 0  # and the controller caught it
    assert (
        max(row["aer/sampler_logprob_gap"] for row in rows if "aer/sampler_logprob_gap" in row) < 0.02
    )  # the engine follows the trainer, head included
    config = json.loads((demo_run.run_dir / "run_config.json").read_text())
    assert config["versions"]["openrlhf"]
    assert os.listdir(demo_run.run_dir / "tensorboard")
    assert not (demo_run.run_dir / "warnings.jsonl").exists()  # a healthy run hears nothing of the guards
    assert (demo_run.run_dir / "run_end.json").exists()
