"""Does the installed OpenRLHF still have the hook points that the glue uses? Checked before anything starts."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from typing import Any

from packaging.specifiers import SpecifierSet

SUPPORTED_OPENRLHF = SpecifierSet(">=0.11.1,<0.12")

EVALUATION = {"eval_dataloader", "samples_list", "n_samples_per_prompt"}
HOOK_POINTS: dict[str, dict[str, set[str]]] = {
    "openrlhf.models": {
        "Actor.forward": {"sequences", "action_mask", "attention_mask", "return_entropy"},
        "PolicyLoss.forward": {
            *("log_probs", "old_log_probs", "advantages", "action_mask"),
            *("dp_size", "batch_num_tokens", "global_batch_size"),
        },
    },
    "openrlhf.models.utils": {"compute_entropy": {"logits"}, "log_probs_from_logits": {"logits", "labels"}},
    "openrlhf.models.ring_attn_utils": {
        "unpad_and_slice_tensor": {"sequences", "attention_mask", "ring_attn_group"},
        "gather_and_pad_tensor": {"tensor", "ring_attn_group", "ring_attn_pad_len", "indices", "batch", "seqlen"},
    },
    "openrlhf.trainer.ray.ppo_actor": {
        "ActorPPOTrainer.training_step": {"experience"},
        "PolicyModelActor.init_model_from_pretrained": {"strategy", "vllm_engines"},
        "PolicyModelActor.forward": {"sequences", "action_mask", "attention_mask"},
        "PolicyModelActor.fit": {"kl_ctl"},
        "PolicyModelActor.save_checkpoint": {"tag", "client_states"},
    },
    "openrlhf.trainer.ray.launcher": {
        "RayActorGroup.async_init_model_from_pretrained": set(),
        "ReferenceModelActor.init_model_from_pretrained": {"strategy"},
    },
    "openrlhf.trainer.ray.vllm_engine": {
        "create_vllm_engines": {"logprobs_mode"},
        "RolloutRayActor.update_weight": {"name", "dtype", "shape", "empty_cache"},
        "RolloutRayActor.generate_responses": {"prompt", "label", "hf_tokenizer"},
        "RolloutRayActor.generate": {"prompt_token_ids", "sampling_params", "multi_modal_data"},
    },
    "openrlhf.utils.agent": {
        "SingleTurnAgentExecutor._fetch_rewards_via_func": {"queries_list", "prompts_list", "labels_list"},
        "SingleTurnAgentExecutor._fetch_rewards_via_http": {"queries_list", "prompts_list", "labels_list"},
    },
    "openrlhf.trainer.ppo_utils.samples_generator": {
        "SamplesGenerator.generate_samples": set(),
        "SamplesGenerator._process_response_into_experience": {"response"},
        "SamplesGenerator._dispatch_prompts_to_vllm": {"prompts", "labels"},
    },
    "openrlhf.trainer.ppo_utils.experience_maker": {
        "RemoteExperienceMaker.compute_advantages_and_returns": {"experiences"},
    },
    "openrlhf.trainer.ppo_utils.experience": {
        "Experience": {  # a dataclass: the parameters of its constructor are its fields
            *("sequences", "action_mask", "action_log_probs", "rollout_log_probs", "advantages"),
            *("rewards", "scores", "truncated", "index", "prompts", "labels", "info"),
        },
    },
    "openrlhf.trainer.ppo_trainer": {
        "BasePPOTrainer.train_step": {"rollout_samples", "global_step"},
        "BasePPOTrainer.ppo_train": {"global_steps"},
        "BasePPOTrainer.save_logs_and_checkpoints": {"global_step", "logs_dict", "client_states"},
        "BasePPOTrainer.save_best_checkpoint": {"eval_metrics", "global_step", "client_states"},
        "BasePPOTrainer.restore_best_checkpoint_state": {"checkpoint_states"},
        "BasePPOTrainer.init_checkpoint_states": set(),
        "PPOTrainer.fit": set(),
        "compute_eval_metrics": EVALUATION,
    },
    "openrlhf.trainer.ppo_trainer_async": {
        "PPOTrainerAsync.fit": set(),
        "TrainingActor.broadcast_to_vllm": set(),
        "GenerateSamplesActor.fit": set(),
        "compute_eval_metrics": EVALUATION,
    },
}
"""What the glue calls, wraps or overrides, by module and name, each with the parameters that it relies on."""


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
            "follow docs/install.md on a CUDA machine"
        ) from None
    if installed not in SUPPORTED_OPENRLHF:
        raise RuntimeError(
            f"OpenRLHF {installed} is not supported: install one of {SUPPORTED_OPENRLHF}, "
            "for example `pip install openrlhf==0.11.2`"
        )


def _find(module: str, names: str) -> Callable[..., Any]:
    """What a module holds under a dotted name; an attribute of a Ray actor class is that of the plain class behind."""
    found: Any = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(raw_class(found) if hasattr(found, "__ray_metadata__") else found, name)
    return found


def _problems(module: str, names: str, parameters: set[str]) -> list[str]:
    try:
        function = _find(module, names)
    except (ImportError, AttributeError) as error:
        return [f"{module}.{names} is not there: {error}"]
    missing = parameters - set(inspect.signature(function).parameters)
    return [f"{module}.{names} has no parameter {name}" for name in sorted(missing)]


def check_hook_points() -> None:
    """Raise RuntimeError naming every hook point that the installed OpenRLHF lacks. Imports its trainer modules."""
    problems = [
        problem
        for module, places in HOOK_POINTS.items()
        for names, parameters in places.items()
        for problem in _problems(module, names, parameters)
    ]
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
