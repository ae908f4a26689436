r"""A second opinion on an answer: a small LaTeX reader that computes as it reads, in ordinary floating-point numbers.

It shares nothing with the grader: no normalisation, no grammar, no sympy. Spaces, ``\left`` and the like are dropped
as tokens, variables get fixed numbers, and what it does not know makes it say so (``NotRead``) rather than guess.
Every step works on numbers of fixed size, so that its time is linear in the length of the text.
"""

from __future__ import annotations

import cmath
import math
import re
import zlib
from dataclasses import dataclass

MAX_CHARS = 2000
MAX_DEPTH = 40
TOLERANCE = 1e-12
"""Relative."""
LARGEST = 1e11
SAMPLES = 3
"""So many numbers are put for each variable."""


class NotRead(Exception):
    """Not an answer that this reader knows."""


@dataclass(frozen=True)
class Group:
    """Answers in brackets: the brackets as a text such as ``(]``, or an empty one for a list without any."""

    brackets: str
    items: tuple[Read, ...]


@dataclass(frozen=True)
class Phrase:
    """Letters and digits of a text in lower case."""

    letters: str


Numbers = tuple[complex, ...]
Read = Numbers | Group | Phrase

_THOUSANDS = re.compile(r"\W*\d{1,3}(?:(?:,|\{,\}|,\\!)\d{3})+(?:\.\d+)?\W*")
_GROUPED = re.compile(r"\d(?:,|\{,\}|,\\!)\d{3}(?!\d)")
_TOKEN = re.compile(
    r"\\(?:text|mbox)\s*\{[^{}]*\}(?:\s*\^\{?\d\}?)?|\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?[eE][-+]?\d+"
    r"|[a-zA-Z]{2,}|\d+(?:\.\d+)?|\.\d+|\S",
    re.DOTALL,
)
_IGNORED = re.compile(r"\\(?:left|right|[bB]ig+[lrm]?|displaystyle|quad|qquad|circ|degree|[,;:!> $])|[$~]")
_FRACTIONS = (r"\frac", r"\dfrac", r"\tfrac", r"\cfrac")
_FUNCTIONS = {
    r"\sin": cmath.sin,
    r"\cos": cmath.cos,
    r"\tan": cmath.tan,
    r"\ln": cmath.log,
    r"\log": cmath.log10,
    r"\exp": cmath.exp,
    r"\arcsin": cmath.asin,
    r"\arccos": cmath.acos,
    r"\arctan": cmath.atan,
}
_CLOSING = {"(": (")", "]"), "[": ("]", ")"), r"\{": (r"\}",)}
_ALIKE = ({"", "()"}, {"", r"\{\}"})
_DIVISION = ("/", r"\div")
_NO_FACTOR = frozenset((*"+-,;=)]}|<>:^_!&", r"\}"))


def same(gold: str, answer: str) -> bool:
    """Whether the two texts say the same. Raises NotRead where one of them is not understood."""
    return _same(read(gold), read(answer))


def read(text: str) -> Read:
    """What a text says. Raises NotRead."""
    if len(text) > MAX_CHARS:
        raise NotRead("too long")
    phrase = re.fullmatch(r"\s*\\(?:text|mbox|textbf)\s*\{([^{}]*[a-zA-Z][^{}]*)\}[.\s]*", text)
    if phrase:
        return Phrase(re.sub(r"[\W_]", "", phrase[1].lower()))
    if _THOUSANDS.fullmatch(text):
        text = re.sub(r",\\!|\{,\}|,", "", text)
    elif _GROUPED.search(text):
        raise NotRead("a list or digits in groups?")
    tokens = [token for token in _TOKEN.findall(text.rstrip(" .")) if not _IGNORED.fullmatch(token)]
    if len(tokens) > 1 and tokens[-1].startswith((r"\text", r"\mbox")):  # a unit
        tokens.pop()
    try:
        values = [_Reader(list(tokens), sample).answer() for sample in range(SAMPLES)]
    except (ArithmeticError, ValueError, IndexError, RecursionError) as error:
        raise NotRead(text) from error
    return _together(values)


def _together(values: list[Read]) -> Read:
    """One value of as many numbers as there were samples."""
    first = values[0]
    if isinstance(first, Group):
        items = zip(*(value.items for value in values if isinstance(value, Group)), strict=True)
        return Group(first.brackets, tuple(_together(list(item)) for item in items))
    return tuple(number for value in values if isinstance(value, tuple) for number in value)


