"""transformers' own `generate`: slow, and it runs wherever PyTorch does.

Tokens are drawn by the Gumbel-max trick: the largest of log-probability plus Gumbel noise is a sample of the softmax.
With the noise from a generator of each sample's own, a sample depends on its seed and not on what shares its batch,
which `generate`'s own sampling, with one generator for all rows, cannot give.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from aer_eval.engines.base import Engine, EngineName, ModelIdentity, check_lengths, local_identity, local_model, render
from aer_eval.errors import UserError
from aer_eval.grading.extraction import opened_by
from aer_eval.sampling.units import Completion, SamplingParams, Unit


@dataclass(frozen=True)
class HFSettings:
    """What transformers is started with."""

    model: str
    """Folder or hub id."""
    dtype: str = "auto"
    device: str | None = None
    """None is the first GPU, or the CPU without one."""


class HFEngine(Engine):
    """A model in transformers; one unit at a time."""

    name: ClassVar[EngineName] = "hf"

    def __init__(self, settings: HFSettings) -> None:
        """Find the model. Raises UserError where there is none."""
        self.settings = settings
        self._folder = local_model(settings.model)
        self._model: Any = None
        self._tokenizer: Any = None

    @cached_property
    def identity(self) -> ModelIdentity:
        return local_identity(self.settings.model, self._folder, self.settings.dtype)

    def _load(self) -> None:
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils.logging import disable_progress_bar
        except ImportError as problem:
            raise UserError("--engine hf: pip install torch transformers") from problem
        disable_progress_bar()  # it would tear ours apart
        self._tokenizer = AutoTokenizer.from_pretrained(self._folder)
        model = AutoModelForCausalLM.from_pretrained(self._folder, dtype=self.settings.dtype)
        self._model = model.to(self.settings.device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()

    def sample(self, units: Sequence[Unit], params: SamplingParams) -> Iterator[list[Completion]]:
        if not units:
            return
        if self._model is None:
            self._load()
        prompts = {unit.problem_id: render(self._tokenizer, unit.prompt) for unit in units}
        check_lengths(prompts, params, self._model.config.max_position_embeddings)
        for unit in units:
            prompt = prompts[unit.problem_id]
            opening = opened_by(self._tokenizer.decode(prompt))
            yield [replace(sample, text=opening + sample.text) for sample in self._complete(unit, prompt, params)]

    def _complete(self, unit: Unit, prompt: list[int], params: SamplingParams) -> list[Completion]:
        import torch

        started = time.monotonic()
        ids = torch.tensor([prompt] * unit.count, device=self._model.device)
        sampler = _Sampler(params, [seed for _, seed in unit.slots()])
        with torch.inference_mode():
            rows = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,  # the largest of the noised scores is the sample
                num_beams=1,
                temperature=None,
                top_p=None,
                top_k=None,
                max_new_tokens=params.max_tokens,
                pad_token_id=self._tokenizer.pad_token_id or 0,
                logits_processor=[sampler],
                stop_strings=list(params.stop) or None,
                tokenizer=self._tokenizer,
            )[:, len(prompt) :]
        duration = time.monotonic() - started
        return [
            self._completion(unit.problem_id, slot, row.tolist(), sampler.statistics(place, row), params, duration)
            for place, (slot, row) in enumerate(zip(unit.slots(), rows, strict=True))
        ]

    def _completion(
        self,
        problem_id: str,
        slot: tuple[int, int],
        tokens: list[int],
        statistics: Any,
        params: SamplingParams,
        duration: float,
    ) -> Completion:
        """One row of the batch, cut after its end: rows that end early are padded."""
        ends = self._model.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else set(ends or ())
        count = next((place + 1 for place, token in enumerate(tokens) if token in ends), len(tokens))
        text = self._tokenizer.decode(tokens[:count], skip_special_tokens=True)
        stopped = tokens[count - 1] in ends or any(stop in text for stop in params.stop)
        for stop in params.stop:
            text = text.partition(stop)[0]
        logprobs, entropies = statistics
        return Completion(
            problem_id=problem_id,
            sample_index=slot[0],
            seed=slot[1],
            text=text,
            token_count=count,
            finish_reason="stop" if stopped else "length",
            mean_logprob=float(logprobs[:count].mean()),
            entropy=float(entropies[:count].mean()),
            duration_s=duration,
            token_ids=tuple(tokens[:count]),
        )


class _Sampler:
    """A logits processor of ``generate``: transformers' temperature and cuts, then noise of each row's own.

    Keeps, for every step, the log-probabilities and the entropy that the statistics need.
    """

    def __init__(self, params: SamplingParams, seeds: Sequence[int]) -> None:
        import torch

        self._greedy = params.temperature == 0
        self._warpers = _warpers(params)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._logprobs: list[Any] = []
        self._entropies: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """``scores``: (rows, vocabulary), logits of the next token; returned noised."""
        import torch

        scores = scores.float()
        self._logprobs.append(scores.log_softmax(-1).cpu())
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        logs = scores.log_softmax(-1)
        self._entropies.append(torch.special.entr(logs.exp()).sum(-1).cpu())
        if self._greedy:
            return logs
        noise = torch.stack([torch.empty(logs.shape[-1]).exponential_(generator=g) for g in self._generators])
        return logs - noise.log().to(logs.device)

    def statistics(self, place: int, row: Any) -> tuple[Any, Any]:
        """Log-probability of each token of a row under the model, and entropy of what it was drawn from; (steps,)."""
        import torch

        chosen = [float(step[place, token]) for step, token in zip(self._logprobs, row.tolist(), strict=True)]
        return torch.tensor(chosen), torch.stack([step[place] for step in self._entropies])


def _warpers(params: SamplingParams) -> list[Any]:
    from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    warpers: list[Any] = []
    if params.temperature not in (0, 1):
        warpers.append(TemperatureLogitsWarper(params.temperature))
    if params.top_k:
        warpers.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        warpers.append(TopPLogitsWarper(params.top_p))
    if params.min_p:
        warpers.append(MinPLogitsWarper(params.min_p))
    return warpers
