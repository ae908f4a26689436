"""Does the installed OpenRLHF still have the hook points that the glue uses? Checked before anything starts."""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable
from typing import Any

from packaging.specifiers import SpecifierSet

SUPPORTED_OPENRLHF = SpecifierSet(">=0.11.1,<0.12")


def raw_class(actor_class: Any) -> Any:
    """The plain class behind a `@ray.remote` class, which Ray itself refuses to subclass."""
    return actor_class.__ray_metadata__.modified_class.__ray_actor_class__


def check_version() -> None:
    """Raise RuntimeError, with the mend, unless a supported OpenRLHF is installed. Imports nothing of it."""
    try:
        installed = importlib.metadata.version("openrlhf")
    except importlib.metadata.PackageNotFoundError:
        raise RuntimeError(
            "OpenRLHF is not installed: run `make quickstart` on a machine without a GPU, or "
            "`pip install -r requirements/gpu.txt` on a CUDA machine"
        ) from None
    if installed not in SUPPORTED_OPENRLHF:
        raise RuntimeError(
            f"OpenRLHF {installed} is not supported: install one of {SUPPORTED_OPENRLHF}, "
            "for example `pip install openrlhf==0.11.2`"
        )


def _hook_points() -> list[tuple[Callable[..., Any], set[str]]]:
    """The functions of OpenRLHF that the glue calls, wraps or overrides, each with the parameters it relies on."""
    from openrlhf.models import Actor, PolicyLoss
    from openrlhf.models.utils import compute_entropy, log_probs_from_logits
    from openrlhf.trainer import ppo_trainer, ppo_trainer_async
    from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
    from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator
    from openrlhf.trainer.ray import launcher, ppo_actor, vllm_engine
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    trainer = ppo_trainer.BasePPOTrainer
    return [
        (ppo_actor.ActorPPOTrainer.training_step, {"experience"}),
        (raw_class(ppo_actor.PolicyModelActor).init_model_from_pretrained, {"strategy", "vllm_engines"}),
        (raw_class(ppo_actor.PolicyModelActor).forward, {"sequences", "action_mask", "attention_mask"}),
        (
            PolicyLoss.forward,
            {"log_probs", "old_log_probs", "advantages", "action_mask", "dp_size", "batch_num_tokens"},
        ),
        (SingleTurnAgentExecutor._fetch_rewards_via_func, {"queries_list", "prompts_list", "labels_list"}),
        (SingleTurnAgentExecutor._fetch_rewards_via_http, {"queries_list", "prompts_list", "labels_list"}),
        (SamplesGenerator._process_response_into_experience, {"response"}),
        (SamplesGenerator._dispatch_prompts_to_vllm, {"prompts", "labels"}),
        (raw_class(ppo_actor.PolicyModelActor).fit, {"kl_ctl"}),
        (raw_class(ppo_actor.PolicyModelActor).save_checkpoint, {"tag", "client_states"}),
        (Actor.forward, {"sequences", "action_mask", "attention_mask", "return_entropy"}),
        (compute_entropy, {"logits"}),
        (log_probs_from_logits, {"logits", "labels"}),
        (launcher.RayActorGroup.async_init_model_from_pretrained, set()),
        (raw_class(launcher.ReferenceModelActor).init_model_from_pretrained, {"strategy"}),
        (RemoteExperienceMaker.compute_advantages_and_returns, {"experiences"}),
        (trainer.train_step, {"rollout_samples", "global_step"}),
        (trainer.ppo_train, {"global_steps"}),
        (trainer.save_logs_and_checkpoints, {"global_step", "logs_dict", "client_states"}),
        (trainer.save_best_checkpoint, {"eval_metrics", "global_step", "client_states"}),
        (trainer.restore_best_checkpoint_state, {"checkpoint_states"}),
        (trainer.init_checkpoint_states, set()),
        (ppo_trainer.compute_eval_metrics, {"eval_dataloader", "samples_list", "n_samples_per_prompt"}),
        (ppo_trainer_async.compute_eval_metrics, {"eval_dataloader", "samples_list", "n_samples_per_prompt"}),
        (raw_class(ppo_trainer.PPOTrainer).fit, set()),
        (raw_class(ppo_trainer_async.PPOTrainerAsync).fit, set()),
        (raw_class(ppo_trainer_async.TrainingActor).broadcast_to_vllm, set()),
        (raw_class(ppo_trainer_async.GenerateSamplesActor).fit, set()),
        (vllm_engine.create_vllm_engines, {"logprobs_mode"}),
        (raw_class(vllm_engine.RolloutRayActor).update_weight, {"name", "dtype", "shape", "empty_cache"}),
        (raw_class(vllm_engine.RolloutRayActor).generate_responses, {"prompt", "label", "hf_tokenizer"}),
        (raw_class(vllm_engine.RolloutRayActor).generate, {"prompt_token_ids", "sampling_params", "multi_modal_data"}),
    ]


def check_hook_points() -> None:
    """Raise RuntimeError naming every hook point that the installed OpenRLHF lacks. Imports its trainer modules."""
    from openrlhf.trainer.ppo_utils.experience import Experience

    problems = [
        f"{function.__qualname__} has no parameter {name}"
        for function, names in _hook_points()
        for name in sorted(names - set(inspect.signature(function).parameters))
    ]
    missing_fields = {"index", "info", "scores", "action_log_probs", "rollout_log_probs", "action_mask"} - set(
        Experience.__dataclass_fields__
    )
    problems += [f"Experience has no field {name}" for name in sorted(missing_fields)]
    if problems:
        raise RuntimeError(
            f"OpenRLHF {importlib.metadata.version('openrlhf')} has changed hook points ({'; '.join(problems)}): "
            "install openrlhf==0.11.2"
        )


def methods_with_zero_argument_super(cls: type) -> set[str]:
    """Methods of a raw class, inherited ones included, that use zero-argument `super()`.

    Ray pickles inherited raw methods by value, which breaks their `__class__` cell, so every subclass of ours has to
    override each of them.
    """
    return {
        name
        for base in cls.__mro__
        for name, function in vars(base).items()
        if inspect.isfunction(function) and "__class__" in function.__code__.co_freevars
    }
