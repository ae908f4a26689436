"""The policy rank: exact token entropy from the forwards that OpenRLHF runs anyway, and the method's loss term.

OpenRLHF's `training_step`, `ppo_train` and `forward` run unchanged. Two hooks on the model ask for the entropy and
take it; a wrapper around the loss function hands it the method's advantages and adds the method's term; the
policy-loss metric keeps its own value.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import ray
import torch
from openrlhf.models.ring_attn_utils import gather_and_pad_tensor, unpad_and_slice_tensor
from openrlhf.trainer.ray import ppo_actor
from torch import Tensor

from ..methods.base import EntropyMethod, LossInputs
from . import checkpoints, fused_head, lora_sync
from .compat import raw_class
from .faults import RunFault
from .flags import build_method

COEFFICIENT_KEY = "aer_coef"
COUNTED_KEY = "aer_counted_length"
SHARED_KEY = "aer_shared_"  # before the name of a number that is the same for all responses of a step


class EntropyHooks:
    """Attaches a method to one rank's `ActorPPOTrainer`."""

    def __init__(self, trainer: Any, method: EntropyMethod) -> None:
        self.method = method
        self.actor = trainer.actor
        self.rollout_entropy: list[tuple[Tensor, Tensor | None]] = []
        self._rollout_mask: Tensor | None = None
        self._info: dict[str, Any] | None = None  # of the micro-batch in training, where the method acts on it
        self._entropy: Tensor | None = None
        self._policy_loss: Tensor | None = None
        self._training_step = trainer.training_step
        trainer.training_step = self.training_step
        trainer.actor_loss_fn = _LossWithMethod(trainer.actor_loss_fn, self)
        trainer.actor.register_forward_pre_hook(self.request_entropy, with_kwargs=True)
        trainer.actor.register_forward_hook(self.take_entropy, with_kwargs=True)

    def pop_rollout_entropy(self) -> list[tuple[Tensor, Tensor | None]]:
        """Per forwarded micro-batch: (tokens,) float32 entropy of its response tokens, row after row, over the full
        vocabulary, and the method's own where it has one."""
        popped, self.rollout_entropy = self.rollout_entropy, []
        return popped

    def request_entropy(self, module: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Forward pre-hook: turn the entropy on where it is needed."""
        if not torch.is_grad_enabled():  # the pass that recomputes old log-probs: PolicyModelActor.forward
            self._rollout_mask = args[1]
            kwargs |= {"return_output": True, "return_entropy": True}
        elif self._info is not None and self.method.needs_entropy and not self.method.has_own_entropy:
            kwargs["return_entropy"] = True
        return args, kwargs

    def take_entropy(self, module: torch.nn.Module, args: tuple, kwargs: dict, outputs: Any) -> Any:
        """Forward hook: keep the entropy; the caller gets what it asked for."""
        if self._rollout_mask is not None:
            log_probs, output = outputs
            mask, self._rollout_mask = self._rollout_mask.bool(), None
            kinds = [output.entropy]
            if self.method.has_own_entropy:
                kinds.append(self._own_entropy(output, *args, **kwargs))
            full, *own = (entropy[:, -mask.shape[1] :][mask].float().cpu() for entropy in kinds)
            self.rollout_entropy.append((full, own[0] if own else None))
            return log_probs
        if self._info is not None and self.method.needs_entropy:
            own_entropy = self.method.has_own_entropy
            self._entropy = self._own_entropy(outputs[1], *args, **kwargs) if own_entropy else outputs[1].entropy
        return outputs

    def _own_entropy(self, output: Any, *args: Any, **kwargs: Any) -> Tensor:
        """(B, T - 1) the method's own entropy, in the layout of OpenRLHF's (openrlhf/models/actor.py, forward)."""
        entropy = self.method.token_entropy(output["logits"])
        if self.actor.packing_samples:
            given = inspect.signature(self.actor.forward).bind(*args, **kwargs).arguments
            sequences, group = given["sequences"], given.get("ring_attn_group")
            *_, pad_len, indices = unpad_and_slice_tensor(sequences, given["attention_mask"], group)
            entropy = gather_and_pad_tensor(entropy, group, pad_len, indices, *sequences.shape)
        return entropy[:, :-1]

    def training_step(self, experience: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """OpenRLHF's training step with this micro-batch's coefficients in force."""
        if bool(_stack(experience.info[COEFFICIENT_KEY]).any()):
            self._info = experience.info
        try:
            status = self._training_step(experience, *args, **kwargs)
            if self._policy_loss is not None:
                status["metrics"]["policy_loss"] = self._policy_loss
            return status
        finally:
            self._info = self._entropy = self._policy_loss = None

    def loss_inputs(self, log_probs: Tensor, old: Tensor, advantages: Tensor, norm: dict) -> LossInputs | None:
        """What the method acts on, None where every coefficient of the micro-batch is 0."""
        if self._info is None:
            return None
        mask, device = norm["action_mask"], log_probs.device
        shared = {key: values for key, values in self._info.items() if key.startswith(SHARED_KEY)}
        return LossInputs(
            log_probs=log_probs,
            old_log_probs=old,
            advantages=advantages,
            entropy=None if self._entropy is None else self._entropy[:, -mask.shape[1] :],
            mask=mask,
            coefficients=_stack(self._info[COEFFICIENT_KEY]).to(device),
            counted_lengths=_stack(self._info[COUNTED_KEY]).to(device),
            num_tokens=norm["batch_num_tokens"],
            num_responses=norm["global_batch_size"],
            dp_size=norm["dp_size"],
            shared={key.removeprefix(SHARED_KEY): float(values[0]) for key, values in shared.items()},
        )

    def add_term(self, policy_loss: Tensor, inputs: LossInputs) -> Tensor:
        """The policy loss plus the method's term, if it has one."""
        term = self.method.loss(inputs)
        if term is None:
            return policy_loss
        self._policy_loss = policy_loss.detach()
        return policy_loss + term


class _LossWithMethod(torch.nn.Module):
    """OpenRLHF's `PolicyLoss` on the method's advantages, with the method's term added to its first output."""

    def __init__(self, policy_loss: torch.nn.Module, hooks: EntropyHooks) -> None:
        super().__init__()
        self.policy_loss = policy_loss
        self.hooks = hooks

    def forward(self, log_probs: Tensor, old: Tensor, advantages: Tensor, **kwargs: Any) -> tuple:
        inputs = self.hooks.loss_inputs(log_probs, old, advantages, kwargs)
        if inputs is None:
            return self.policy_loss(log_probs, old, advantages, **kwargs)
        loss, *rest = self.policy_loss(log_probs, old, self.hooks.method.advantages(inputs), **kwargs)
        return (self.hooks.add_term(loss, inputs), *rest)


def _stack(values: list[Tensor] | Tensor) -> Tensor:
    """Per-sample `info` values reach a rank as a list of 0-d tensors."""
    return values if isinstance(values, Tensor) else torch.stack([torch.as_tensor(value) for value in values])


def not_finite(status: dict[str, Any], skipped: int, model: torch.nn.Module, dtype: str) -> str | None:
    """What of a rollout's updates is not finite, None where all is well. Reads this rank's weights once.

    skipped: updates that DeepSpeed left out because their gradients were not finite, without a word. In fp16 that is
    how it finds its loss scale. ZeRO-3 leaves out none in bf16, and the weights show it.
    """
    loss = status.get("policy_loss")
    if loss is not None and not math.isfinite(loss):
        return f"the policy loss is {loss}"
    if skipped > 0 and dtype != "fp16":
        return f"the gradients of {skipped} update(s) are not finite"
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(getattr(weight, "ds_tensor", weight)).all()):
            return f"the gradients are not finite, and neither is {name} after the update"
    return None


