"""TensorBoard's charts name metrics that are logged, and each its own only."""

import re

import torch

from aer_openrlhf.integration.charts import CHARTS, layout
from aer_openrlhf.methods.aer import AER, AERConfig
from aer_openrlhf.methods.base import RolloutBatch
from aer_openrlhf.metrics import rollout_metrics


def logged():
    """Names of a step with hard, middle and easy prompts, whose responses have 20 tokens, 10 of them the answer."""
    batch = RolloutBatch(
        scores=torch.tensor([0.0, 0.0, 1.0, 0.0, 1.0, 1.0]),
        entropy=torch.rand(120),
        lengths=torch.full((6,), 20),
        answer_lengths=torch.full((6,), 10),
        group_size=2,
    )
    plan = AER(AERConfig()).begin_step(batch)
    return rollout_metrics(batch, plan.coefficients).keys() | plan.metrics.keys()


def test_every_metric_of_a_chart_is_logged():
    charted = {name for metrics in CHARTS.values() for name in metrics}
    assert charted - logged() == {"rollout/reward_mean"}  # OpenRLHF's


def test_a_tag_is_matched_by_its_own_curve_only():
    tags = [f"train/{name}" for name in logged()]
    for title, (kind, patterns) in layout()["AER"].items():
        assert kind == "Multiline"
        found = [tag for pattern in patterns for tag in tags if re.match(pattern, tag)]
        assert {f"train/{name}" for name in CHARTS[title]} - {"train/rollout/reward_mean"} == set(found)
        assert len(found) == len(set(found))
