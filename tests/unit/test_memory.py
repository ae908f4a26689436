"""The memory estimate: a Qwen3-4B counted by hand, and the activations against what autograd keeps."""

import inspect

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from aer_openrlhf.cli import memory
from aer_openrlhf.cli.memory import ModelShape

QWEN3_4B = {
    "vocab_size": 151936,
    "hidden_size": 2560,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 9728,
    "tie_word_embeddings": True,
}
# embedding 151936 * 2560; a layer 2 * 2560 * 4096 (q, o) + 2 * 2560 * 1024 (k, v) + 3 * 2560 * 9728 (MLP)
# + 2 * 128 + 2 * 2560 (norms) = 100,930,816; 36 of them; the last norm 2560
WEIGHTS = 4_022_468_096
GIB = 2**30


@pytest.fixture(scope="module")
def shape() -> ModelShape:
    config = Qwen3Config(**QWEN3_4B)
    with torch.device("meta"):
        model = Qwen3ForCausalLM(config)
    weights = sum(weight.numel() for weight in model.parameters())
    return ModelShape.of(config, weights, weights)


def test_shape(shape):
    assert shape == ModelShape(WEIGHTS, WEIGHTS, 36, 2560, 9728, 32 * 128, 8 * 128, 151936)


def test_zero3_over_eight_ranks(shape):
    # 4.022 G * 2 / 8; gathered at most 1 G of the other 3.52 G; gradients as weights; 12 bytes of optimizer
    assert memory.resident_weights(shape, 8, 3) == {"weights": WEIGHTS / 4, "gathered": 2e9}
    assert memory.training_state(shape, 8, 3) == {"gradients": WEIGHTS / 4, "optimizer": WEIGHTS * 1.5}
    assert memory.training_state(shape, 8, 3)["optimizer"] / GIB == pytest.approx(5.62, abs=0.005)


def test_zero2_keeps_whole_weights_and_zero1_whole_gradients(shape):
    assert memory.resident_weights(shape, 8, 2) == {"weights": 2 * WEIGHTS}
    assert memory.training_state(shape, 8, 2) == {"gradients": WEIGHTS / 4, "optimizer": WEIGHTS * 1.5}
    assert memory.training_state(shape, 8, 1)["gradients"] == 2 * WEIGHTS
    assert memory.training_state(shape, 8, 0)["optimizer"] == 12 * WEIGHTS


def test_a_micro_batch_of_16384_tokens(shape):
    # a layer's input 2 * 2560, 36 of them, and one layer 2 * (8 * 2560 + 5 * 4096 + 5 * 1024 + 4 * 9728) = 169,984
    assert memory.activations(shape, 16384, checkpointing=True) == 16384 * (184_320 + 169_984)
    # 12 bytes an entry of the vocabulary: 27.8 GiB; a forward of as many tokens takes half of it
    assert memory.logits(shape, 16384, 16384) == 12 * 16384 * 151936
    assert memory.logits(shape, 16384, 65536) == 6 * 65536 * 151936


def test_cache_and_checkpoint(shape):
    assert memory.cache_per_token(shape) == 144 * 1024  # 2 * 36 layers * 1024 * 2 bytes
    assert memory.checkpoint(shape) == 14 * WEIGHTS


def test_activations_are_those_that_autograd_keeps(monkeypatch):
    # Where the CPU platform multiplies in float32, and an earlier test has prepared it, float32 copies would be kept.
    monkeypatch.setattr(torch.nn.functional, "linear", inspect.unwrap(torch.nn.functional.linear))
    small = {"vocab_size": 512, "hidden_size": 256, "intermediate_size": 973, "num_hidden_layers": 4}
    heads = {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 64}
    config = Qwen3Config(**QWEN3_4B | small | heads)
    model = Qwen3ForCausalLM._from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.model(torch.arange(512)[None])
    found = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    estimate = memory.activations(ModelShape.of(config, 0, 0), 512, checkpointing=False)
    assert estimate == pytest.approx(found, rel=0.05)
