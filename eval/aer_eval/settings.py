"""Nested settings as JSON holds them: flattened, compared, hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings under dotted names, such as ``sampling.temperature``."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Dotted name and both values, None for one that is absent, wherever two nested settings differ; by name."""
    a, b = dict(flatten(one)), dict(flatten(other))
    return ((key, a.get(key), b.get(key)) for key in sorted({*a, *b}) if a.get(key) != b.get(key))


def short_hash(value: Any) -> str:
    """Sixteen hexadecimal digits that are equal for equal JSON values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
