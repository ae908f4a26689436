"""The digit reward, until the file that AER_TEST_FAULT names is there: then its text is what the reward gives."""

import os
from pathlib import Path

import torch

from tests.e2e import reward_digit

FAULT = Path(os.environ["AER_TEST_FAULT"])


def reward_func(queries, prompts, labels, **kwargs):
    if FAULT.exists():
        return {"rewards": torch.tensor([float(FAULT.read_text())])}
    return reward_digit.reward_func(queries, prompts, labels, **kwargs)
