r"""Plain numbers, exactly: integers, decimals, fractions, mixed numbers, powers of ten. No algebra, no sympy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

MIN_PLACES = 6
"""A decimal of at least so many places may stand for a number that it is the rounding of: 0.333333 for 1/3."""
MIN_DIGITS = 5
"""And of at least so many significant digits: 0.000003 does not stand for 1/300000."""
MAX_EXPONENT = 400
"""Larger powers of ten are left to algebra."""


@dataclass(frozen=True)
class Number:
    """A rational number as it was written."""

    value: Fraction
    places: int | None = None
    """Decimal places, where it was written as a decimal."""


_UNSIGNED = r"\d+(?:\.\d*)?|\d*\.\d+"
_DECIMAL = re.compile(rf"(?P<digits>{_UNSIGNED})(?:\s*\\cdot\s*10\^(?:\{{(?P<power>-?\d+)\}}|(?P<digit>\d)))?")
_POWER = re.compile(r"10\^(?:\{(-?\d+)\}|(\d))")
_FRACTION = re.compile(
    rf"(?:(?P<whole>\d+)\s*)?\\frac\{{\s*(?P<top>-?\s*(?:{_UNSIGNED}))\s*\}}\{{\s*(?P<bottom>-?\s*(?:{_UNSIGNED}))\s*\}}"
)
_SLASH = re.compile(rf"(?:(?P<whole>\d+) )?(?P<top>{_UNSIGNED})\s*/\s*(?P<bottom>{_UNSIGNED})")
_REPEATING = re.compile(r"(?P<digits>\d*\.\d*)\\(?:overline|bar|dot)\{(?P<period>\d+)\}")


@lru_cache(maxsize=2**14)
def read_number(text: str) -> Number | None:
    r"""The number that a text like ``-007``, ``1.5 \cdot 10^{8}``, ``3\frac{1}{2}`` or ``3/4`` says, or None."""
    signs, text = re.fullmatch(r"\s*((?:[-+] ?){0,3})(.*?)\s*", text, re.DOTALL).groups()  # type: ignore[union-attr]
    number = _read_unsigned(text)
    return Number(-number.value, number.places) if number and signs.count("-") % 2 else number


def _read_unsigned(text: str) -> Number | None:
    inner = re.fullmatch(r"\(([^()]*)\)|\{([^{}]*)\}", text)
    if inner:
        return read_number(inner[1] or inner[2] or "")  # once: there are no more brackets in it
    return _read_decimal(text) or _read_fraction(text)


def _read_decimal(text: str) -> Number | None:
    power = _POWER.fullmatch(text)
    if power:
        text = "1 \\cdot " + text
    match = _DECIMAL.fullmatch(text)
    if match:
        exponent = int(match["power"] or match["digit"] or 0)
        if abs(exponent) > MAX_EXPONENT:
            return None
        places = len(match["digits"].partition(".")[2]) - exponent
        value = Fraction(match["digits"]) * Fraction(10) ** exponent
        return Number(value, places if places > 0 else None)
    match = _REPEATING.fullmatch(text)
    if match:
        start = Fraction(match["digits"] + "0")
        step = Fraction(1, 10 ** len(match["digits"].partition(".")[2]))
        return Number(start + step * Fraction(int(match["period"]), 10 ** len(match["period"]) - 1))
    return None


def _read_fraction(text: str) -> Number | None:
    match = _FRACTION.fullmatch(text) or _SLASH.fullmatch(text)
    if match is None:
        return None
    top, bottom = (Fraction(match[part].replace(" ", "")) for part in ("top", "bottom"))
    if bottom == 0 or (match["whole"] and not 0 <= top < bottom):  # 64 \frac{9}{1} is no mixed number
        return None
    return Number(int(match["whole"] or 0) + top / bottom)


def equal_numbers(one: Number, other: Number) -> bool:
    """Whether two numbers are equal, or one is a decimal that the other rounds to (see ``is_rounding``)."""
    return one.value == other.value or is_rounding(one, other.value, 0) or is_rounding(other, one.value, 0)


def is_rounding(decimal: Number, exact: Fraction | float, error: float) -> bool:
    """Whether a decimal with enough places is the rounding of a number that is known up to ``error``."""
    if decimal.places is None or decimal.places < MIN_PLACES:
        return False
    unit = Fraction(1, 10**decimal.places)
    digits = abs(decimal.value) / unit
    return digits >= 10 ** (MIN_DIGITS - 1) and abs(decimal.value - Fraction(exact)) <= unit / 2 + Fraction(error)
