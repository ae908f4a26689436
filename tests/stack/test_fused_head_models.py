"""The fused head in OpenRLHF's `Actor`, for every family that it is used with, against the family's own head."""

import pytest
import torch
from transformers import Gemma2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
FAMILIES = {config.model_type: config for config in (LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config)}
LORA = {"lora_rank": 4, "target_modules": ["q_proj", "v_proj"]}
LORA_ON_THE_HEAD = {"lora_rank": 4, "target_modules": ["q_proj", "lm_head"]}


class Engine(torch.nn.Module):
    """The model as `Actor` has it once DeepSpeed has wrapped it."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


@pytest.fixture
def make_actor(tmp_path, model_dir):
    """make_actor(configuration, **options of Actor) -> an actor in float32 at temperature 0.7, and its arguments."""
    from tests.stack.openrlhf_args import base_arguments, parse

    args = parse(
        *base_arguments(str(model_dir)), "--aer.enable", "--aer.fused_head", "on"
    )  # brings the CPU platform up
    from openrlhf.models import Actor
    from transformers import AutoModelForCausalLM

    def make(configuration, **options):
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(configuration).save_pretrained(tmp_path / configuration.model_type)
        folder = str(tmp_path / configuration.model_type)
        actor = Actor(folder, attn_implementation="eager", temperature=0.7, **options)
        actor.model = Engine(actor.model.float())
        return actor, args

    return make


def outputs_and_gradients(actor):
    """Log-probs and entropy of two rows, and the gradient of a sum of both."""
    generator = torch.Generator().manual_seed(1)
    sequences = torch.randint(0, 97, (2, 9), generator=generator)
    weights = torch.randn(2, 2, 5, generator=generator)
    mask = torch.ones(2, 5, dtype=torch.bool)
    log_probs, output = actor(sequences, mask, torch.ones_like(sequences), return_output=True, return_entropy=True)
    entropy = output.entropy[:, -5:]
    (log_probs * weights[0] + entropy * weights[1]).sum().backward()
    return log_probs, entropy, {name: p.grad for name, p in actor.named_parameters() if p.grad is not None}


CASES = [(family, {}, tied) for family in FAMILIES for tied in (False, True)]
CASES += [("qwen2", LORA, True), ("qwen3", {"checkpointing": True}, False)]


@pytest.mark.parametrize(("family", "options", "tied"), CASES)
def test_it_is_the_familys_own_head(make_actor, family, options, tied):
    from aer_openrlhf.integration.fused_head import FusedHead, reason_against

    found = []
    for fused in (False, True):
        configuration = FAMILIES[family](**SIZES, tie_word_embeddings=tied)
        actor, args = make_actor(configuration, **{key: options[key] for key in options if key != "checkpointing"})
        if "checkpointing" in options:
            actor.model.module.gradient_checkpointing_enable({"use_reentrant": False})
            actor.train()
        assert reason_against(actor, args, None) is None
        if fused:
            FusedHead(actor, memory_mb=0.005)  # several tiles
        found.append(outputs_and_gradients(actor))
    (log_probs, entropy, gradients), (fused_log_probs, fused_entropy, fused_gradients) = found
    torch.testing.assert_close(fused_log_probs, log_probs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fused_entropy, entropy, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == fused_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(fused_gradients[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("configuration", "options", "reason"),
    [
        (Gemma2Config(**SIZES), {}, "the architecture gemma2 is not one of"),
        (LlamaConfig(**SIZES), LORA_ON_THE_HEAD, "not a plain Linear (an adapter on it, for example)"),
        (Qwen2Config(**SIZES, logit_scale=0.5), {}, "the model scales or caps its logits"),
    ],
    ids=["gemma2", "adapter on the head", "scaled logits"],
)
def test_another_head_stays_and_the_log_says_why(make_actor, capsys, configuration, options, reason):
    from aer_openrlhf.integration.fused_head import attach

    actor, args = make_actor(configuration, **options)
    attach(actor, args, None)
    said = capsys.readouterr().out
    assert "--aer.fused_head: off, since " in said
    assert reason in said
    log_probs, _, _ = outputs_and_gradients(actor)
    assert log_probs.shape == (2, 5)
