"""What every engine is: something that turns units of work into completions, each unit as soon as it is done."""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from aer_eval.errors import UserError, first_line
from aer_eval.records import Prompt
from aer_eval.sampling.units import Completion, SamplingParams, Unit

EngineName = Literal["vllm", "openai", "ray", "hf"]


@dataclass(frozen=True)
class ModelIdentity:
    """Which model an engine samples from, as far as the engine can know."""

    name: str
    """What the user called it: a path, a hub id, or the name that a server goes by."""
    fingerprint: str
    """Equal for equal weights, tokenizer and chat template; for a server, of what the server says about itself."""
    details: dict[str, Any] = field(default_factory=dict)
    """What else decides the samples, such as ``dtype``."""


class Engine(ABC):
    """An inference engine that holds a model. Construct it, ``sample`` as often as needed, then ``close``.

    The model is loaded when the first sample is asked for: a store that is full costs no start.
    """

    name: ClassVar[EngineName]

    @property
    @abstractmethod
    def identity(self) -> ModelIdentity:
        """Which model this is. The first look at it reads the weights, or asks the servers.

        Raises:
            UserError: it cannot be known: no weights, no server that answers.
        """

    @abstractmethod
    def sample(self, units: Sequence[Unit], params: SamplingParams) -> Iterator[list[Completion]]:
        """Sample the units; yield all completions of a unit together, as soon as it is done, in any order.

        Raises:
            UserError: nothing more can be had, such as a prompt that is too long or servers that stay away. What was
                yielded before stands.
        """

    def close(self) -> None:  # noqa: B027
        """Stop what the engine has started."""


class AsyncEngine(Engine):
    """An engine that works on many units at a time."""

    concurrency: int
    """Units in flight at most."""

    @abstractmethod
    async def complete(self, unit: Unit, params: SamplingParams) -> list[Completion]:
        """Sample one unit."""

    async def prepare(self, units: Sequence[Unit], params: SamplingParams) -> None:
        """Get ready: start what has to run, and check all units before the first is sampled."""

    def sample(self, units: Sequence[Unit], params: SamplingParams) -> Iterator[list[Completion]]:
        if not units:
            return
        self.runner.run(self.prepare(units, params))
        results = self._completed(units, params)
        try:
            while True:
                try:
                    yield self.runner.run(_next(results))
                except StopAsyncIteration:
                    return
        finally:
            self.runner.run(results.aclose())

    def close(self) -> None:
        self.runner.close()  # ends what still runs in its loop

    @cached_property
    def runner(self) -> asyncio.Runner:
        """One event loop for the engine's life: its connections and tasks belong to it."""
        return asyncio.Runner()

    async def _completed(
        self, units: Sequence[Unit], params: SamplingParams
    ) -> AsyncGenerator[list[Completion], None]:
        waiting = iter(units)
        running: set[asyncio.Task[list[Completion]]] = set()
        try:
            while True:
                while len(running) < self.concurrency and (unit := next(waiting, None)) is not None:
                    running.add(asyncio.ensure_future(self.complete(unit, params)))
                if not running:
                    return
                finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                failures = [task for task in finished if task.exception() is not None]
                for task in finished.difference(failures):  # what is done is handed on before any failure ends the run
                    yield task.result()
                for task in failures:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _next(results: AsyncGenerator[list[Completion], None]) -> list[Completion]:
    return await anext(results)  # a coroutine, which a generator's own step is not


def surprisal_statistics(total_logprob: float, tokens: int, params: SamplingParams) -> dict[str, float]:
    """Mean log-probability of the sampled tokens, and the entropy estimate where they are samples of the whole model.

    Engines report the model's own log-probabilities, before temperature and cuts. Where tokens are drawn from that
    very distribution, minus their log-probability is an unbiased estimate of its entropy; elsewhere it is not.

    Args:
        total_logprob: sum over the tokens, in nats.
        tokens: their number, at least 1.
        params: how they were drawn.
    """
    mean = total_logprob / tokens
    return {"mean_logprob": mean, "entropy": -mean} if params.is_full_distribution else {"mean_logprob": mean}


