r"""Whether two expressions in LaTeX are equal. Run in a worker only: it may hang, or take all the memory it is given.

Expressions are read by math-verify's parser, a grammar: no text is ever evaluated as Python. Equality is decided by
value: both sides are computed to 30 digits, with the same few numbers put for the variables. That takes milliseconds
where simplifying a difference takes up to seconds and sometimes fails, and it has no direction. What has no value that
way (relations, sets) goes to math-verify's ``verify``, the reference as the reference: the other order accepts the
right-hand side of an equation for the equation.
"""

from __future__ import annotations

import random
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import mpmath  # type: ignore[import-untyped]
import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
from math_verify import verify
from sympy.core.function import AppliedUndef

from aer_eval.grading.judgement import Unreadable
from aer_eval.grading.numbers import Number, is_rounding, read_number
from aer_eval.grading.products import explicit_products

DIGITS = 30
TOLERANCE = 1e-11
"""Relative difference between values that are taken for equal."""
ZERO = 1e-60
"""Absolute difference that stands for none: what is left where sympy cannot tell that terms cancel."""
POSITIVE_POINTS = ((0.1, 0.9), (1.1, 2.0), (2.0, 5.0), (5.0, 9.0), (20.0, 40.0))
"""Where the values of the variables are drawn from. Roots and logarithms are at home there."""
NEGATIVE_POINTS = ((-3.0, -0.5), (-40.0, -20.0))
"""Tell x from its absolute value, the farther one also x + 1. They count only where both values are real."""
FLOAT_ERROR = 1e-15
"""Relative error of a float, about."""
MAX_BITS = 4000
"""Longer integers are not written out."""

_COMMAND_BELOW = re.compile(r"(?<!\\log)_\s*\{\\([a-zA-Z]+)\s*\}")
"""As in m_{\\max}, which the parser does not know."""
_NOT_SEEN = re.compile(r"'|(?<![_^\w])\d[\d.]*\s*_|!\s*!")
"""Primes and bases, which the parser reads over, and double factorials, which it takes for factorials twice."""
_MISREAD = re.compile(
    r"\\(?:math[a-z]+|text|operatorname)\s*\{[^{}]*\}|_\s*(?:\{[^{}]*\}|\w)"  # left as it is
    r"|(?P<transposed>\^\s*(?:T|\{\s*T\s*\}))|\\(?P<greek>gamma(?![a-zA-Z])|Gamma(?![a-zA-Z]|\s*\())"
    r"|\\[a-zA-Z]+|(?P<letter>I(?!\()|d|[Ee](?=\s*_))"
)
"""Letters that the parser takes for Euler's constant, the imaginary unit, a transposition or a differential."""
_DIFFERENTIAL = re.compile(r"\\int|\\frac\{d")
_BARE_ARGUMENT = re.compile(
    r"(\\(?:ln|log|sin|cos|tan|cot|sec|csc)(?:_(?:\w|\{[^{}]*\}))?)\s*"
    r"((?:\d+(?:\.\d+)?\s*)?(?:[a-zA-Z]|\\(?:alpha|beta|theta|phi|omega|pi)(?![a-zA-Z]))|\d+(?:\.\d+)?)\s*(?=\\cdot)"
)
_CASE_MATTERS = ConversionConfig(lowercase_symbols=False)
_IMAGINARY_UNIT = {sympy.Symbol("i", real=False): sympy.I}
_TO_DO = (sympy.Sum, sympy.Product, sympy.Limit, sympy.Integral)
_VERIFY = {"allow_set_relation_comp": True, "timeout_seconds": None}


class Fingerprint(NamedTuple):
    """The values of an expression, or of the difference of an equation's sides."""

    exact: Fraction | None
    """Where it is a rational number."""
    values: tuple[Any, ...]
    """One complex number of a constant, else at the positive points and then at the negative ones; None for none."""

    is_equation: bool

    @property
    def constant(self) -> bool:
        """Whether there are no variables in it."""
        return len(self.values) == 1


def same_expression(gold: str, answer: str) -> bool:
    """Whether two expressions or relations are equal. Raises Unreadable where one cannot be read."""
    if _is_task(answer) and not _is_task(gold):
        return False
    one, other = fingerprint(gold), fingerprint(answer)
    if one and other:
        if one.is_equation or other.is_equation:
            return one.is_equation and other.is_equation and _proportional(one, other)
        return _same_values(one, other, read_number(gold), read_number(answer))
    return bool(verify(parse(gold), parse(answer), **_VERIFY))


def _is_task(text: str) -> bool:
    """Whether there is a sum, a product, a limit or an integral left to do."""
    expression = parse(text)
    return isinstance(expression, sympy.Basic) and expression.has(*_TO_DO)


@lru_cache(maxsize=256)
def parse(text: str) -> Any:
    """The sympy object that a text in normal form denotes. Raises Unreadable."""
    number = read_number(text)
    if number is not None:
        return sympy.Rational(number.value.numerator, number.value.denominator)
    if _NOT_SEEN.search(text):
        raise Unreadable(text)
    text = _MISREAD.sub(_as_symbol, _BARE_ARGUMENT.sub(r"\1(\2)", text))
    text = _COMMAND_BELOW.sub(r"_{\1}", explicit_products(text))
    try:
        return latex2sympy(
            text,
            is_real=False,
            normalization_config=None,  # its rewriting takes \frac{2}{7} 53 for 2/75 times 3
            conversion_config=_CASE_MATTERS,
        )
    except MemoryError:
        raise
    except Exception as error:  # the grammar's actions raise whatever they stumble on
        raise Unreadable(text) from error


