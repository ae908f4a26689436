"""transformers' `generate`: what is drawn is what the settings say, and counted up to where each response ends."""

import json
import shutil

import pytest
import torch

from aer_eval.engines.hf import HFEngine, HFSettings, _Sampler
from aer_eval.records import Prompt
from aer_eval.sampling.units import Completion, SamplingParams, Unit

PROMPT = "12+34="
ROWS = 16
EOS = 2


def draw(folder, **params) -> list[Completion]:
    unit = Unit("p", Prompt(text=PROMPT), first_index=0, count=ROWS, first_seed=7)
    engine = HFEngine(HFSettings(str(folder), dtype="float32", device="cpu"))
    return next(engine.sample([unit], SamplingParams(**{"max_tokens": 24, **params})))


def mean_logprob(folder, tokens) -> float:
    """Of the tokens after the prompt, by one pass of the model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    prompt = AutoTokenizer.from_pretrained(folder)(PROMPT).input_ids
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        logprobs = model(torch.tensor([[*prompt, *tokens]])).logits[0].log_softmax(-1)
    return float(sum(logprobs[len(prompt) - 1 + place, token] for place, token in enumerate(tokens)) / len(tokens))


def test_the_models_own_generation_settings_change_nothing_but_where_it_ends(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "own")
    own = {"repetition_penalty": 5.0, "no_repeat_ngram_size": 2, "min_new_tokens": 20, "suppress_tokens": [5, 6, 7]}
    sampling = {"do_sample": True, "top_k": 2, "top_p": 0.5, "temperature": 0.3}
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": EOS, **own, **sampling}))
    plain, with_settings = draw(tiny_model), draw(folder)
    assert [sample.token_ids for sample in with_settings] == [sample.token_ids for sample in plain]
    assert [sample.entropy for sample in with_settings] == [sample.entropy for sample in plain]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [EOS, 9]}))
    for other, sample in zip(draw(folder), plain, strict=True):
        count = next((place for place, token in enumerate(sample.token_ids, 1) if token in (EOS, 9)), 24)
        assert other.token_ids == sample.token_ids[:count]


@pytest.mark.parametrize("stop", [(), ("7",), ("3", "+")])
def test_tokens_are_counted_up_to_the_end_of_each_response(tiny_model, stop):
    from transformers import AutoTokenizer

    decode = AutoTokenizer.from_pretrained(tiny_model).decode
    samples, unstopped = draw(tiny_model, stop=stop), draw(tiny_model)
    assert len({sample.token_count for sample in samples}) > 1  # rows that end early are filled up by `generate`
    for sample, longer in zip(samples, unstopped, strict=True):
        ends = [
            place
            for place, token in enumerate(longer.token_ids, 1)
            if token == EOS or any(string in decode(longer.token_ids[:place]) for string in stop)
        ]
        count, reason = (ends[0], "stop") if ends else (24, "length")
        assert (sample.token_count, sample.token_ids) == (count, longer.token_ids[:count])
        assert sample.finish_reason == reason
        assert not any(string in sample.text for string in stop)
        assert sample.mean_logprob == pytest.approx(mean_logprob(tiny_model, sample.token_ids), abs=1e-4)


def test_a_stop_string_that_begins_in_the_prompt_ends_nothing(tiny_model):
    plain = draw(tiny_model)
    first = next(sample.text[0] for sample in plain if sample.text.strip())
    texts = [sample.text for sample in draw(tiny_model, stop=(f"={first}",))]
    assert texts == [sample.text.partition(f"={first}")[0] for sample in plain]
    assert any(text.startswith(first) for text in texts)


def test_a_step_leaves_two_numbers_a_row_whatever_the_vocabulary():
    torch.manual_seed(0)
    sampler, steps = _Sampler(SamplingParams(), seeds=[1, 2]), 5
    scores = [torch.randn(2, 1000) for _ in range(steps)]
    chosen = torch.stack([sampler(None, step).argmax(-1) for step in scores])  # (steps, rows)
    logprobs = torch.stack(scores).log_softmax(-1)  # (steps, rows, vocabulary)
    entropies = -(logprobs.exp() * logprobs).sum(-1)
    for row in range(2):
        found = sampler.statistics(row, count=3)
        assert found["mean_logprob"] == pytest.approx(
            sum(float(logprobs[step, row, chosen[step, row]]) for step in range(3)) / 3, abs=1e-5
        )
        assert found["entropy"] == pytest.approx(float(entropies[:3, row].mean()), abs=1e-4)
    kept = [value for held in vars(sampler).values() if isinstance(held, list) for value in held]
    assert sum(value.numel() for value in kept if torch.is_tensor(value)) == 2 * 2 * steps
