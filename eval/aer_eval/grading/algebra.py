r"""Whether two expressions in LaTeX are equal. Run in a worker only: it may hang, or take all the memory it is given.

Expressions are read by math-verify's parser, a grammar: no text is ever evaluated as Python. Equality is decided by
value: both sides are computed to 30 digits, with the same few numbers put for the variables. That takes milliseconds
where simplifying a difference takes up to seconds and sometimes fails, and it has no direction. What has no value that
way (derivatives, relations) goes to math-verify's ``verify``, the reference as the reference: the other order accepts
the right-hand side of an equation for the equation.
"""

from __future__ import annotations

import cmath
import random
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
from math_verify import verify
from sympy.core.function import AppliedUndef

from aer_eval.grading.judgement import Unreadable
from aer_eval.grading.numbers import Number, is_rounding, read_number

DIGITS = 30
TOLERANCE = 1e-11
"""Relative difference between values that are taken for equal: less than the last digit of a Float in an answer."""
POSITIVE_POINTS = ((0.1, 0.9), (1.1, 2.0), (2.0, 5.0), (5.0, 9.0))
"""Where the values of the variables are drawn from. Roots and logarithms are at home there."""
NEGATIVE_POINT = (-3.0, -0.5)
"""Tells x from \\|x\\|. It counts only where both values are real."""

MAX_BITS = 4000
"""Longer integers are not written out."""

_ADJACENT = re.compile(r"(?<![_^\d.\]}])[\d.]+\s*(?=[({])|\)\s*(?=[(\d])")
"""Numbers side by side: the parser takes 2(3) for the mixed number two and three ones."""
_COMMAND_BELOW = re.compile(r"(?<!\\log)_\s*\{\\([a-zA-Z]+)\s*\}")
"""As in m_{\\max}, which the parser does not know."""
_CASE_MATTERS = ConversionConfig(lowercase_symbols=False)
_IMAGINARY_UNIT = {sympy.Symbol("i", real=False): sympy.I}
_VERIFY = {"allow_set_relation_comp": True, "timeout_seconds": None}


class Fingerprint(NamedTuple):
    """The values of an expression."""

    exact: Fraction | None
    """Where it is a rational number."""
    values: tuple[complex, ...]
    """At the positive points, and last at the negative one; nan where it has none."""
    constant: bool
    """It has no variables."""


@lru_cache(maxsize=256)
def parse(text: str) -> Any:
    """The sympy object that a text in normal form denotes. Raises Unreadable."""
    if "'" in text:  # which the parser does not see
        raise Unreadable(text)
    text = _COMMAND_BELOW.sub(r"_{\1}", _ADJACENT.sub(r"\g<0>\\cdot ", text))
    try:
        return latex2sympy(
            text,
            is_real=False,
            normalization_config=None,  # its rewriting takes \\frac{2}{7} 53 for 2/75 times 3
            conversion_config=_CASE_MATTERS,
        )
    except MemoryError:
        raise
    except Exception as error:  # the grammar's actions raise whatever they stumble on
        raise Unreadable(text) from error


def same_expression(gold: str, answer: str) -> bool:
    """Whether two expressions or relations are equal. Raises Unreadable where one cannot be read."""
    one, other = fingerprint(gold), fingerprint(answer)
    if one and other:
        if "=" in gold or "=" in answer:
            return _proportional(one, other) and ("=" in gold) == ("=" in answer)
        return _same_values(one, other, read_number(gold), read_number(answer))
    return bool(verify(parse(gold), parse(answer), **_VERIFY))


@lru_cache(maxsize=256)
def fingerprint(text: str) -> Fingerprint | None:
    """The values of an expression, or of the difference of an equation's sides; None where it has none."""
    expression = parse(text)
    try:
        if isinstance(expression, sympy.Eq):
            expression = expression.lhs - expression.rhs
        return _evaluate(expression.xreplace(_IMAGINARY_UNIT)) if isinstance(expression, sympy.Expr) else None
    except MemoryError:
        raise
    except Exception:  # sympy raises whatever it stumbles on
        return None


