"""Evaluation during training on the real stack: the pass@k that is logged is the one that is computed by hand."""

import json
from pathlib import Path

import pytest

from tests.e2e.reward_counted import SAMPLES

# Right of 8 samples: 0, 1 and 4, in one source; 8 in another. 1 - C(8-c, k) / C(8, k) for c = 1: k / 8; for c = 4:
# 1/2, 1 - 6/28, 1 - 1/70, 1.
RIGHT = {"mixed": (0, 1, 4), "solved": (8,)}
EXPECTED = {
    "eval/eval_mixed_pass1": (0 + 1 / 8 + 1 / 2) / 3,
    "eval/eval_mixed_pass2": (0 + 2 / 8 + 22 / 28) / 3,
    "eval/eval_mixed_pass4": (0 + 4 / 8 + 69 / 70) / 3,
    "eval/eval_mixed_pass8": (0 + 1 + 1) / 3,
    "eval/eval_mixed_reward_mean": (0 + 1 / 8 + 1 / 2) / 3,
    **{f"eval/eval_solved_pass{k}": 1.0 for k in (1, 2, 4, 8)},
    "eval/eval_solved_reward_mean": 1.0,
    "eval/eval_num_samples": 32.0,
}
STEPS, STOP = 5, 4


@pytest.fixture
def eval_prompts(tmp_path) -> Path:
    path = tmp_path / "eval.jsonl"
    counts = [(source, c) for source, several in RIGHT.items() for c in several]
    rows = [
        {"prompt": f"{900 + place}+", "label": f"c={c}", "datasource": source}
        for place, (source, c) in enumerate(counts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_logged_pass_at_k_is_the_hand_computed_one(train, eval_prompts):
    """The asynchronous run is stopped by a guard: its target is above ln 32, and alpha at its bound from step 1 on."""
    flags = ["--reward.remote_url", Path(__file__).parent / "reward_counted.py", "--eval.dataset", eval_prompts]
    flags += ["--eval.steps", "2", "--eval.n_samples_per_prompt", SAMPLES, "--eval.temperature", "1.0"]
    guard = ["--aer.stop_on", "alpha_at_max", "--aer.guard.alpha_at_max", STOP, "--aer.target_entropy", 10]
    guard += ["--aer.eta", 1]
    assert_evaluated(train(*flags, name="sync", steps=STEPS).finish(), STEPS, [2, 4])
    stopped = train(*flags, "--train.async_enable", *guard, name="async", steps=50).finish(returncode=3)
    assert_evaluated(stopped, STOP, [2])
    assert f"aer-train: stopped at step {STOP} by the guard alpha_at_max: " in stopped.output()
    checkpoint = stopped.run_dir.with_name("async-checkpoints") / "_actor" / f"global_step{STOP}"
    assert json.loads((checkpoint / "aer_state.json").read_text())["alpha"] == 0.5
    assert (checkpoint / "mp_rank_00_model_states.pt").exists()


def assert_evaluated(run, num_steps, evaluated_steps):
    """Every step is there, with nothing of the evaluations in it."""
    assert [row["step"] for row in run.rows()] == list(range(1, num_steps + 1))
    assert not any(key.startswith("eval") for row in run.rows() for key in row)
    evaluations = [json.loads(line) for line in (run.run_dir / "eval.jsonl").read_text().splitlines()]
    assert [row["step"] for row in evaluations] == evaluated_steps
    for row in evaluations:
        assert {name: row[name] for name in EXPECTED} == pytest.approx(EXPECTED)
