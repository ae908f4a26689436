"""The platform interface; the base class is the CUDA platform, on which OpenRLHF runs as it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Platform:
    """Nothing to do: OpenRLHF is written for this machine."""

    def prepare_process(self) -> None:
        """Called in the driver before OpenRLHF is imported."""

    def configure(self, args: SimpleNamespace) -> None:
        """Adapt OpenRLHF's validated arguments. Raises ValueError for what the platform cannot do."""

    def start_ray(self, args: SimpleNamespace) -> None:
        """Start or join Ray, where OpenRLHF's own way does not do."""

    def engine_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Changes to the keyword arguments of a vLLM engine."""
        return {}
