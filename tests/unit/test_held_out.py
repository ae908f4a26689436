"""Exact pass@k, sampling and entropy of the quickstart's evaluation, and the demo model's tokenizer."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from model import ARCHITECTURE, VOCABULARY, WarmUp, check_tokenizer, make_tokenizer, warm_up
from sampling import measure, sample
from tasks import TASKS, Problem, train_problems

EOS = 2


class NextTokenModel:
    """A model whose next-token logits depend on the last token alone: row t of the table follows token t."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits
        self.config = SimpleNamespace(eos_token_id=EOS)

    def __call__(self, ids: torch.Tensor, **kwargs: Any) -> SimpleNamespace:
        cache = SimpleNamespace(batch_repeat_interleave=lambda repeats: None, batch_select_indices=lambda rows: None)
        return SimpleNamespace(logits=self.logits[ids], past_key_values=cache)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_entropy_is_that_of_the_tempered_softmax(temperature: float) -> None:
    probs = torch.tensor([0.5, 0.25, 0.0, 0.25])
    logits = probs.log().clamp(min=-1e4).expand(4, 4)
    drawn = sample(NextTokenModel(logits), torch.zeros(1, 3, dtype=torch.long), 50, 6, temperature, seeded())
    assert drawn.mask.all()  # the end of the sequence has probability 0
    # At temperature 2 the weights are square roots: 1/sqrt(2), 1/2, 1/2.
    weights = [p ** (1 / temperature) for p in (0.5, 0.25, 0.25)]
    expected = -sum(w / sum(weights) * math.log(w / sum(weights)) for w in weights)
    torch.testing.assert_close(drawn.entropy, torch.full_like(drawn.entropy, expected))


def test_nothing_counts_after_the_end_of_the_sequence() -> None:
    logits = torch.full((5, 5), -1e4)
    logits[0, [1, 3, 4]] = 0.0  # after the prompt: one of three, ln 3 nats
    logits[[1, 3, 4], EOS] = 0.0  # then the end, 0 nats
    logits[EOS] = 0.0  # and ln 5 nats afterwards, which must not count
    drawn = sample(NextTokenModel(logits), torch.zeros(2, 1, dtype=torch.long), 10, 6, 1.0, seeded())
    assert drawn.mask.sum(1).tolist() == [2] * 20
    assert drawn.entropy[drawn.mask].mean().item() == pytest.approx(math.log(3) / 2)


def test_no_token_is_cut_off() -> None:
    logits = torch.zeros(100, 100)
    drawn = sample(NextTokenModel(logits), torch.zeros(1, 1, dtype=torch.long), 2000, 6, 1.0, seeded())
    assert drawn.tokens[:, 0].unique().numel() == 100  # misses one with probability 100 * 0.99^2000 < 1e-6


def test_cached_sampling_equals_one_pass_over_the_whole_sequence() -> None:
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**ARCHITECTURE, initializer_range=0.3)).eval()
    prompts = torch.randint(3, 18, (3, 8))
    drawn = sample(model, prompts, 40, 20, 1.0, seeded())
    lengths = drawn.mask.sum(1)
    assert lengths.median() < 16 and lengths.max() == 20  # many rows have left the batch, some are in it to the end
    whole = torch.cat([prompts.repeat_interleave(40, dim=0), drawn.tokens], dim=1)
    with torch.no_grad():
        log_probs = model(whole[:, :-1]).logits[:, 7:].log_softmax(-1)
    expected = -(log_probs.exp() * log_probs).sum(-1)
    torch.testing.assert_close(drawn.entropy[drawn.mask], expected[drawn.mask], rtol=1e-4, atol=1e-5)
    assert drawn.entropy[drawn.mask].std() > 0.1  # not a uniform model, for which any bug would go unseen


def test_measure_counts_right_and_distinct_answers() -> None:
    ids = {character: index for index, character in enumerate(VOCABULARY)}
    logits = torch.full((len(VOCABULARY), len(VOCABULARY)), -1e4)
    for now, following in ("=1", "2+", "+3", "34"):
        logits[ids[now], ids[following]] = 0.0
    logits[ids["1"], [ids["2"], ids["2"]]] = 0.0
    logits[ids["4"], EOS] = 0.0  # always 12+34 and the end
    problems = [Problem("046=", "46", "", ""), Problem("047=", "47", "", "")]
    measured = measure(NextTokenModel(logits), make_tokenizer(), TASKS["make_n"], problems, 4, 1.0, seed=0)
    assert measured["pass_at_k"] == {"1": 0.5, "4": 0.5}  # every k up to the number of samples
    assert measured["distinct_correct"] == 0.5  # one for the first prompt, none for the second
    assert measured["entropy"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_saved_tokenizer_keeps_every_character(task: Any, tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    Qwen2Config(**ARCHITECTURE).save_pretrained(tmp_path)
    check_tokenizer(tmp_path, train_problems(task, 1, seed=0)[0])


def test_warm_up_stops_at_the_measured_accuracy_or_fails() -> None:
    task, tokenizer = TASKS["countdown"], make_tokenizer()
    model = warm_up(task, tokenizer, WarmUp(stop_at=0.0, batch_size=4, max_steps=50), seed=0)
    assert sum(weight.numel() for weight in model.parameters()) == 132_928
    with pytest.raises(RuntimeError, match=r"pass@1 0\.\d\d after 50 steps"):
        warm_up(task, tokenizer, WarmUp(stop_at=0.99, batch_size=4, max_steps=50), seed=0)
