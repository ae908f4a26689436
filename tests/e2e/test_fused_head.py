"""The fused head on the real stack, against OpenRLHF's own head from the same start; the two runs share the cores."""

import pytest

FLAGS = ("--algo.kl.init_coef", "0.01", "--algo.kl.use_loss", "--algo.kl.estimator", "k3", "--train.seed", "3")
SAME = ("rollout/reward_mean", "rollout/response_length_mean", "aer/group_accuracy", "aer/all_wrong_share")
CLOSE = {"aer/entropy": 2e-2, "aer/alpha": 2e-3, "aer/entropy_top10_share": 1e-2, "policy_loss": 1e-2, "kl": 1e-3}


def test_metrics_are_those_of_the_stock_head(train):
    fused = train("--aer.fused_head", "on", *FLAGS, name="fused", steps=3)
    stock = train("--aer.fused_head", "off", *FLAGS, name="stock", steps=3)
    ours, theirs = fused.finish().rows(), stock.finish().rows()
    assert "--aer.fused_head: off" not in fused.output()
    assert [row["step"] for row in ours] == [row["step"] for row in theirs] == [1, 2, 3]
    for name in SAME:  # the first rollout comes from the same weights
        assert ours[0][name] == theirs[0][name]
    for row, other in zip(ours, theirs, strict=True):
        assert row["aer/entropy"] == pytest.approx(other["aer/entropy"], abs=0.05)
    for name, tolerance in CLOSE.items():
        assert ours[0][name] == pytest.approx(theirs[0][name], abs=tolerance), name
