"""The policy rank: exact token entropy from the forwards that OpenRLHF runs anyway, and the method's loss term.

OpenRLHF's `training_step`, `ppo_train` and `forward` run unchanged. Two hooks on the model ask for the entropy and
take it; a wrapper around the loss function adds the method's term; the policy-loss metric keeps its own value.
"""

from __future__ import annotations

from typing import Any

import ray
import torch
from openrlhf.trainer.ray import ppo_actor
from torch import Tensor

from ..methods.base import EntropyMethod, LossInputs
from . import lora_sync
from .compat import raw_class
from .flags import build_method

COEFFICIENT_KEY = "aer_coef"
COUNTED_KEY = "aer_counted_length"


class EntropyHooks:
    """Attaches a method to one rank's `ActorPPOTrainer`."""

    def __init__(self, trainer: Any, method: EntropyMethod) -> None:
        self.method = method
        self.rollout_entropy: list[Tensor] = []
        self._rollout_mask: Tensor | None = None
        self._coefficients: Tensor | None = None
        self._counted_lengths: Tensor | None = None
        self._entropy: Tensor | None = None
        self._policy_loss: Tensor | None = None
        self._training_step = trainer.training_step
        trainer.training_step = self.training_step
        trainer.actor_loss_fn = _LossWithMethod(trainer.actor_loss_fn, self)
        trainer.actor.register_forward_pre_hook(self.request_entropy, with_kwargs=True)
        trainer.actor.register_forward_hook(self.take_entropy, with_kwargs=True)

    def pop_rollout_entropy(self) -> list[Tensor]:
        """Per forwarded micro-batch: (tokens,) float32 entropy of its response tokens, row after row."""
        popped, self.rollout_entropy = self.rollout_entropy, []
        return popped

    def request_entropy(self, module: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Forward pre-hook: turn the entropy on where it is needed."""
        if not torch.is_grad_enabled():  # the pass that recomputes old log-probs: PolicyModelActor.forward
            self._rollout_mask = args[1]
            kwargs |= {"return_output": True, "return_entropy": True}
        elif self._coefficients is not None:
            kwargs["return_entropy"] = True
        return args, kwargs

    def take_entropy(self, module: torch.nn.Module, args: tuple, kwargs: dict, outputs: Any) -> Any:
        """Forward hook: keep the entropy; the caller gets what it asked for."""
        if self._rollout_mask is not None:
            log_probs, output = outputs
            mask, self._rollout_mask = self._rollout_mask.bool(), None
            self.rollout_entropy.append(output.entropy[:, -mask.shape[1] :][mask].float().cpu())
            return log_probs
        if self._coefficients is not None:
            self._entropy = outputs[1].entropy
        return outputs

    def training_step(self, experience: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """OpenRLHF's training step with this micro-batch's coefficients in force."""
        coefficients = _stack(experience.info[COEFFICIENT_KEY])
        if bool((coefficients > 0).any()):
            self._coefficients = coefficients
            self._counted_lengths = _stack(experience.info[COUNTED_KEY])
        try:
            status = self._training_step(experience, *args, **kwargs)
            if self._policy_loss is not None:
                status["metrics"]["policy_loss"] = self._policy_loss
            return status
        finally:
            self._coefficients = self._counted_lengths = self._entropy = self._policy_loss = None

    def add_term(self, policy_loss: Tensor, log_probs: Tensor, old: Tensor, advantages: Tensor, norm: dict) -> Tensor:
        """The policy loss plus the method's term; untouched where every coefficient of the micro-batch is 0."""
        if self._coefficients is None or self._entropy is None or self._counted_lengths is None:
            return policy_loss
        self._policy_loss = policy_loss.detach()
        mask = norm["action_mask"]
        return policy_loss + self.method.loss(
            LossInputs(
                log_probs=log_probs,
                old_log_probs=old,
                advantages=advantages,
                entropy=self._entropy[:, -mask.shape[1] :],
                mask=mask,
                coefficients=self._coefficients.to(log_probs.device),
                counted_lengths=self._counted_lengths.to(log_probs.device),
                num_tokens=norm["batch_num_tokens"],
                dp_size=norm["dp_size"],
            )
        )


class _LossWithMethod(torch.nn.Module):
    """OpenRLHF's `PolicyLoss` with the method's term added to its first output."""

    def __init__(self, policy_loss: torch.nn.Module, hooks: EntropyHooks) -> None:
        super().__init__()
        self.policy_loss = policy_loss
        self.hooks = hooks

    def forward(self, log_probs: Tensor, old: Tensor, advantages: Tensor, **kwargs: Any) -> tuple:
        loss, *rest = self.policy_loss(log_probs, old, advantages, **kwargs)
        return (self.hooks.add_term(loss, log_probs, old, advantages, kwargs), *rest)


def _stack(values: list[Tensor] | Tensor) -> Tensor:
    """Per-sample `info` values reach a rank as a list of 0-d tensors."""
    return values if isinstance(values, Tensor) else torch.stack([torch.as_tensor(value) for value in values])


class PolicyModelActorImpl(raw_class(ppo_actor.PolicyModelActor)):  # type: ignore[misc]
    """OpenRLHF's policy rank with a method attached."""

    def init_model_from_pretrained(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        super().init_model_from_pretrained(strategy, *args, **kwargs)
        self.entropy_hooks = EntropyHooks(self.trainer, build_method(strategy.args))

    def pop_rollout_entropy(self) -> list[Tensor]:
        """See `EntropyHooks.pop_rollout_entropy`."""
        return self.entropy_hooks.pop_rollout_entropy()

    def broadcast_to_vllm(self) -> None:
        with lora_sync.base_model_parameters(self.actor.model.module, self.strategy.args.ds.zero_stage):
            super().broadcast_to_vllm()


PolicyModelActor = ray.remote(num_gpus=1)(PolicyModelActorImpl)