class _Reader:
    """Recursive descent over tokens, computing with one set of numbers for the variables."""

    def __init__(self, tokens: list[str], sample: int) -> None:
        self.tokens, self.sample = tokens, sample
        self.at = self.depth = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *expected: str) -> str:
        token = self.peek()
        if not token or (expected and token not in expected):
            raise NotRead(f"{token!r} at {self.at}")
        self.at += 1
        return token

    def answer(self) -> Read:
        """A whole answer: ``x = `` in front is dropped, commas make a list."""
        if len(self.tokens) > 2 and self.tokens[0].isalpha() and self.tokens[1] == "=":
            self.at = 2
        items = self.items()
        if self.peek():
            raise NotRead(f"{self.peek()!r} at {self.at}")
        return items[0] if len(items) == 1 else Group("", tuple(items))

    def items(self) -> list[Read]:
        found = [self.item()]
        while self.peek() in (",", ";"):
            self.take()
            found.append(self.item())
        return found

    def item(self) -> Read:
        """Brackets with several things in them, or an expression."""
        start = self.at
        if self.peek() in _CLOSING:
            opening = self.take()
            self.enter()
            items = self.items()
            self.depth -= 1
            closing = self.take(*_CLOSING[opening])
            if (len(items) > 1 or opening == r"\{") and self.peek() in ("", ",", ";"):
                return Group(opening + closing, tuple(items))
            self.at = start
        return (self.sum(),)

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotRead("nested too deeply")

    def sum(self) -> complex:
        self.enter()
        total = self.product()
        while self.peek() in ("+", "-"):
            total += self.product() if self.take() == "+" else -self.product()
        self.depth -= 1
        return total

    def product(self) -> complex:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        whole = self.peek().isdigit()
        value = self.power()
        if whole and self.peek() in _FRACTIONS:
            return sign * (value + self.power())  # a mixed number
        while self.peek() and self.peek() not in _NO_FACTOR:
            if self.peek() in (r"\cdot", r"\times", "*"):
                self.take()
                value *= self.power()
            elif self.peek() in _DIVISION:
                self.take()
                value /= self.power()
            elif self.peek()[0].isdigit():
                raise NotRead("a number after a factor: 1 000 or a product?")
            else:
                value *= self.power()
        return sign * value

    def power(self) -> complex:
        value = self.atom()
        if self.peek() == "^":
            self.take()
            value = value ** self.argument()
        while self.peek() == "!":
            self.take()
            if value.imag or value.real < 0 or value.real != int(value.real):
                raise NotRead("factorial")
            value = complex(math.gamma(value.real + 1))
        return value

    def argument(self) -> complex:
        """What stands in braces, or the next token alone: a digit of ``\\frac12``."""
        if self.peek() == "{":
            self.take()
            value = self.sum()
            self.take("}")
            return value
        token = self.peek()
        if token.isdigit() and len(token) > 1:  # \frac12: the digits came as one number
            self.tokens[self.at] = token[1:]
            return complex(token[0])
        sign = -1 if token == "-" else 1
        if token == "-":
            self.take()
        return sign * self.atom()

    def atom(self) -> complex:
        token = self.take()
        if token[0].isdigit() or (token[0] == "." and len(token) > 1):
            return complex(token)
        if token in ("(", "["):
            value = self.sum()
            self.take(")" if token == "(" else "]")
            return value
        if token == "{":
            self.at -= 1
            return self.argument()
        if token == "|":
            value = self.sum()
            self.take("|")
            return complex(abs(value))
        if token in _FRACTIONS:
            top = self.argument()
            return top / self.argument()
        return self.root(token) if token == r"\sqrt" else self.name(token)

    def root(self, _: str) -> complex:
        index = complex(2)
        if self.peek() == "[":
            self.take()
            index = self.sum()
            self.take("]")
        return self.argument() ** (1 / index)

    def name(self, token: str) -> complex:
        """A constant, a function with its argument, or a variable."""
        if token == r"\pi":
            return complex(math.pi)
        if token == "e":
            return complex(math.e)
        if token == "i":
            return 1j
        if token in _FUNCTIONS:
            if self.peek() in ("^", "_"):
                raise NotRead(token)
            return _FUNCTIONS[token](self.power() if self.peek() in ("(", "{") else self.product())
        if not re.fullmatch(r"[a-zA-Z]|\\(?:alpha|beta|gamma|theta|lambda|omega|phi|mu|sigma|tau|rho)", token):
            raise NotRead(token)
        while self.peek() == "_":
            self.take()
            token += "_" + self.take() + ("".join(self.until_brace()) if self.tokens[self.at - 1] == "{" else "")
        return complex(0.3 + (zlib.crc32(f"{token}{self.sample}".encode()) % 10_000) / 3_000)

    def until_brace(self) -> list[str]:
        found: list[str] = []
        while not found or found[-1] != "}":
            found.append(self.take())
        return found


def _same(gold: Read, answer: Read) -> bool:
    if isinstance(gold, Phrase) != isinstance(answer, Phrase):
        raise NotRead("words and numbers")
    if isinstance(gold, Phrase):
        return gold == answer
    if isinstance(gold, Group) and isinstance(answer, Group):
        if len(gold.items) != len(answer.items):
            return False
        if gold.brackets != answer.brackets and {gold.brackets, answer.brackets} not in _ALIKE:
            return False
        pairs = zip(gold.items, answer.items, strict=True)
        if all(_same(one, other) for one, other in pairs):
            return True
        unordered = {gold.brackets, answer.brackets} <= {"", r"\{\}"}
        return unordered and all(any(_same(one, other) for other in answer.items) for one in gold.items)
    if isinstance(gold, tuple) and isinstance(answer, tuple):
        if max(map(abs, gold + answer)) > LARGEST:
            raise NotRead("too large to tell from its neighbour")
        return all(abs(x - y) <= TOLERANCE * max(abs(x), abs(y)) for x, y in zip(gold, answer, strict=True))
    return False
