"""What makes two models the same one for a store."""

import pytest

from aer_eval.engines.hf import HFEngine, HFSettings
from aer_eval.engines.ray import RayEngine, RaySettings
from aer_eval.engines.vllm import VLLMEngine, VLLMSettings


@pytest.fixture
def model(tmp_path) -> str:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return str(tmp_path)


def test_a_model_is_known_by_its_bytes_and_its_dtype(model, tmp_path):
    first = HFEngine(HFSettings(model)).identity
    assert first.details == {"dtype": "auto"}
    assert first == VLLMEngine(VLLMSettings(model)).identity == RayEngine(RaySettings(VLLMSettings(model))).identity
    (tmp_path / "model.safetensors").write_bytes(b"weightt")
    assert HFEngine(HFSettings(model)).identity.fingerprint != first.fingerprint


@pytest.mark.parametrize("engine", [VLLMEngine, lambda settings: RayEngine(RaySettings(settings))])
def test_engine_arguments_count_unless_they_are_for_speed_and_memory(model, engine):
    def details(**engine_args):
        return engine(VLLMSettings(model, engine_args=engine_args)).identity.details

    assert details(max_num_seqs=8, gpu_memory_utilization=0.5, enforce_eager=True) == {"dtype": "auto"}
    assert details(quantization="fp8", max_num_seqs=8) == {"dtype": "auto", "engine_args": {"quantization": "fp8"}}
