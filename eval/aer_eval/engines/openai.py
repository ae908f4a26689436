"""Any server with OpenAI's API (vLLM, SGLang, llama.cpp, a hosted one), or a pool of them.

Retries, backoff and connections are the `openai` client's. On top of that, a unit whose server is gone is handed to
another one, and the run waits for servers to come back: it gives up only when none has answered for a while.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from aer_eval.engines.base import AsyncEngine, EngineName, ModelIdentity, surprisal_statistics
from aer_eval.errors import UserError
from aer_eval.grading.extraction import opened_by
from aer_eval.sampling.units import Completion, SamplingParams, Unit

LONGEST_PAUSE_S = 30.0
VLLM_OFF = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""What a request to vLLM says where nothing is set: it would take what is left out from the model's
``generation_config.json``."""


@dataclass(frozen=True)
class OpenAISettings:
    """Where the servers are and how to use them."""

    base_urls: tuple[str, ...]
    """One for each server, such as ``http://host:8000/v1``; all serve the same model."""
    model: str | None = None
    """The model's name on the servers; None asks the first server, which must have one only."""
    api_key: str = "none"
    concurrency: int = 64
    """Requests in flight at most, over all servers."""
    samples_per_request: int = 1
    """The API's ``n``. Above 1 the seeds are right only on servers that give choice j the seed ``seed + j``, as vLLM
    does; at 1 every sample's seed goes to the server, and its prefix cache keeps the prompt."""
    request_timeout_s: float = 3600.0
    give_up_s: float = 900.0
    """The run ends when for this long no server has answered a request."""


class OpenAIEngine(AsyncEngine):
    """A model behind HTTP."""

    name: ClassVar[EngineName] = "openai"

    def __init__(self, settings: OpenAISettings) -> None:
        """Set the clients up. Raises UserError where the library is missing."""
        try:
            from openai import AsyncOpenAI
        except ImportError as problem:
            raise UserError("--engine openai: the client is not installed; pip install openai") from problem
        self.settings = settings
        self.concurrency = settings.concurrency
        self._servers = [
            AsyncOpenAI(base_url=url, api_key=settings.api_key, timeout=settings.request_timeout_s, max_retries=2)
            for url in settings.base_urls
        ]
        self._turn = itertools.cycle(self._servers)
        self._failing_since: float | None = None
        self._slots = asyncio.Semaphore(settings.concurrency)

    @cached_property
    def identity(self) -> ModelIdentity:
        model = self._served_model
        extra = model.model_extra or {}
        details = {"id": model.id, **{key: extra[key] for key in ("root", "max_model_len") if key in extra}}
        fingerprint = hashlib.sha256(json.dumps(details, sort_keys=True).encode()).hexdigest()[:32]
        return ModelIdentity(name=model.id, fingerprint=fingerprint, details=details)

    @cached_property
    def _served_model(self) -> Any:
        """What the first server that answers says about the model."""
        return self.runner.run(self._find_model())

    async def _find_model(self) -> Any:
        found = await asyncio.gather(*(self._served(server) for server in self._servers))
        answers = [answer for answer in found if not isinstance(answer, Exception)]
        if not answers:
            raise UserError(f"--base-url {self.settings.base_urls[0]}: no server answers ({found[0]}); start it first")
        names = {answer.id for answer in answers}
        if len(names) > 1:
            raise UserError(f"--base-url: the servers serve different models ({', '.join(sorted(names))})")
        return answers[0]

    async def _served(self, server: Any) -> Any:
        """What a server says about the model, or the exception that says why it cannot be asked."""
        from openai import APIError

        try:
            models = (await server.models.list()).data
        except APIError as problem:
            return problem
        wanted = self.settings.model
        names = [model.id for model in models]
        if wanted is None and len(models) != 1:
            raise UserError(f"--model is needed: {server.base_url} serves {', '.join(names) or 'nothing'}")
        chosen = next((model for model in models if wanted in (None, model.id)), None)
        if chosen is None:
            raise UserError(f"--model {wanted}: {server.base_url} serves {', '.join(names)}")
        return chosen

    async def complete(self, unit: Unit, params: SamplingParams) -> list[Completion]:
        parts = await asyncio.gather(
            *(self._until_answered(part, params) for part in unit.split(self.settings.samples_per_request))
        )
        return [completion for part in parts for completion in part]

    async def _until_answered(self, unit: Unit, params: SamplingParams) -> list[Completion]:
        """Ask one server after the other, ever more slowly, until one answers or all have been silent for too long."""
        from openai import APIConnectionError, APIStatusError, InternalServerError, RateLimitError

        pause = 1.0
        while True:
            server = next(self._turn)
            try:
                async with self._slots:
                    started = time.monotonic()
                    answer = await self._ask(server, unit, params)
            except (APIConnectionError, InternalServerError, RateLimitError) as problem:
                self._failing_since = self._failing_since or time.monotonic()
                silence = time.monotonic() - self._failing_since
                if silence > self.settings.give_up_s:
                    raise UserError(
                        f"--base-url: no server has answered for {silence:.0f} s ({problem}); "
                        "start them and run the same command again: finished samples are kept"
                    ) from problem
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
                continue
            except APIStatusError as problem:  # the request itself is refused: asking again cannot help
                raise UserError(
                    f"{server.base_url} refuses problem {unit.problem_id!r}: {problem.message}"
                ) from problem
            self._failing_since = None
            return _completions(unit, answer, params, time.monotonic() - started)

    async def _ask(self, server: Any, unit: Unit, params: SamplingParams) -> Any:
        options: dict[str, Any] = {
            "model": self._served_model.id,
            "n": unit.count,
            "seed": unit.first_seed,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "max_tokens": params.max_tokens,
        }
        if params.stop:
            options["stop"] = list(params.stop)
        # Not in OpenAI's API: a server that does not have them may refuse a request for naming them.
        vllm = self._served_model.owned_by == "vllm"
        extra: dict[str, Any] = dict(VLLM_OFF) if vllm else {}
        if vllm and params.stop:
            extra["skip_special_tokens"] = (
                False  # else a special token, which may be the stop, never shows in the text
            )
        extra |= {name: value for name in ("top_k", "min_p") if (value := getattr(params, name))}
        if unit.prompt.messages is not None:
            return await server.chat.completions.create(
                messages=list(unit.prompt.messages), logprobs=True, extra_body=extra, **options
            )
        if not unit.prompt.special_tokens:
            extra["add_special_tokens"] = False
        return await server.completions.create(prompt=unit.prompt.text, logprobs=0, extra_body=extra, **options)

    def close(self) -> None:
        async def close_all() -> None:
            await asyncio.gather(*(server.close() for server in self._servers))

        self.runner.run(close_all())
        super().close()


