"""`entropy_advantage`: a bounded share of a token's entropy is added to its advantage."""

import pytest
import torch

from aer_openrlhf.methods.entropy_advantage import EntropyAdvantage, EntropyAdvantageConfig
from tests.unit.method_inputs import make_batch, make_loss_inputs


def shaped(config, entropy, advantages):
    method = EntropyAdvantage(config)
    plan = method.begin_step(make_batch([0, 1], [1.0, 1.0], [1, 1], 2))
    entropy = torch.tensor(entropy, requires_grad=True)
    mask = torch.ones(entropy.shape, dtype=torch.long)
    inputs = make_loss_inputs(entropy, mask, plan.coefficients, mask.sum(), advantages=torch.tensor(advantages))
    return method.advantages(inputs)


def test_advantages_by_hand():
    result = shaped(EntropyAdvantageConfig(), [[1.0, 3.0], [1.0, 3.0]], [[1.0, 1.0], [-2.0, -2.0]])
    # 0.4 * 1; bound 1 / 2 reached; 0.4 * 1; 0.4 * 3 against a bound of 2 / 2: right answers gain, wrong ones lose less
    assert result.tolist() == [pytest.approx([1.4, 1.5]), pytest.approx([-1.6, -1.0])]
    assert not result.requires_grad  # the entropy is a weight, not an objective


def test_no_advantage_is_no_bonus_and_the_sign_never_changes():
    assert shaped(EntropyAdvantageConfig(), [[5.0], [5.0]], [[0.0], [0.0]]).tolist() == [[0.0], [0.0]]
    assert shaped(EntropyAdvantageConfig(alpha=100, kappa=1), [[5.0], [5.0]], [[1.0], [-1.0]]).tolist() == [
        [2.0],
        [0.0],
    ]


def test_alpha_0_leaves_the_batch_alone():
    method = EntropyAdvantage(EntropyAdvantageConfig(alpha=0))
    assert method.begin_step(make_batch([0, 1], [1.0, 1.0], [1, 1], 2)).coefficients.tolist() == [0.0, 0.0]


def test_values_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"kappa is 0\.5: give 1 or more"):
        EntropyAdvantageConfig(kappa=0.5)
    with pytest.raises(ValueError, match="alpha is -1"):
        EntropyAdvantageConfig(alpha=-1)
