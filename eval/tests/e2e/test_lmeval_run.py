"""lm-eval itself, started as a user starts it, on our task."""

import json
import math
import subprocess
import sys

import pytest
from evaluation import RUN_TIMEOUT, environment

REPEATS, PROBLEMS, END = 16, 12, 0.3


@pytest.fixture(scope="module")
def ones_model(tiny_model, tmp_path_factory):
    """Writes `1+1+...+1` and ends after each 1 with probability ``END``: right answers have a known probability.

    Without attention and feed-forward the hidden state is the last token's embedding, here one axis a token, and the
    output layer is a table of what follows what.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("ones_model")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model.config.tie_word_embeddings = False
    model.lm_head = torch.nn.Linear(model.config.hidden_size, model.config.vocab_size, bias=False)
    scale = math.sqrt(model.config.hidden_size)  # what RMSNorm makes of a single 1
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(model.config.vocab_size, model.config.hidden_size))
        model.model.norm.weight.fill_(1.0)
        model.lm_head.weight.fill_(-100.0)
        one, plus, equals = tokenizer.convert_tokens_to_ids(["1", "+", "="])
        for now, following, probability in (
            (equals, one, 1.0),
            (plus, one, 1.0),
            (one, plus, 1 - END),
            (one, tokenizer.eos_token_id, END),
        ):
            model.lm_head.weight[following, now] = math.log(probability) / scale
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_numbers_of_lm_eval_are_those_of_all_responses(ones_model, tmp_path):
    from aer_eval.tasks import FOLDER

    row = {"problem": "111 003=", "answer": "[[1, 1, 1], 3]"}
    (tmp_path / "countdown3.jsonl").write_text((json.dumps(row) + "\n") * PROBLEMS)
    command = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--device", "cpu", "--batch_size", "64"),
        *("--model_args", f"pretrained={ones_model},dtype=float32", "--gen_kwargs", "max_gen_toks=12"),
        *("--include_path", str(FOLDER), "--tasks", "aer_countdown3", "--metadata", f"data={tmp_path}"),
        *("--output_path", str(tmp_path / "out"), "--log_samples"),
    ]
    ended = subprocess.run(command, env=environment(), timeout=RUN_TIMEOUT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-4000:]

    [file] = (tmp_path / "out").glob("*/samples_aer_countdown3_*.jsonl")
    groups = [json.loads(line)["resps"][0] for line in file.read_text().splitlines()]
    assert [len(group) for group in groups] == [REPEATS] * PROBLEMS
    right = [group.count("1+1+1") for group in groups]
    [file] = (tmp_path / "out").glob("*/results_*.json")
    numbers = json.loads(file.read_text())["results"]["aer_countdown3"]
    for k in (1, 2, 4, 8, 16):
        expected = sum(1 - math.comb(REPEATS - c, k) / math.comb(REPEATS, k) for c in right) / PROBLEMS
        assert numbers[f"pass@{k},graded"] == pytest.approx(expected)
    assert numbers["mean@n,graded"] == pytest.approx(sum(right) / (PROBLEMS * REPEATS))
    # Five standard errors around (1 - END)^2 * END: these are samples of the model, at temperature 1.
    chance = (1 - END) ** 2 * END
    error = math.sqrt(chance * (1 - chance) / (PROBLEMS * REPEATS))
    assert numbers["pass@1,graded"] == pytest.approx(chance, abs=5 * error)
