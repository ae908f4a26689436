"""The hook points that the glue relies on."""

import sys

import pytest

from aer_openrlhf.integration import compat


@pytest.fixture(scope="module", autouse=True)
def platform():
    from aer_openrlhf.platforms import current_platform

    current_platform().prepare_process()


def test_the_installed_openrlhf_has_every_hook_point():
    compat.check_version()
    compat.check_hook_points()


def test_a_changed_hook_point_is_named(monkeypatch):
    from openrlhf.trainer.ppo_trainer import BasePPOTrainer

    monkeypatch.setattr(BasePPOTrainer, "train_step", lambda self, samples: None)
    with pytest.raises(RuntimeError, match=r"changed hook points.*no parameter global_step.*openrlhf==0\.11\.2"):
        compat.check_hook_points()


def test_what_is_gone_is_named(monkeypatch):
    import openrlhf.models
    from openrlhf.trainer.ray import ppo_actor

    monkeypatch.delattr(openrlhf.models, "PolicyLoss")
    monkeypatch.delattr(ppo_actor.ActorPPOTrainer, "training_step")
    monkeypatch.setitem(sys.modules, "openrlhf.models.ring_attn_utils", None)  # importing it raises ImportError
    with pytest.raises(RuntimeError) as refusal:
        compat.check_hook_points()
    line = str(refusal.value)
    assert "openrlhf.models.PolicyLoss.forward is not there: module 'openrlhf.models' has no attribute" in line
    assert "openrlhf.trainer.ray.ppo_actor.ActorPPOTrainer.training_step is not there: " in line
    assert "openrlhf.models.ring_attn_utils.gather_and_pad_tensor is not there: " in line
    assert "\n" not in line and line.endswith("install openrlhf==0.11.2")


def test_a_field_of_an_experience_is_a_hook_point(monkeypatch):
    from openrlhf.trainer.ppo_utils import experience

    class Experience:
        def __init__(self, sequences, action_mask, action_log_probs, rollout_log_probs, rewards, scores, index, info):
            pass

    monkeypatch.setattr(experience, "Experience", Experience)
    with pytest.raises(RuntimeError) as refusal:
        compat.check_hook_points()
    for name in ("advantages", "truncated", "prompts", "labels"):
        assert f"openrlhf.trainer.ppo_utils.experience.Experience has no parameter {name}" in str(refusal.value)


@pytest.mark.parametrize("version", ["0.11.0", "0.12.0", "1.0"])
def test_an_unsupported_version_is_refused(monkeypatch, version):
    monkeypatch.setattr(compat.importlib.metadata, "version", lambda name: version)
    with pytest.raises(RuntimeError, match=f"OpenRLHF {version} is not supported"):
        compat.check_version()


def test_every_raw_method_with_zero_argument_super_is_overridden():
    """Ray pickles inherited raw methods by value, which breaks their zero-argument super()."""
    from aer_openrlhf.integration import policy_actor, reference_actor, rollout_engine, trainer

    ours = [
        policy_actor.PolicyModelActorImpl,
        reference_actor.ReferenceModelActorImpl,
        rollout_engine.RolloutRayActorImpl,
        trainer.PPOTrainerImpl,
        trainer.TrainingActorImpl,
        trainer.GenerateSamplesActorImpl,
        trainer.PPOTrainerAsyncImpl,
    ]
    found = set()
    for cls in ours:
        own = {base for base in cls.__mro__ if base.__module__.startswith("aer_openrlhf")}
        for base in set(cls.__mro__) - own:
            for name in compat.methods_with_zero_argument_super(base):
                found.add((base.__name__, name))
                assert any(name in vars(subclass) for subclass in own), f"{base.__name__}.{name}"
    assert {("PPOTrainer", "__init__"), ("TrainingActor", "broadcast_to_vllm")} <= found