# --- for engines that hold the model themselves ----------------------------------------------------------------------

IDENTITY_FILES = ("config.json", "generation_config.json", "tokenizer*", "chat_template*", "vocab*", "merges.txt")
WEIGHT_FILES = ("*.safetensors", "*.bin", "*.gguf", "*.pt")


def local_model(model: str) -> Path:
    """The folder of a model: the path itself, or a hub id's snapshot, downloaded unless it is cached.

    Raises:
        UserError: neither a model folder nor a hub id that can be had.
    """
    path = Path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UserError(f"--model {model}: no config.json in it; give a Hugging Face model folder")
        return path.resolve()
    from huggingface_hub import snapshot_download

    patterns = [*IDENTITY_FILES, "*.safetensors", "*.json"]
    try:
        return Path(snapshot_download(model, allow_patterns=patterns))
    except Exception as problem:  # no network, no such model, no access: huggingface_hub has a dozen types for it
        raise UserError(
            f"--model {model}: no such folder, and not to be had from the hub ({first_line(problem)})"
        ) from problem


def local_identity(model: str, folder: Path, **details: Any) -> ModelIdentity:
    """Identity of a model on the disk: a hash over weights, configuration, tokenizer and chat template.

    Every byte counts, since two checkpoints of one run differ in nothing else; the files are about to be read anyway.

    Args:
        model: what the user called it.
        folder: where its files are.
        details: how it is run, as far as that decides the samples; what is empty is left out.

    Raises:
        UserError: no weights in the folder.
    """
    names = {path for pattern in (*IDENTITY_FILES, *WEIGHT_FILES) for path in folder.glob(pattern) if path.is_file()}
    if not any(path.match(pattern) for path in names for pattern in WEIGHT_FILES):
        raise UserError(f"--model {model}: no weights ({', '.join(WEIGHT_FILES)}) in {folder}")
    files = sorted(names)
    with ThreadPoolExecutor() as pool:  # hashlib lets other threads run
        digests = pool.map(_file_digest, files)
    whole = hashlib.blake2b(digest_size=16)
    for path, digest in zip(files, digests, strict=True):
        whole.update(path.name.encode() + b"\0" + digest)
    return ModelIdentity(
        name=model, fingerprint=whole.hexdigest(), details={key: value for key, value in details.items() if value}
    )


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def render(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Token ids of a prompt: chat messages through the model's own template, text as the tokenizer takes it.

    Raises:
        UserError: messages, and the tokenizer has no chat template.
    """
    if prompt.messages is None:
        return list(tokenizer(prompt.text, add_special_tokens=prompt.special_tokens).input_ids)
    if not tokenizer.chat_template:
        raise UserError("--template chat: the model has no chat template; use --template plain or qwen-boxed")
    text = tokenizer.apply_chat_template(list(prompt.messages), tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def special_ids(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """The ids of those texts that are a special token of the tokenizer."""
    special = {str(token): number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return [special[text] for text in texts if text in special]


def longest_context(config: Any) -> int | None:
    """The most tokens that a transformers configuration has positions for; None where it does not say."""
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def check_lengths(prompts: dict[str, list[int]], params: SamplingParams, limit: int | None) -> None:
    """Refuse prompts that leave no room for a response of full length.

    Args:
        prompts: token ids by problem id.
        params: sampling parameters.
        limit: most tokens of prompt and response together; None: no limit is known.

    Raises:
        UserError: names the longest prompt.
    """
    longest = max(prompts, key=lambda problem: len(prompts[problem]))
    tokens = len(prompts[longest])
    if limit is not None and tokens + params.max_tokens > limit:
        raise UserError(
            f"--max-tokens {params.max_tokens} and problem {longest!r} ({tokens} tokens) do not fit in the model's "
            f"{limit} tokens; lower --max-tokens to {limit - tokens} or raise --max-model-len"
        )