class PolicyModelActorImpl(raw_class(ppo_actor.PolicyModelActor)):  # type: ignore[misc]
    """OpenRLHF's policy rank with a method attached."""

    def init_model_from_pretrained(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        super().init_model_from_pretrained(strategy, *args, **kwargs)
        self.entropy_hooks = EntropyHooks(self.trainer, build_method(strategy.args))
        fused_head.attach(self.actor, strategy.args, self.entropy_hooks.method)

    def pop_rollout_entropy(self) -> list[tuple[Tensor, Tensor | None]]:
        """See `EntropyHooks.pop_rollout_entropy`."""
        return self.entropy_hooks.pop_rollout_entropy()

    def fit(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """OpenRLHF's updates of one rollout; raises RunFault where one of them was not finite."""
        engine = self.actor.model
        skipped = engine.skipped_steps
        status = super().fit(*args, **kwargs)
        found = not_finite(status, engine.skipped_steps - skipped, engine.module, self.strategy.args.ds.param_dtype)
        if found is not None:
            raise RunFault(found)
        return status

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        with checkpoints.writing("--ckpt.path", self.strategy.args.ckpt.path):
            super().save_checkpoint(*args, **kwargs)

    def save_model(self) -> None:
        with checkpoints.writing("--ckpt.output_dir", self.strategy.args.ckpt.output_dir):
            super().save_model()

    def broadcast_to_vllm(self) -> None:
        zero_stage, lockstep = self.strategy.args.ds.zero_stage, self.trainer.use_cuda_ipc
        reads = self.strategy.is_rank_0()
        with lora_sync.base_model_parameters(self.actor.model.module, zero_stage, lockstep, reads):
            super().broadcast_to_vllm()


PolicyModelActor = ray.remote(num_gpus=1)(PolicyModelActorImpl)
