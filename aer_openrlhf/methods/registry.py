"""The methods by name: what `--aer.method` chooses from."""

from __future__ import annotations

from .aent import AEnt
from .aer import AER
from .base import EntropyMethod
from .clip_cov import ClipCov
from .entropy_advantage import EntropyAdvantage
from .fixed import Fixed
from .high_entropy_tokens import HighEntropyTokens
from .kl_cov import KLCov
from .siren import Siren
from .skywork import Skywork

_METHODS: tuple[type[EntropyMethod], ...] = (
    AER,
    Fixed,
    Skywork,
    AEnt,
    Siren,
    ClipCov,
    KLCov,
    EntropyAdvantage,
    HighEntropyTokens,
)
METHODS: dict[str, type[EntropyMethod]] = {method.name: method for method in _METHODS}
DEFAULT = AER.name