def _completions(unit: Unit, answer: Any, params: SamplingParams, duration: float) -> list[Completion]:
    """The choices of one answer as completions, in the order of their index."""
    choices = sorted(answer.choices, key=lambda choice: choice.index)
    if len(choices) != unit.count:
        raise UserError(
            f"the server gave {len(choices)} of {unit.count} samples for problem {unit.problem_id!r}; "
            "use --samples-per-request 1"
        )
    total = answer.usage.completion_tokens if answer.usage else None
    result = []
    for (index, seed), choice in zip(unit.slots(), choices, strict=True):
        logprobs = _token_logprobs(choice)
        # The API counts tokens for the whole answer only; with one choice that is the choice's.
        count = total if unit.count == 1 else len(logprobs) or None
        result.append(
            Completion(
                problem_id=unit.problem_id,
                sample_index=index,
                seed=seed,
                text=opened_by(unit.prompt.text or "") + _text(choice),
                token_count=count,
                finish_reason=choice.finish_reason,
                duration_s=duration,
                token_ids=None,  # the API gives texts
                **(surprisal_statistics(sum(logprobs), len(logprobs), params) if logprobs else {}),
            )
        )
    return result


def _text(choice: Any) -> str:
    """The whole response, reasoning included where the server has split it off."""
    if not hasattr(choice, "message"):
        return str(choice.text)
    content = choice.message.content or ""
    reasoning = getattr(choice.message, "reasoning_content", None) or getattr(choice.message, "reasoning", None)
    return f"<think>{reasoning}</think>{content}" if reasoning else content


def _token_logprobs(choice: Any) -> Sequence[float]:
    """Log-probabilities of the sampled tokens; empty where the server does not give them."""
    if choice.logprobs is None:
        return ()
    if hasattr(choice, "message"):
        return [token.logprob for token in choice.logprobs.content or ()]
    return [value for value in choice.logprobs.token_logprobs or () if value is not None]
