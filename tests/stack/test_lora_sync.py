"""The weights that a LoRA policy sends are those of the merged base model."""

import pytest
import torch


def test_synced_weights_equal_pefts_own_merge(model_dir):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from aer_openrlhf.integration.lora_sync import base_model_parameters

    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    names = [name for name, _ in base.named_parameters()]
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", init_lora_weights=False))
    with base_model_parameters(model, zero_stage=2):
        sent = {name: weight.data.clone() for name, weight in model.named_parameters()}
    assert any("lora_A" in name for name, _ in model.named_parameters())  # outside, nothing has changed
    merged = dict(model.merge_and_unload().named_parameters())
    assert list(sent) == names == list(merged)
    for name, weight in sent.items():
        torch.testing.assert_close(weight, merged[name].data, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("lockstep", "reads", "kept"), [(False, True, True), (False, False, False), (True, True, False)]
)
def test_under_zero3_only_a_rank_that_is_read_alone_keeps_the_merged_model(model_dir, lockstep, reads, kept):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from aer_openrlhf.integration.lora_sync import base_model_parameters

    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", init_lora_weights=False))
    with base_model_parameters(model, zero_stage=3, lockstep=lockstep, reads=reads):
        sent = dict(model.named_parameters())  # OpenRLHF lists them before it sends the first
        before = {name: weight.data for name, weight in sent.items()}
        with torch.no_grad():
            for parameter in torch.nn.Module.parameters(base):
                parameter.add_(1.0)
        for name, weight in sent.items():
            assert torch.equal(weight.data, before[name]) == kept


def test_a_model_without_adapters_is_left_alone(model_dir):
    from transformers import AutoModelForCausalLM

    from aer_openrlhf.integration.lora_sync import base_model_parameters

    model = AutoModelForCausalLM.from_pretrained(model_dir)
    with base_model_parameters(model, zero_stage=2):
        assert "named_parameters" not in vars(model)
