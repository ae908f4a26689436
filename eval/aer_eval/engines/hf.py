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

from aer_eval.engines.base import (
    Engine,
    EngineName,
    ModelIdentity,
    check_lengths,
    local_identity,
    local_model,
    longest_context,
    render,
)
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
        return local_identity(self.settings.model, self._folder, dtype=self.settings.dtype)

    def _load(self) -> None:
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
            from transformers.utils.logging import disable_progress_bar
        except ImportError as problem:
            raise UserError("--engine hf: pip install torch transformers") from problem
        disable_progress_bar()  # it would tear ours apart
        self._tokenizer = AutoTokenizer.from_pretrained(self._folder)
        model = AutoModelForCausalLM.from_pretrained(self._folder, dtype=self.settings.dtype)
        # A model's own generation settings may hold penalties, cuts and banned tokens, which no store would tell of:
        # only how its sequences end is its own.
        model.generation_config = GenerationConfig(eos_token_id=model.generation_config.eos_token_id)
        self._model = model.to(self.settings.device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()

    def sample(self, units: Sequence[Unit], params: SamplingParams) -> Iterator[list[Completion]]:
        if not units:
            return
        if self._model is None:
            self._load()
        prompts = {unit.problem_id: render(self._tokenizer, unit.prompt) for unit in units}
        check_lengths(prompts, params, longest_context(self._model.config))
        for unit in units:
            prompt = prompts[unit.problem_id]
            opening = opened_by(self._tokenizer.decode(prompt))
            yield [replace(sample, text=opening + sample.text) for sample in self._complete(unit, prompt, params)]

    def _complete(self, unit: Unit, prompt: list[int], params: SamplingParams) -> list[Completion]:
        import torch

        started = time.monotonic()
        ids = torch.tensor([prompt] * unit.count, device=self._model.device)
        sampler = _Sampler(params, [seed for _, seed in unit.slots()])
        ends = _Ends(ids, self._model.generation_config.eos_token_id, params.stop, self._tokenizer)
        with torch.inference_mode():
            rows = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,  # the largest of the noised scores is the sample
                num_beams=1,
                max_new_tokens=params.max_tokens,
                pad_token_id=self._tokenizer.pad_token_id or 0,
                logits_processor=[sampler],
                stopping_criteria=[ends],
            )[:, len(prompt) :]
        duration = time.monotonic() - started
        return [
            Completion(
                problem_id=unit.problem_id,
                sample_index=index,
                seed=seed,
                text=self._text(row[:count], params),
                token_count=count,
                finish_reason="stop" if ended else "length",
                duration_s=duration,
                token_ids=tuple(row[:count]),
                **sampler.statistics(place, count),
            )
            for place, ((index, seed), row, count, ended) in enumerate(
                zip(unit.slots(), rows.tolist(), ends.counts.tolist(), ends.ended.tolist(), strict=True)
            )
        ]

    def _text(self, tokens: list[int], params: SamplingParams) -> str:
        """The text of a response without the stop string that ended it."""
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=True))
        for stop in params.stop:
            text = text.partition(stop)[0]
        return text


class _Ends:
    """A stopping criterion of ``generate``: a row ends with an end-of-sequence token or a stop string.

    Counts the tokens of each row up to there, since ``generate`` goes on filling rows until the last one has ended.
    """

    def __init__(self, prompts: Any, eos: int | list[int] | None, stop: Sequence[str], tokenizer: Any) -> None:
        """``prompts``: (rows, tokens), all of one length; a stop string counts where the response holds all of it."""
        import torch
        from transformers import StopStringCriteria

        self._start = prompts.shape[1]
        self._eos = torch.tensor([eos] if isinstance(eos, int) else eos or [], dtype=torch.long, device=prompts.device)
        self._stop = StopStringCriteria(tokenizer, list(stop)) if stop else None
        self.ended = torch.zeros(len(prompts), dtype=torch.bool, device=prompts.device)
        self.counts = torch.zeros(len(prompts), dtype=torch.long, device=prompts.device)

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """``input_ids``: (rows, tokens) up to the newest; returned which rows have ended, (rows,)."""
        import torch

        self.counts += ~self.ended
        self.ended |= torch.isin(input_ids[:, -1], self._eos)
        if self._stop is not None:
            self.ended |= self._stop(input_ids[:, self._start :], scores)
        return self.ended


class _Sampler:
    """A logits processor of ``generate``: transformers' temperature and cuts, then noise of each row's own.

    Keeps, of every step, the log-probability of each row's token and the entropy of what it was drawn from.
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
        logprobs = scores.log_softmax(-1)
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        logs = scores.log_softmax(-1)
        self._entropies.append(torch.special.entr(logs.exp()).sum(-1).cpu())
        if not self._greedy:
            noise = torch.stack([torch.empty(logs.shape[-1]).exponential_(generator=g) for g in self._generators])
            logs = logs - noise.log().to(logs.device)
        tokens = logs.argmax(-1, keepdim=True)  # which `generate` takes
        self._logprobs.append(logprobs.gather(-1, tokens).squeeze(-1).cpu())
        return logs

    def statistics(self, row: int, count: int) -> dict[str, float]:
        """Means over a row's first ``count`` tokens, in nats: log-probability under the model, and entropy."""
        import torch

        return {
            "mean_logprob": float(torch.stack(self._logprobs[:count])[:, row].mean()),
            "entropy": float(torch.stack(self._entropies[:count])[:, row].mean()),
        }


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
