"""A random model small enough for tests, with the demo's tokenizer."""

from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from examples.quickstart.model import make_tokenizer


def save_tiny_model(folder: Path, tied: bool = True, seed: int = 0) -> Path:
    """Two layers, hidden size 64, two heads of 32 (vLLM's CPU attention refuses 16), vocabulary 32, bf16."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=32,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        initializer_range=0.2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder
