"""Sample tables: which prompts, and that every response keeps its own numbers."""

from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest
import torch

from aer_openrlhf.integration.samples import SampleTables, spread
from aer_openrlhf.methods.base import RolloutBatch

TOKENIZER = SimpleNamespace(decode=lambda tokens, skip_special_tokens: "".join(chr(96 + token) for token in tokens))


def test_prompts_are_spread_over_difficulty():
    accuracy = torch.tensor([0.5, 1.0, 0.0, 0.25, 0.75])
    assert spread(accuracy, 3) == [2, 0, 1]
    assert spread(accuracy, 9) == [2, 3, 0, 4, 1]
    assert spread(torch.tensor([0.5]), 4) == [0]


def test_tables_are_due_on_the_first_step_and_on_every_nth():
    def due(every):
        return [step for step in range(1, 41) if SampleTables(Path(), every, None).due(step)]

    assert due(20) == [1, 20, 40]
    assert due(0) == []


@pytest.fixture
def table(tmp_path):
    """Two prompts of two responses, shuffled by balancing over ranks: experiences hold responses 2, 0 | 3, 1."""

    def experience(index, tokens):
        padded = [[9, 9, *row, *[0] * (3 - len(row))] for row in tokens]  # a prompt of two tokens before them
        return SimpleNamespace(
            index=index,
            prompts=[f"q{place // 2}" for place in index],
            labels=[place // 2 for place in index],
            sequences=torch.tensor(padded),
            action_mask=torch.tensor([[0, *[1] * len(row), *[0] * (3 - len(row))] for row in tokens]),
            info={"reward": torch.tensor([10.0 + place for place in index])},
            truncated=torch.tensor([place == 3 for place in index]),
        )

    experiences = [experience([2, 0], [[3, 3, 3], [1]]), experience([3, 1], [[4, 4], [2, 2]])]
    batch = RolloutBatch(
        scores=torch.tensor([1.0, 0.0, 0.0, 0.0]),
        entropy=torch.tensor([0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        lengths=torch.tensor([1, 2, 3, 2]),
        answer_lengths=None,
        group_size=2,
    )
    coefficients = torch.tensor([0.0, 0.0, 0.25, 0.25])
    path = SampleTables(tmp_path, 5, TOKENIZER).write(5, experiences, torch.tensor([2, 0, 3, 1]), batch, coefficients)
    assert path == tmp_path / "samples" / "step_000005.parquet"
    return pandas.read_parquet(path)


def test_every_response_keeps_its_own_numbers(table):
    assert set(table["step"]) == {5}
    assert table["prompt"].tolist() == ["q1", "q1", "q0", "q0"]  # the harder first
    assert table["label"].tolist() == ["1", "1", "0", "0"]
    assert table["group_accuracy"].tolist() == [0.0, 0.0, 0.5, 0.5]
    assert table["response"].tolist() == ["ccc", "dd", "a", "bb"]
    assert table["score"].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert table["reward"].tolist() == [12.0, 13.0, 10.0, 11.0]
    assert table["coefficient"].tolist() == [0.25, 0.25, 0.0, 0.0]
    assert table["entropy"].tolist() == pytest.approx([0.6, 0.85, 0.1, 0.3])  # (0.5+0.6+0.7)/3, (0.8+0.9)/2, 0.1, 0.3
    assert table["tokens"].tolist() == [3, 2, 1, 2]
    assert table["truncated"].tolist() == [False, True, False, False]
