"""From planned units to a full store: sampled, written, and only then counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
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
        on_samples: called with samples once they are durable.

    Returns:
        The number of samples.

    Raises:
        UserError: from the engine or the store; all that was finished before it is in the store.
    """
    expected = {(unit.problem_id, *slot) for unit in units for slot in unit.slots()}
    wanted = len(expected)
    params_id = short_hash(params.to_dict())
    pending, last_flush = list[Completion](), time.monotonic()

    def flush() -> None:
        nonlocal last_flush
        if pending:
            store.append(pending, engine.name, engine.identity.fingerprint, params_id)
            on_samples(tuple(pending))
            pending.clear()
        last_flush = time.monotonic()

    # closing(): an engine's generator must end its requests before anybody else uses the engine
    with closing(engine.sample(units, params)) as finished:  # type: ignore[type-var]
        try:
            for completions in finished:
                for completion in completions:
                    # A retry by the engine may bring a unit twice: the first one counts.
                    slot = (completion.problem_id, completion.sample_index, completion.seed)
                    if slot in expected:
                        expected.remove(slot)
                        pending.append(completion)
                if time.monotonic() - last_flush >= FLUSH_SECONDS:
                    flush()
        finally:
            flush()
    if expected:
        raise UserError(f"the engine left {len(expected)} samples out; run the same command again to draw them")
    return wanted


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
