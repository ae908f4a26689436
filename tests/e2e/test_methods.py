"""`aer-train --aer.method X` on the real stack, for every peer."""

import json

import pytest

from aer_openrlhf.methods.registry import METHODS

STEPS = 3
OWN_FLAGS = {
    "skywork": ["--aer.skywork.target_entropy", "9", "--aer.skywork.delta", "0.01", "--aer.skywork.coef_max", "0.05"],
    "clip_cov": ["--aer.clip_cov.ratio", "0.1", "--aer.clip_cov.cov_low", "0.1"],
}
OWN_METRICS = {
    "fixed": {"aer/alpha", "aer/coef_mean"},
    "skywork": {"aer/alpha", "aer/coef_mean", "aer/entropy_target"},
    "aent": {"aer/alpha", "aer/coef_mean", "aer/entropy_clamped"},
    "siren": {"aer/alpha", "aer/coef_mean", "aer/entropy_selective", "aer/entropy_anchor"},
    "clip_cov": {"aer/cov_candidate_share"},
    "kl_cov": {"aer/cov_threshold"},
    "entropy_advantage": set(),
    "high_entropy_tokens": {"aer/entropy_threshold"},
}


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"aer"}))
def test_every_method_trains(train, name):
    training = train("--aer.method", name, *OWN_FLAGS.get(name, []), name=name, steps=STEPS).finish()
    rows = training.rows()
    assert [row["step"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert row.keys() >= OWN_METRICS[name] | {"aer/entropy", "aer/group_accuracy", "policy_loss"}
        assert 0 < row["aer/entropy"] < 3.47  # ln 32, the vocabulary
        assert ("aer/coef_mean" in row) == ("aer/coef_mean" in OWN_METRICS[name])
    assert json.loads((training.run_dir / "run_config.json").read_text())["method"] == name
    if name == "skywork":  # always below its target: up by delta each step, in force from the next on
        assert [row["aer/alpha"] for row in rows] == pytest.approx([0.0, 0.01, 0.02])
    if name == "siren":
        assert rows[0]["aer/alpha"] == 0.0 != rows[1]["aer/alpha"]
