"""How a method declares its settings: one dataclass field a flag, with its unit and its meaning beside the default."""

from __future__ import annotations

import dataclasses
import math
from typing import Any


def setting(default: Any, unit: str, text: str) -> Any:
    """A dataclass field whose unit and meaning are also the help of its flag."""
    return dataclasses.field(default=default, metadata={"unit": unit, "help": text})


def require(valid: bool, name: str, value: object, wanted: str) -> None:
    """Raise ValueError, naming the field and the mend, unless `valid`."""
    if not valid:
        raise ValueError(f"{name} is {value}: give {wanted}")


def require_not_negative(config: Any, *names: str) -> None:
    """Raise ValueError unless every named field is a finite number not below 0."""
    for name in names:
        value = getattr(config, name)
        require(0 <= value < math.inf, name, value, "a number not below 0")


def require_coef_in_box(config: Any) -> None:
    """Raise ValueError unless `coef_init` lies from `coef_min` to `coef_max`, all of them finite and not below 0."""
    require_not_negative(config, "coef_init", "coef_min", "coef_max")
    inside = config.coef_min <= config.coef_init <= config.coef_max
    wanted = f"a number from coef_min ({config.coef_min}) to coef_max ({config.coef_max})"
    require(inside, "coef_init", config.coef_init, wanted)


def clip(value: float, low: float, high: float) -> float:
    """The value, or the bound that it lies beyond."""
    return min(max(value, low), high)