def _evaluate(expression: sympy.Expr) -> Fingerprint | None:
    unknowns = sorted(expression.free_symbols | expression.atoms(AppliedUndef), key=str)
    if not unknowns:
        return _constant(expression)
    if expression.has(sympy.Derivative):
        return None
    values = tuple(_value(expression, unknowns, *span) for span in (*POSITIVE_POINTS, NEGATIVE_POINT))
    return Fingerprint(None, values, False) if any(value == value for value in values[:-1]) else None


def _constant(expression: sympy.Expr) -> Fingerprint | None:
    done = expression.doit()
    if isinstance(done, sympy.Rational):
        exact = Fraction(int(done.p), int(done.q))
        return Fingerprint(exact, (), True)
    value = _complex(done.evalf(DIGITS))
    return Fingerprint(None, (value,), True) if value == value else None


def _value(expression: sympy.Expr, unknowns: list[Any], low: float, high: float) -> complex:
    """The value where each variable has a number that depends only on its name and the span."""
    numbers = {
        unknown: sympy.Float(random.Random(f"{unknown}{low}").uniform(low, high), DIGITS) for unknown in unknowns
    }
    return _complex(expression.xreplace(numbers).evalf(DIGITS))


def _complex(value: Any) -> complex:
    try:
        return complex(value)
    except (TypeError, ValueError, OverflowError):
        return complex("nan")


def _same_values(one: Fingerprint, other: Fingerprint, gold: Number | None, answer: Number | None) -> bool:
    if one.exact is not None and other.exact is not None:
        return one.exact == other.exact
    if one.constant and other.constant:
        return _close(_only(one), _only(other)) or _rounds(gold, other) or _rounds(answer, one)
    pairs = list(zip(_spread(one), _spread(other), strict=True))
    *positive, (left, right) = pairs
    known = [(x, y) for x, y in positive if x == x or y == y]
    if not known or not all(_close(x, y) for x, y in known):
        return False
    return not (left == left and right == right and left.imag == right.imag == 0) or _close(left, right)


def _only(constant: Fingerprint) -> complex:
    return constant.values[0] if constant.exact is None else _complex(constant.exact)


def _spread(one: Fingerprint) -> tuple[complex, ...]:
    return (_only(one),) * (len(POSITIVE_POINTS) + 1) if one.constant else one.values


def _rounds(decimal: Number | None, exact: Fingerprint) -> bool:
    """Whether a decimal is the rounding of a real number."""
    value = _only(exact)
    return decimal is not None and value.imag == 0 and is_rounding(decimal, value.real, abs(value) * 1e-14)


def _close(one: complex, other: complex) -> bool:
    if not (cmath.isfinite(one) and cmath.isfinite(other)):
        return one == other
    return abs(one - other) <= TOLERANCE * max(abs(one), abs(other), 1e-9)


def _proportional(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two equations say the same: the differences of their sides have a constant ratio."""
    pairs = [(x, y) for x, y in zip(_spread(one), _spread(other), strict=True) if x == x and y == y]
    if len(pairs) < 2 or any(abs(y) < TOLERANCE for _, y in pairs):
        return False
    ratio = pairs[0][0] / pairs[0][1]
    return abs(ratio) > TOLERANCE and all(_close(x, ratio * y) for x, y in pairs)


def key(text: str) -> str:
    """Equal for expressions with equal values, as far as ten digits show it. Raises Unreadable."""
    found = fingerprint(text)
    if found is None or "=" in text or (found.exact is not None and _bits(found.exact) > MAX_BITS):
        return re.sub(r"\s", "", text)
    if found.exact is not None:
        return str(found.exact)
    return ",".join(f"{value:.10g}" for value in found.values)


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())
