"""The platform interface; the base class is the CUDA platform, on which OpenRLHF runs as it is."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

from . import loopback


class Platform:
    """Next to nothing to do: OpenRLHF is written for this machine."""

    def prepare_process(self) -> None:
        """Called in the driver before OpenRLHF and Ray are imported."""
        if loopback.runs_alone(sys.argv[1:]):
            for name, value in loopback.ENVIRONMENT.items():
                os.environ.setdefault(name, value)

    def configure(self, args: SimpleNamespace) -> None:
        """Adapt OpenRLHF's validated arguments. Raises ValueError for what the platform cannot do."""

    def start_ray(self, args: SimpleNamespace) -> None:
        """Start or join Ray, where OpenRLHF's own way does not do."""

    def engine_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Changes to the keyword arguments of a vLLM engine."""
        return {}
