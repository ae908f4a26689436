r"""What kind of thing an answer is: a value, a list, a tuple, an interval, a matrix, an equation, words.

Only brackets, commas, relation signs and the like are read here; the expressions between them stay text, which
``numbers`` or ``algebra`` evaluate. Everything is a plain function of the normal form of a text: no mathematics
library, microseconds, and no text that could do harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from aer_eval.grading.normalisation import normalise
from aer_eval.grading.units import DOLLARS, split_unit

MAX_DEPTH = 12
"""Brackets nested deeper are left as text."""


@dataclass(frozen=True)
class Value:
    """An expression."""

    text: str
    percent: bool = False
    unit: str | None = None
    """Where it is known."""


@dataclass(frozen=True)
class Words:
    """A word or a phrase; ``text`` is what ``letters_of`` keeps of it."""

    text: str


@dataclass(frozen=True)
class Based:
    """A number in a base, as in ``2112_6``."""

    digits: str
    base: str


@dataclass(frozen=True)
class Collection:
    r"""Several answers in brackets, or none.

    ``kind`` is ``list`` (no brackets), ``set``, ``union``, ``matrix`` (of rows), ``row``, ``chain<`` (of growing
    values; ``chain\le`` and mixed ones likewise), ``ratio``, ``Z`` (the integers of something, ``N`` and so on), or a
    pair of brackets: ``()`` is a tuple or an open interval, ``[]``, ``[)``, ``(]`` are the other intervals.
    """

    kind: str
    items: tuple[Answer, ...]
    text: str = field(default="", compare=False)


@dataclass(frozen=True)
class Equation:
    left: str
    right: Answer
    text: str


@dataclass(frozen=True)
class Residue:
    r"""One or several values by a modulus, as in ``x \equiv 2, 5 \pmod{7}``."""

    value: Answer
    modulus: Answer


Answer = Value | Words | Based | Collection | Equation | Residue

_TOKEN = re.compile(r"\\[a-zA-Z]+\s?|\\.|.", re.DOTALL)
_OPENING = frozenset(("(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil", r"\begin"))
_CLOSING = frozenset((")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil", r"\end"))
_BRACKETS = {
    ("(", ")"): "()",
    ("[", "]"): "[]",
    ("[", ")"): "[)",
    ("(", "]"): "(]",
    (r"\{", r"\}"): "set",
    ("{", "}"): "set",
    (r"\langle", r"\rangle"): "()",
}
_LETTER = r"(?:[a-zA-Z]|\\(?!pi(?![a-zA-Z])|infty)[a-zA-Z]+)"
_VARIABLE = re.compile(rf"{_LETTER}\s?(?:_(?:\w|\{{[^{{}}]*\}}))?'*")
NAME = re.compile(
    rf"{_VARIABLE.pattern}\s*(?:\([^()]*\))?"  # x, x_1, f(x)
    r"|\([a-z](?:\s*,\s*[a-z])+\)|[A-Z]{1,4}'?|\|[A-Z]{2}\||\\(?:angle|overline|triangle|text)\s*[^=]*"
)
"""What may stand before an equals sign without being part of the answer."""
_UNKNOWN = re.compile(rf"{_VARIABLE.pattern}(?:\([a-z]\))?")
_MATRIX = re.compile(r"(?P<factor>[^&]*?)\s*(?:\\cdot\s*)?\\begin\{pmatrix\}(?P<body>.*)\\end\{pmatrix\}", re.DOTALL)
_BASED = re.compile(r"\(?(-?[\dA-Z.]*\d[\dA-Z.]*)\)?_\(?(\d+)\)?")
_RATIO = re.compile(r"(?:\d[\d.]*|[a-z])(?:\s*:\s*(?:\d[\d.]*|[a-z]))+")
_CHOICE = re.compile(r"(?:(?:option|choice|answer)\s*)?\(?([A-Z])\)?[.):]?", re.IGNORECASE)
_PHRASE = re.compile(r"[a-zA-Z][a-zA-Z .'-]*[a-zA-Z.]")
_TEXT = re.compile(r"\\text\s?\{((?:[^{}]|\{[^{}]*\})*)\}")
_WORD = re.compile(r"[a-zA-Z]{2}|[a-zA-Z]\.\s*[a-zA-Z]")  # or an abbreviation such as p.m.
_PM, _MP = re.compile(r"\\pm(?![a-zA-Z])"), re.compile(r"\\mp(?![a-zA-Z])")
_MODULUS = re.compile(r"(.*\S)\s*\\pmod\{((?:[^{}]|\{[^{}]*\})*)\}", re.DOTALL)
_PHRASES_OF_MATHS = {
    "infinity": r"\infty",
    "emptyset": r"\emptyset",
    "allreals": "(-\\infty,\\infty)",
    "allrealnumbers": "(-\\infty,\\infty)",
}


@lru_cache(maxsize=2**14)
def read(answer: str) -> Answer:
    """What an answer is. Never fails: what is not understood is a ``Value`` with its text."""
    found = _read(normalise(answer), MAX_DEPTH)
    if isinstance(found, Value) and found.unit is None and DOLLARS.search(answer):
        return replace(found, unit="dollar")
    return found


def _read(text: str, depth: int) -> Answer:
    text = _without_membership(_conclusion(text.strip()))
    if depth == 0:
        return Value(text)
    for reader in (_read_residue, _read_list, _read_relation, _read_union, _read_bracketed, _read_matrix):
        answer = reader(text, depth - 1)
        if answer is not None:
            return replace(answer, text=text) if isinstance(answer, Collection) else answer
    return _read_single(text)


# --- parts of a text that stand outside of all brackets -------------------------------------------------------------


def _outside(text: str) -> Iterator[tuple[str, int, int]]:
    """The tokens outside of all brackets, with where they start and end."""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match[0].strip() or " "
        if token in _OPENING:
            depth += 1
        elif token in _CLOSING:
            depth = max(depth - 1, 0)
        elif depth == 0:
            yield token, match.start(), match.end()


def _split(text: str, separators: frozenset[str]) -> tuple[list[str], list[str]]:
    """The parts between separators outside of all brackets, and these separators."""
    parts, found, start = [], [], 0
    for token, begin, end in _outside(text):
        if token in separators:
            parts.append(text[start:begin].strip())
            found.append(token)
            start = end
    return [*parts, text[start:].strip()], found


def _inside(text: str) -> tuple[str, str] | None:
    """The kind of the brackets around the whole text, and what is in them."""
    tokens = list(_TOKEN.finditer(text))
    if len(tokens) < 2:
        return None
    first, last = tokens[0], tokens[-1]
    kind = _BRACKETS.get((first[0].strip(), last[0].strip()))
    if kind is None or any(True for _ in _outside(text)) or not _closes_last(tokens):
        return None
    return kind, text[first.end() : last.start()].strip()


def _closes_last(tokens: list[re.Match[str]]) -> bool:
    """Whether the bracket that opens first closes last."""
    depth = 0
    for number, match in enumerate(tokens):
        depth += (match[0].strip() in _OPENING) - (match[0].strip() in _CLOSING)
        if depth <= 0:
            return number == len(tokens) - 1
    return False


# --- readers: each returns None for what is not its kind ------------------------------------------------------------


def _conclusion(text: str) -> str:
    r"""What stands behind the last ``\Rightarrow``, and the exact side of an ``\approx``."""
    text = _split(text, frozenset((r"\Rightarrow", r"\implies")))[0][-1]
    exact, *rest = _split(text, frozenset((r"\approx",)))[0]
    return rest[0] if rest and (not exact or NAME.fullmatch(exact)) else exact


def _without_membership(text: str) -> str:
    r"""``x \in S`` says ``S``."""
    parts, _ = _split(text, frozenset((r"\in",)))
    return parts[1] if len(parts) == 2 and _VARIABLE.fullmatch(parts[0]) else text


def _is_interval(answer: Answer) -> bool:
    return isinstance(answer, Collection) and (
        answer.kind == "union" or (answer.kind in ("()", "[]", "[)", "(]") and len(answer.items) == 2)
    )


_INFINITE = (Value(r"-\infty"), Value(r"\infty"))


def _intersection(one: Answer, other: Answer) -> Answer | None:
    """Of two half lines; None for other intervals."""
    assert isinstance(one, Collection) and isinstance(other, Collection)
    if one.items[0] in _INFINITE:
        one, other = other, one
    if one.items[1] not in _INFINITE or other.items[0] not in _INFINITE or "union" in (one.kind, other.kind):
        return None
    return Collection(one.kind[0] + other.kind[1], (one.items[0], other.items[1]))


def _read_residue(text: str, depth: int) -> Answer | None:
    match = _MODULUS.fullmatch(text)
    if match is None or r"\pmod" in match[1] or _split(match[1], frozenset((r"\lor", r"\land")))[1]:
        return None
    parts, _ = _split(match[1], frozenset((r"\equiv",)))
    value = parts[1] if len(parts) == 2 and _UNKNOWN.fullmatch(parts[0]) else match[1]
    return Residue(_read(value, depth), _read(match[2], depth))


def _read_list(text: str, depth: int) -> Answer | None:
    name, is_equation, rest = text.partition("=")
    if is_equation and "=" not in rest and NAME.fullmatch(name.strip()):  # x = 1, 2
        return Equation(name.strip(), _read(rest, depth), text)
    parts, found = _split(text, frozenset((",", ";", r"\lor", r"\land")))
    items = [_read(part, depth) for part in parts if part] if found else []
    if not items:
        return None
    if all(map(_is_interval, items)) and any(sign in text for sign in ("<", ">", r"\le ", r"\ge ", r"\lor")):
        both = found == [r"\land"] and len(items) == 2  # one side may be empty
        return _intersection(*items) if both else _collection("union", items)
    equations = [item for item in items if isinstance(item, Equation)]
    names = {_stem(equation.left) for equation in equations}
    if len(names) == 1 and len(equations) == len(items):  # x = 1, x = 2 or x_1 = 1, x_2 = 2
        return Equation(names.pop(), _collection("list", [equation.right for equation in equations]), text)
    return _collection("list", items)


def _stem(name: str) -> str:
    return re.sub(r"_(?:\w|\{\d+\})$", "", name)


def _collection(kind: str, items: list[Answer]) -> Answer:
    """A collection; lists in a list are spread, and a list of one thing is that thing."""
    spread: list[Answer] = []
    for item in items:
        spread.extend(item.items if isinstance(item, Collection) and item.kind in (kind, "list") else [item])
    return spread[0] if len(spread) == 1 else Collection(kind, tuple(spread))


_RELATIONS = frozenset(("=", "<", ">", r"\le", r"\ge", r"\ne"))


def _read_relation(text: str, depth: int) -> Answer | None:
    parts, found = _split(text, _RELATIONS)
    if not found or not all(parts):
        return None
    if set(found) == {"="}:
        return Equation(parts[0], _read(parts[-1], depth), f"{parts[0]}={parts[-1]}")
    if found == [r"\ne"] and _VARIABLE.fullmatch(parts[0]):
        return _read(rf"(-\infty,{parts[1]})\cup({parts[1]},\infty)", depth)
    if set(found) <= {">", r"\ge"}:
        parts, found = parts[::-1], [{">": "<", r"\ge": r"\le"}[sign] for sign in reversed(found)]
    if not set(found) <= {"<", r"\le"}:
        return None
    return _read_ascending(parts, found, depth)


def _read_ascending(parts: list[str], signs: list[str], depth: int) -> Answer | None:
    r"""``a<x\le b``, ``x<b`` and ``a<x`` as intervals, anything else with ``<`` and ``\le`` as a chain."""
    left, right = ("(" if signs[0] == "<" else "["), (")" if signs[-1] == "<" else "]")
    if len(parts) == 3 and _UNKNOWN.fullmatch(parts[1]):
        return Collection(left + right, (_read(parts[0], depth), _read(parts[2], depth)))
    if len(parts) == 2 and _VARIABLE.fullmatch(parts[0]) and not _VARIABLE.fullmatch(parts[1]):
        return Collection("(" + right, (_INFINITE[0], _read(parts[1], depth)))
    if len(parts) == 2 and _VARIABLE.fullmatch(parts[1]):
        return Collection(left + ")", (_read(parts[0], depth), _INFINITE[1]))
    return Collection("chain" + "".join(signs), tuple(_read(part, depth) for part in parts))


def _read_union(text: str, depth: int) -> Answer | None:
    if text == r"\mathbb{R}":
        return Collection("()", _INFINITE)
    parts, found = _split(text, frozenset((r"\setminus", r"\backslash", "-")))
    if len(found) == 1 and parts[0] == r"\mathbb{R}":
        hole = _inside(parts[1])
        if hole and hole[0] == "set" and "," not in hole[1]:
            return _read(rf"(-\infty,{hole[1]})\cup({hole[1]},\infty)", depth)
    parts, found = _split(text, frozenset((r"\cup",)))
    return _collection("union", [_read(part, depth) for part in parts]) if found and all(parts) else None


def _read_bracketed(text: str, depth: int) -> Answer | None:
    point = re.fullmatch(r"[A-Z]\s?(\(.*\))", text, re.DOTALL)  # A(2,3)
    found = _inside(point[1] if point else text)
    if found is None:
        return None
    kind, content = found
    parts, separators = _split(content, frozenset((",", ";")))
    if point and not separators:
        return None
    if kind == "set" and not separators:
        condition, builder = _split(content, frozenset(("|", ":")))
        if len(condition) == 2 and builder:
            values = _read(condition[1], depth)  # {x | x > 1}
            domain = re.search(r"\\mathbb\{([^R])\}", condition[0])
            return Collection(domain[1], (values,)) if domain else values
    if separators and all(parts):
        items = tuple(_read(part, depth) for part in parts)
        return _collection("set", list(items)) if kind == "set" else Collection(kind, items)
    return _read(content, depth) if kind in ("set", "()") and content and not separators else None


def _read_matrix(text: str, depth: int) -> Answer | None:
    match = _MATRIX.fullmatch(text)
    if match is None or r"\begin" in match["body"]:
        return None
    factor = match["factor"]
    if factor and not factor.endswith("="):
        factor = f"({factor})" if factor != "-" else "-"
    rows = []
    for row in match["body"].split(r"\cr"):
        entries = [f"{factor}({entry})" if factor else entry for entry in row.split("&")]
        rows.append(Collection("row", tuple(_read(entry, depth) for entry in entries)))
    return Collection("matrix", tuple(rows))


def _read_single(text: str) -> Answer:
    if _PM.search(text) or _MP.search(text):
        upper = _MP.sub("-", _PM.sub("+", text))
        lower = _MP.sub("+", _PM.sub("-", text))
        return Collection("list", (_read_single(_unsigned(upper)), _read_single(_unsigned(lower))))
    plain = re.sub(r"\\text\s?|[{} ]", "", text)
    based = _BASED.fullmatch(plain)
    if based:
        return Based(based[1], based[2])
    if _RATIO.fullmatch(text):
        return Collection("ratio", tuple(Value(part.strip()) for part in text.split(":")))
    rest, unit = split_unit(text)
    if rest == text and (r"\text" in text or _is_phrase(text)):
        return _read_words(text)
    percent = rest.endswith(r"\%")
    return Value(_unsigned(rest.removesuffix(r"\%").strip()), percent, unit)


def _unsigned(text: str) -> str:
    return text.strip().removeprefix("+").strip()


def _is_phrase(text: str) -> bool:
    r"""Words without ``\text``: two of them, or one that is too long to be a product of variables."""
    return bool(_PHRASE.fullmatch(text)) and bool(re.search(r"[a-zA-Z]{4}|[a-zA-Z]{2,} [a-zA-Z]{2,}", text))


def letters_of(text: str) -> str:
    """What of a phrase counts, in lower case: all but spaces and full stops, which count between digits only.

    Brackets count, and so do the braces around more than one letter or digit: two formulas differ where they do.
    """
    text = re.sub(r"(?<!\\)\{(\w)\}", r"\1", _without_text(text).casefold())
    return re.sub(r"(?<!\d)\.|\.(?!\d)|(?<!\d)\s+|\s+(?!\d)|[\"?]", "", text)


def _without_text(text: str) -> str:
    r"""The words in ``\text{}`` as they are; nothing is left that begins with ``\text``, whatever its braces."""
    return re.sub(r"\\text[a-zA-Z]*", " ", _TEXT.sub(r" \1 ", text))


def _read_words(text: str) -> Answer:
    content = re.sub(r"\s+", " ", _without_text(text)).strip().rstrip(" .?")
    content = re.sub(r"^(?:an?|the) ", "", content, flags=re.IGNORECASE)
    choice = _CHOICE.fullmatch(content)
    if choice:
        return Value(choice[1])
    if not _WORD.search(re.sub(r"\\[a-zA-Z]+", "", content)):
        return _read(content, 2)  # \text{2(x+3)} is a formula
    number, unit = split_unit(content)
    if number != content and re.fullmatch(r"\\text\s?\{[^{}]*\}", text):  # \text{5 apples}
        return Value(number, unit=unit)
    letters = letters_of(content)
    maths = _PHRASES_OF_MATHS.get(letters)
    if maths:
        return _read(maths, 2)
    if "," in content or r"\land" in content or r"\lor" in content:
        return _read(content, 2)
    return Words(letters)
