"""The fused head on the real stack, against OpenRLHF's own head from the same start.

Two runs never sample the same responses, so what is compared is what does not depend on them: the weights stay where
they are, and every step tells the same entropy within the error of its 128 responses. Gradients are compared on equal
responses in tests/stack/test_fused_head_on_a_rank.py.
"""

from statistics import fmean

import pytest

from tests.e2e.test_modes import BF16_GAP

STILL = ("--actor.adam.lr", "0", "--aer.alpha_init", "0.1", "--aer.difficulty", "uniform")
REFERENCE = ("--algo.kl.init_coef", "0.01", "--algo.kl.use_loss", "--algo.kl.estimator", "k3")
REFERENCE += ("--ref.num_gpus_per_node", "1")
STEPS = 4
SAMPLING_ERROR = 0.06  # nats, of the mean over the steps; single steps of one policy were seen 0.05 apart


def test_metrics_are_those_of_the_stock_head(train):
    runs = {
        head: train("--aer.fused_head", head, *STILL, *REFERENCE, name=head, steps=STEPS).finish()
        for head in ("on", "off")
    }
    rows = {head: run.rows() for head, run in runs.items()}
    assert "--aer.fused_head: off" not in runs["on"].output()
    for head in rows:
        assert [row["step"] for row in rows[head]] == list(range(1, STEPS + 1))
        for row in rows[head]:
            assert row["kl"] < 1e-3  # the policy's head and the reference model's give the same
            assert row["actor_grad_norm"] > 0
        gaps = [row["aer/sampler_logprob_gap"] for row in rows[head] if "aer/sampler_logprob_gap" in row]
        assert gaps
        assert max(gaps) < BF16_GAP  # and vLLM's head too
    fused, stock = (fmean(row["aer/entropy"] for row in rows[head]) for head in ("on", "off"))
    assert fused == pytest.approx(stock, abs=SAMPLING_ERROR)
