"""From planned units to a full store: sampled, written, and only then counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from threading import Event, Lock
from types import TracebackType
from typing import Any

from aer_eval.engines.base import Engine
from aer_eval.errors import UserError
from aer_eval.sampling.store import SampleStore
from aer_eval.sampling.units import Completion, SamplingParams, Unit
from aer_eval.settings import short_hash

FLUSH_SECONDS = 2.0
"""Finished units are gathered this long into one part of the store, so that parts do not get too many."""

OnSamples = Callable[[Sequence[Completion]], None]


def sample_units(
    store: SampleStore, units: Sequence[Unit], engine: Engine, params: SamplingParams, on_samples: OnSamples
) -> int:
    """Draw the samples of some units into a store.

    Args:
        store: open for writing.
        units: what is missing in it.
        engine: where the samples come from.
        params: how they are drawn.
        on_samples: called with samples once they are durable, in a thread of its own.

    Returns:
        The number of samples.

    Raises:
        UserError: from the engine or the store; all that was finished before it is in the store.
    """
    expected = {(unit.problem_id, *slot) for unit in units for slot in unit.slots()}
    wanted = len(expected)
    fingerprint, params_id = engine.identity.fingerprint, short_hash(params.to_dict())

    def write(samples: Sequence[Completion]) -> None:
        store.append(samples, engine.name, fingerprint, params_id)
        on_samples(samples)

    # closing(): an engine's generator must end its requests before anybody else uses the engine
    with closing(engine.sample(units, params)) as finished, _Parts(write) as parts:  # type: ignore[type-var]
        for completions in finished:
            # A retry by the engine may bring a unit twice: the first one counts.
            fresh = {(sample.problem_id, sample.sample_index, sample.seed): sample for sample in completions}
            parts.add([sample for slot, sample in fresh.items() if slot in expected])
            expected.difference_update(fresh)
    if expected:
        raise UserError(f"the engine left {len(expected)} samples out; run the same command again to draw them")
    return wanted


class _Parts:
    """Gathers samples and writes them as one part, ``FLUSH_SECONDS`` after the first of them came.

    In a thread: the engine may be busy for minutes before it hands over the next ones. There is no thread before the
    first sample, since engines fork while they start.
    """

    def __init__(self, write: OnSamples) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._writing: Future[None] | None = None
        self._gathered: list[Completion] = []
        self._lock = Lock()
        self._over = Event()

    def __enter__(self) -> _Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.shutdown()
        if self._writing is not None:
            self._writing.result()

    def add(self, samples: Sequence[Completion]) -> None:
        """Take samples, which stay in one part. Raises what writing the part before has raised."""
        with self._lock:
            begins_part = bool(samples) and not self._gathered
            self._gathered += samples
        if begins_part:
            if self._writing is not None:
                self._writing.result()
            self._writing = self._thread.submit(self._write_later)

    def _write_later(self) -> None:
        self._over.wait(FLUSH_SECONDS)
        with self._lock:
            part, self._gathered = tuple(self._gathered), []
        self._write(part)


def identical_share(texts: Mapping[str, Sequence[str]]) -> float | None:
    """Share of problems with several samples whose samples are all the same text; None without such problems."""
    groups = [group for group in texts.values() if len(group) > 1]
    return sum(len(set(group)) == 1 for group in groups) / len(groups) if groups else None


def manifest(
    suite: Mapping[str, Any],
    template: Mapping[str, Any],
    engine: Engine,
    params: SamplingParams,
    problems: Sequence[Mapping[str, Any]],
    label: str,
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """What a store's samples have in common, for ``store.json``: two runs that differ in it never share a store."""
    identity = engine.identity
    return {
        "label": label,
        "suite": dict(suite),
        "template": dict(template),
        "model_name": identity.name,
        "model": {"fingerprint": identity.fingerprint, **identity.details},
        "sampling": params.to_dict(),
        "versions": dict(versions),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "problems": list(problems),
    }
