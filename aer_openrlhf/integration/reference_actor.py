"""The reference model's rank, with the fused head where it is asked for."""

from __future__ import annotations

from typing import Any

import ray
from openrlhf.trainer.ray import launcher

from . import fused_head
from .compat import raw_class


class ReferenceModelActorImpl(raw_class(launcher.ReferenceModelActor)):  # type: ignore[misc]
    """OpenRLHF's reference rank."""

    def init_model_from_pretrained(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        super().init_model_from_pretrained(strategy, *args, **kwargs)
        fused_head.attach(self.model, strategy.args, method=None)


ReferenceModelActor = ray.remote(num_gpus=1)(ReferenceModelActorImpl)
