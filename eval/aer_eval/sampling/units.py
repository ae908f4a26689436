"""What is to be sampled: units of work with one seed a sample, and what comes back."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aer_eval.errors import UserError
from aer_eval.records import Prompt

SEED_BITS = 48
"""Seeds are below 2**48: exact as JSON numbers everywhere, and two problems' ranges practically never meet."""


@dataclass(frozen=True)
class SamplingParams:
    """How responses are sampled. Two runs with different ones never share a store.

    Raises:
        UserError: a value outside its range.
    """

    temperature: float = 1.0
    """0 is greedy decoding."""
    top_p: float = 1.0
    """Smallest set of tokens whose probabilities reach this; 1 is off."""
    top_k: int = 0
    """Most likely tokens kept; 0 is off."""
    min_p: float = 0.0
    """Tokens below this share of the most likely one's probability are dropped; 0 is off."""
    max_tokens: int = 4096
    """Most tokens of a response."""
    stop: tuple[str, ...] = ()
    """Strings that end a response besides the end-of-sequence token. Most harnesses' surprises come from these."""
    run_seed: int = 0
    """Every sample's seed is derived from this, its problem and its index."""

    def __post_init__(self) -> None:
        checks = (
            ("--temperature", 0 <= self.temperature < math.inf, "a number of at least 0"),
            ("--top-p", 0 < self.top_p <= 1, "in (0, 1]"),
            ("--top-k", self.top_k >= 0, "at least 0 (0 is off)"),
            ("--min-p", 0 <= self.min_p <= 1, "in [0, 1]"),
            ("--max-tokens", self.max_tokens >= 1, "at least 1"),
        )
        for flag, good, wanted in checks:
            if not good:
                raise UserError(f"{flag} must be {wanted}")

    @property
    def is_full_distribution(self) -> bool:
        """Whether tokens are drawn from the model's own distribution: temperature 1 and nothing cut off."""
        return self.temperature == 1 and self.top_p == 1 and self.top_k == 0 and self.min_p == 0

    def to_dict(self) -> dict[str, Any]:
        """The parameters as JSON types."""
        return {**asdict(self), "stop": list(self.stop)}


@dataclass(frozen=True)
class Unit:
    """Consecutive samples of one problem: one request to the engine, which computes the prompt once for all."""

    problem_id: str
    prompt: Prompt
    first_index: int
    """Sample index of the first sample."""
    count: int
    first_seed: int
    """Sample ``first_index + j`` has the seed ``first_seed + j``, as vLLM numbers the samples of one request."""

    def slots(self) -> Iterator[tuple[int, int]]:
        """Sample index and seed of every sample."""
        return ((self.first_index + j, self.first_seed + j) for j in range(self.count))

    def split(self, count: int) -> list[Unit]:
        """The same samples in units of at most ``count``."""
        return [
            Unit(
                self.problem_id,
                self.prompt,
                self.first_index + start,
                min(count, self.count - start),
                self.first_seed + start,
            )
            for start in range(0, self.count, count)
        ]


@dataclass(frozen=True)
class Completion:
    """One sampled response."""

    problem_id: str
    sample_index: int
    seed: int
    text: str
    token_count: int | None
    finish_reason: str | None
    """``stop`` or ``length``."""
    mean_logprob: float | None = None
    """Mean log-probability of the sampled tokens under the model, in nats."""
    entropy: float | None = None
    """Estimate of the mean entropy of the distributions that the tokens were drawn from, in nats a token."""
    duration_s: float | None = None
    """Of the whole request, shared by its samples."""
    token_ids: tuple[int, ...] | None = None
    """The sampled tokens, an end-of-sequence token included, where the engine gives them; a store does not keep
    them."""


def base_seed(run_seed: int, problem_id: str) -> int:
    """Seed of a problem's sample 0; sample i has this plus i, however the samples are split into requests."""
    digest = hashlib.sha256(f"{run_seed}\0{problem_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 2**SEED_BITS


def plan_units(
    prompts: Mapping[str, Prompt], n: int, chunk: int, run_seed: int, done: Mapping[str, Collection[int]]
) -> list[Unit]:
    """The samples 0 to n - 1 of every problem that are not done yet, in units of at most ``chunk``.

    The first chunks of all problems come first, so that the running score soon speaks for the whole suite.
    """
    waves: dict[int, list[Unit]] = {}
    for problem_id, prompt in prompts.items():
        seed = base_seed(run_seed, problem_id)
        missing = sorted(set(range(n)) - set(done.get(problem_id, ())))
        for first, count in _runs(missing, chunk):
            waves.setdefault(first // chunk, []).append(Unit(problem_id, prompt, first, count, seed + first))
    return [unit for wave in sorted(waves) for unit in waves[wave]]


def _runs(indices: Iterable[int], chunk: int) -> Iterator[tuple[int, int]]:
    """(first, count) of the runs of consecutive indices, cut at multiples of ``chunk``."""
    first = count = 0
    for index in indices:
        if count and index == first + count and index % chunk:
            count += 1
            continue
        if count:
            yield first, count
        first, count = index, 1
    if count:
        yield first, count