def _as_symbol(found: re.Match[str]) -> str:
    """A name that the parser takes for a variable."""
    if found["transposed"]:
        return r"^{\mathcal{T}}"
    letter = (found["greek"] or found["letter"] or "")[:1]
    if not letter or (letter == "d" and _DIFFERENTIAL.search(found.string)):
        return found[0]
    return rf"\mathcal{{{letter}}} "


@lru_cache(maxsize=256)
def fingerprint(text: str) -> Fingerprint | None:
    """The values of what a text says, for comparing; None where it has none. Raises Unreadable."""
    expression = parse(text)
    is_equation = isinstance(expression, sympy.Eq)
    try:
        if is_equation:
            expression = expression.lhs - expression.rhs
        if not isinstance(expression, sympy.Expr):
            return None
        exact, values = _evaluate(expression.xreplace(_IMAGINARY_UNIT))
    except MemoryError:
        raise
    except Exception:  # sympy raises whatever it stumbles on
        return None
    return Fingerprint(exact, values, is_equation) if any(value is not None for value in values) else None


def _evaluate(expression: sympy.Expr) -> tuple[Fraction | None, tuple[Any, ...]]:
    """The exact value, and the values, of an expression; see ``Fingerprint``."""
    expression = expression.xreplace({number: sympy.Rational(str(number)) for number in expression.atoms(sympy.Float)})
    unknowns = expression.free_symbols | expression.atoms(AppliedUndef, sympy.Derivative)
    if not unknowns:
        done = expression.doit()
        exact = Fraction(int(done.p), int(done.q)) if isinstance(done, sympy.Rational) else None
        return exact, (_complex(done.evalf(DIGITS)),)
    spans = (*POSITIVE_POINTS, *NEGATIVE_POINTS)
    return None, tuple(_complex(expression.xreplace(_numbers_for(unknowns, *span)).evalf(DIGITS)) for span in spans)


def _numbers_for(unknowns: set[Any], low: float, high: float) -> dict[Any, sympy.Float]:
    """A number for each variable, function value and derivative that depends only on its name and the span."""
    return {unknown: sympy.Float(random.Random(f"{unknown}{low}").uniform(low, high), DIGITS) for unknown in unknowns}


def _complex(value: Any) -> Any:
    """As a number of mpmath, which does not overflow; None for what is not finite or not a number."""
    try:
        return mpmath.mpc(*map(mpmath.mpmathify, value.as_real_imag()))
    except (TypeError, ValueError):
        return None


def _same_values(one: Fingerprint, other: Fingerprint, gold: Number | None, answer: Number | None) -> bool:
    if one.exact is not None and other.exact is not None:
        return one.exact == other.exact
    if one.constant and other.constant:
        return _close(one.values[0], other.values[0]) or _rounds(gold, other) or _rounds(answer, one)
    pairs = _pairs(one, other)
    positive, negative = pairs[: len(POSITIVE_POINTS)], pairs[len(POSITIVE_POINTS) :]
    known = [pair for pair in positive if pair != (None, None)]
    real = [pair for pair in negative if all(value is not None and value.imag == 0 for value in pair)]
    return bool(known) and all(_close(x, y) for x, y in known + real)


def _pairs(one: Fingerprint, other: Fingerprint) -> list[tuple[Any, Any]]:
    """Values at the same points; a constant has the same everywhere."""
    count = len(POSITIVE_POINTS) + len(NEGATIVE_POINTS)
    spread = [found.values * count if found.constant else found.values for found in (one, other)]
    return list(zip(*spread, strict=True))


def _rounds(decimal: Number | None, exact: Fingerprint) -> bool:
    """Whether a decimal is the rounding of a real number."""
    value = exact.values[0]
    if decimal is None or value.imag != 0 or abs(value) > 1 / FLOAT_ERROR:
        return False
    return is_rounding(decimal, float(value.real), float(abs(value)) * FLOAT_ERROR)


def _close(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return False
    return bool(abs(one - other) <= max(TOLERANCE * max(abs(one), abs(other)), ZERO))


def _proportional(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two equations say the same: the differences of their sides have a constant ratio."""
    pairs = [(x, y) for x, y in _pairs(one, other) if x is not None and y is not None]
    if len(pairs) < 2 or any(abs(y) < ZERO for _, y in pairs):
        return False
    ratio = pairs[0][0] / pairs[0][1]
    return abs(ratio) > ZERO and all(_close(x, ratio * y) for x, y in pairs)


def key(text: str) -> str:
    """Equal for expressions with equal values, as far as ten digits show it. Raises Unreadable."""
    found = fingerprint(text)
    if found is None or found.is_equation or (found.exact is not None and _bits(found.exact) > MAX_BITS):
        return re.sub(r"\s", "", text)
    return str(found.exact) if found.exact is not None else " ".join(mpmath.nstr(value, 10) for value in found.values)


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())
