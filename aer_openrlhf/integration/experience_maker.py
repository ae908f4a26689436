"""Turns OpenRLHF's experiences into a `RolloutBatch` and the method's plan back into `experience.info`.

`info` is the one part of an experience that survives splitting, shuffling, dynamic batching and the way to the ranks.
"""

from __future__ import annotations

import bisect
import itertools
from typing import Any

import ray
import torch
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
from torch import Tensor

from ..methods.base import EntropyMethod, RolloutBatch, StepPlan
from ..metrics import rollout_metrics, sampler_gap
from .faults import AGAIN, RunFault
from .policy_actor import COEFFICIENT_KEY, COUNTED_KEY, SHARED_KEY
from .samples import SampleTables

ANSWER_TAIL_KEY = "answer_tail_chars"
REPLACEMENT = "\ufffd"  # what a decoder makes of a part of a character, one for each byte


class EntropyExperienceMaker(RemoteExperienceMaker):
    """OpenRLHF's experience maker that also asks the method for every response's coefficient."""

    def __init__(self, *args: Any, method: EntropyMethod, samples: SampleTables, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.method = method
        self.samples = samples
        self.step = 0  # the trainer sets it, from 1
        self.metrics: dict[str, float] = {}

    @torch.no_grad()
    def compute_advantages_and_returns(self, experiences: list) -> list:
        check_finite(experiences)
        scores = torch.cat([e.scores if e.scores is not None else e.rewards for e in experiences]).float()
        experiences = super().compute_advantages_and_returns(experiences)  # shapes the rewards in place
        batch, order = self._rollout_batch(experiences, scores)
        plan = self.method.begin_step(batch)
        coefficients = plan.coefficients if self.method.has_entropy_term else None
        self.metrics = rollout_metrics(batch, coefficients) | plan.metrics
        self.metrics |= sampler_gap(
            (experience.rollout_log_probs, experience.action_log_probs, experience.action_mask)
            for experience in experiences
            if experience.rollout_log_probs is not None
        )
        self._send(plan, experiences, order)
        if self.samples.due(self.step):
            self.samples.write(self.step, experiences, order, batch, coefficients)
        return experiences

    def _send(self, plan: StepPlan, experiences: list, order: Tensor) -> None:
        """Put every response's part of the plan into its experience."""
        per_response = {COEFFICIENT_KEY: plan.coefficients, COUNTED_KEY: plan.counted_lengths}
        per_response |= {
            f"{SHARED_KEY}{name}": torch.full(plan.coefficients.shape, value) for name, value in plan.shared.items()
        }
        sizes = [len(experience.index) for experience in experiences]
        for key, values in per_response.items():
            for experience, part in zip(experiences, values[order].split(sizes), strict=True):
                experience.info[key] = part

    def _rollout_batch(self, experiences: list, scores: Tensor) -> tuple[RolloutBatch, Tensor]:
        """The batch in prompt order, and for every response of `experiences` its place in that order."""
        order = torch.tensor(list(itertools.chain.from_iterable(experience.index for experience in experiences)))
        place = order.argsort()
        lengths = torch.cat([experience.action_mask.sum(-1) for experience in experiences])
        masks = [experience.action_mask.bool() for experience in experiences]

        first_token = lengths.cumsum(0) - lengths
        first_in_prompt_order = lengths[place].cumsum(0) - lengths[place]
        shift = (first_token[place] - first_in_prompt_order).repeat_interleave(lengths[place])
        token_place = torch.arange(int(lengths.sum())) + shift

        def in_prompt_order(tokens: list[Tensor]) -> Tensor:
            """(N,) token values that come response after response, experience after experience."""
            return torch.cat(tokens)[token_place]

        full, own = zip(*self._pop_rollout_entropy(len(experiences)), strict=True)
        answer_lengths = self._answer_lengths(experiences)
        return RolloutBatch(
            scores=scores[place],
            entropy=in_prompt_order(list(full)),
            lengths=lengths[place],
            answer_lengths=None if answer_lengths is None else answer_lengths[place],
            group_size=self.args.rollout.n_samples_per_prompt,
            method_entropy=in_prompt_order(list(own)) if self.method.has_own_entropy else None,
            log_probs=in_prompt_order([e.action_log_probs[mask] for e, mask in zip(experiences, masks, strict=True)]),
            advantages=in_prompt_order([e.advantages[mask] for e, mask in zip(experiences, masks, strict=True)]),
        ), order

    def _pop_rollout_entropy(self, num_experiences: int) -> list[tuple[Tensor, Tensor | None]]:
        """Response-token entropies of every experience, from the pass that recomputed the old log-probs.

        Ranks hold contiguous chunks of the experiences in rank order (RayActorGroup.async_run_method_batch); ranks
        of one ring-attention or tensor-parallel group hold the same chunk.
        """
        duplicates = self.args.ds.ring_attn_size * self.args.ds.tensor_parallel_size
        per_rank = ray.get(self.actor_model_group.async_run_method("pop_rollout_entropy"))[::duplicates]
        entropies = list(itertools.chain.from_iterable(per_rank))
        if len(entropies) != num_experiences:
            raise RuntimeError(f"{len(entropies)} entropies for {num_experiences} experiences")
        return entropies

    def _answer_lengths(self, experiences: list) -> Tensor | None:
        """Response tokens up to the end of the graded answer, where the reward function reports it."""
        if any(ANSWER_TAIL_KEY not in experience.info for experience in experiences):
            return None
        return torch.tensor(
            [
                tokens_before_tail(sequence[1:][mask.bool()].tolist(), int(tail), self.tokenizer.decode)
                for experience in experiences
                for sequence, mask, tail in zip(
                    experience.sequences, experience.action_mask, experience.info[ANSWER_TAIL_KEY], strict=True
                )
            ]
        )


def check_finite(experiences: list) -> None:
    """Raise RunFault where a rollout batch holds what cannot be trained on, whoever made it."""
    mends = {
        "rewards": "look at the reward",
        "scores": "look at the reward",
        "action_log_probs": "the policy's weights are broken: write an earlier checkpoint's name into "
        "<ckpt.path>/_actor/latest and lower the learning rate",
    }
    for name, mend in mends.items():
        for experience in experiences:
            values = getattr(experience, name)
            if values is not None and not bool(torch.isfinite(values).all()):
                raise RunFault(f"the {name} of the rollout batch are not finite: {mend}, then {AGAIN}")


def tokens_before_tail(tokens: list[int], tail_chars: int, decode: Any) -> int:
    """How many leading tokens hold the text without its last `tail_chars` characters (-1: there is no answer).

    A token that reaches over the answer's end counts with the answer. The end is looked for from the back, since
    answers end near the end: in steps that double, then by bisection.
    """
    if tail_chars < 0:
        return len(tokens)

    def reaches_over(count: int) -> bool:
        """Whether the last `count` tokens hold a part of more than `tail_chars` characters."""
        text = decode(tokens[len(tokens) - count :], skip_special_tokens=False)
        whole = text.lstrip(REPLACEMENT)  # the bytes of a character that begins before them
        return len(whole) + (whole != text) > tail_chars

    known, tried = 0, 1
    while tried < len(tokens) and not reaches_over(tried):
        known, tried = tried, 2 * tried
    candidates = range(known + 1, min(tried, len(tokens)) + 1)
    return len(tokens) - known - bisect.bisect_left(candidates, True, key=reaches_over)
