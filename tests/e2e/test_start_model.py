"""What `aer-train` measures on a model that it does not change is what the tools beside it measure."""

import json
import math
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from aer_eval.engines.vllm import CPU_ENVIRONMENT
from aer_openrlhf.cli.data import main as aer_data
from model import make_model
from sampling import measure
from settings import train_args
from tasks import TASKS, held_out_problems, train_problems, write_jsonl
from tests.e2e.conftest import RUN_TIMEOUT, Training

PROMPTS, SAMPLES = 128, 8
EVAL_SAMPLES, REFERENCE_SAMPLES = 16, 64
TASK = TASKS["countdown"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("start")
    write_jsonl(train_problems(TASK, PROMPTS, seed=0), path / "prompts.jsonl")
    write_jsonl(held_out_problems(TASK, PROMPTS, seed=0), path / "held_out.jsonl")
    return path


@pytest.fixture(scope="module")
def start() -> Path:
    return make_model(TASK, cache=Path("runs/cache")).resolve()


@pytest.fixture(scope="module")
def training(folder, start):
    """One step at a learning rate of nothing over all prompts, and an evaluation after it."""
    suite = ["--suite", "countdown3", "--data", str(folder / "held_out.jsonl")]
    assert aer_data(["eval", str(folder / "eval.jsonl"), *suite]) == 0
    overrides = {
        "rollout.batch_size": PROMPTS,
        "rollout.n_samples_per_prompt": SAMPLES,
        "train.batch_size": PROMPTS * SAMPLES,
        "data.max_samples": PROMPTS,
        "actor.adam.lr": 1e-12,
        "eval.dataset": folder / "eval.jsonl",
        "eval.steps": 1,
        "eval.n_samples_per_prompt": EVAL_SAMPLES,
        "eval.temperature": 1.0,
    }
    run_dir = folder / "run"
    arguments = train_args(TASK, start, folder / "prompts.jsonl", run_dir, "aer", seed=0, steps=1, **overrides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        run = Training(run_dir, [sys.executable, "-m", "aer_openrlhf.cli.train_ppo_ray", *arguments]).start()
        yield run.finish()
    run.kill_all()


def test_the_probe_finds_the_entropy_that_training_anchors(training, folder, start, monkeypatch):
    """The same prompts, other samples: the standard error over prompts is an upper bound on what may part them."""
    for name, value in {**CPU_ENVIRONMENT, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    flags = ["--model", start, "--dataset", folder / "prompts.jsonl", "--temperature", "0.6", "1.0", "--tau", "0.5"]
    flags += ["--n", SAMPLES, "--prompts", PROMPTS, "--max-tokens", "6", "--out", folder / "probe"]
    command = [sys.executable, "-m", "aer_openrlhf.cli.entropy", *map(str, flags)]
    probe = Training(folder / "probe", command).start()
    try:
        assert probe.process.wait(timeout=RUN_TIMEOUT) == 0, probe.output()[-4000:]
        probe.assert_nothing_is_left()
    finally:
        probe.kill_all()
    cold, warm = json.loads((folder / "probe" / "entropy.json").read_text())
    (row,) = training.rows()
    difference = abs(warm["entropy"] - row["aer/entropy_initial"])
    assert difference < 2 * math.sqrt(2) * warm["standard_error"] < 0.1 * warm["entropy"]
    assert warm["top10_share"] == pytest.approx(row["aer/entropy_top10_share"], abs=0.05)
    assert (warm["prompts"], warm["samples"], warm["temperature"]) == (PROMPTS, PROMPTS * SAMPLES, 1.0)
    assert cold["entropy"] < warm["entropy"] - 4 * warm["standard_error"]
    said = probe.output()
    assert f"tau 0.5 means a target of {0.5 * warm['entropy']:.3f} nats a token" in said
    assert {path.name for path in (folder / "probe").iterdir()} == {"entropy.json", "entropy.csv", "entropy.png"}


def test_evaluation_during_training_finds_the_pass_at_k_of_transformers(training, start):
    """The same problems, sampled apart. At one problem's rate p, an estimate from n samples has variance p (1-p) / n;
    the tolerances are four standard errors of the worse of the two."""
    problems = held_out_problems(TASK, PROMPTS, seed=0)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(start).float(), AutoTokenizer.from_pretrained(start)
    reference = measure(model, tokenizer, TASK, problems, REFERENCE_SAMPLES, temperature=1.0, seed=0)["pass_at_k"]
    (row,) = map(json.loads, (training.run_dir / "eval.jsonl").read_text().splitlines())
    assert row["step"] == 1
    assert row["eval/eval_num_samples"] == PROMPTS * EVAL_SAMPLES
    for k, tolerance in (("1", 0.045), ("4", 0.08), ("16", 0.09)):
        assert row[f"eval/eval_countdown3_pass{k}"] == pytest.approx(reference[k], abs=tolerance)
