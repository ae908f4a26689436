"""Units of measurement behind a number: told from variables, and from one another."""

from __future__ import annotations

import re

_SPELLINGS = """
mm millimeter millimetre
cm centimeter centimetre
m meter metre
km kilometer kilometre
in inch inche
ft foot feet
yd yard
mi mile
mg milligram
g gram gm
kg kilogram
lb pound
oz ounce
ml milliliter millilitre
l liter litre
s sec second
min minute
h hr hour
day
week
month
year yr
mph
cent
dollar usd
j joule
n newton
w watt
k kelvin
v volt
degree deg
rad radian
"""
_NAMES = {spelling: line.split()[0] for line in _SPELLINGS.strip().splitlines() for spelling in line.split()}
_ABBREVIATIONS = "|".join(sorted((name for name in _NAMES if 2 <= len(name) <= 3), key=len, reverse=True))

# After a number: words in \text{}, else a known abbreviation or words of four letters and more. Fewer could be
# variables: 5ab is a product.
_IN_TEXT = re.compile(
    r"(?P<rest>.*[\w})\]!%])\s*\\text\{\s*\(?(?P<unit>[a-zA-Z][^{}]*)\}\)?(?:\s*\^\s*\{?-?\d\}?)?", re.DOTALL
)
_BARE = re.compile(
    r"(?P<rest>.*(?:[\d})]|\\pi))\s*(?P<unit>(?:sq(?:uare)?|cu(?:bic)?)?\.?\s*"
    rf"(?:(?:{_ABBREVIATIONS})(?:/[a-z]+)?|[a-zA-Z]{{4,}}(?: [a-zA-Z]+)*))\.?(?:\s*\^\s*\{{?\d\}}?)?",
    re.DOTALL,
)
_NUMBER_WORD = (
    "(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|(?:twen|thir|for|fif|six|seven|"
    "eigh|nine)ty|hundred)"
)
_ORDINAL = "(?:third|(?:four|fif|six|seven|eigh|nin|ten|eleven|twelf|hundred|thousand|million|[a-z]+teen)th)"
# Words after a number that make another number of it. `times` and `quarters` are things to count unless more follows.
_CHANGES_VALUE = re.compile(
    rf"""
    \b(?:factorial|squared|cubed|negated|plus|minus|radical|root|mod|modulo|(?:more|less|fewer)[ ]than)\b
    | \b(?:dozens?|(?:hundred|thousand|million|billion|trillion|lakh|crore)s?)\b
    | \b(?:half|halves|{_ORDINAL}s)\b | \b{_ORDINAL}$  # not 5 fourth graders
    | \b(?:times|over|by|of|to|to[ ]the|choose)[ ](?:{_NUMBER_WORD}|pi)\b
    | \band[ ](?:an?|{_NUMBER_WORD})\b
    | ^to[ ]the\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
DOLLARS = re.compile(r"\\\$\s*[\d.]|^[^$]*\$\s*[\d.][^$]*$")
"""A dollar sign that is no delimiter of mathematics, in an answer as it was written: escaped, or the only one."""
_TIME_OF_DAY = re.compile(r"[ap]\.?\s*m\.?\b", re.IGNORECASE)


def split_unit(text: str) -> tuple[str, str | None]:
    r"""A number and its unit, as in ``5\text{ cm}^2`` or ``18 hours``; the text itself and None where there is none.

    ``9\text{ a.m.}`` is a time, not nine of something, and words that change the value are no unit: ``5 factorial``.
    """
    match = _IN_TEXT.fullmatch(text) or _BARE.fullmatch(text)
    if match is None or not re.search(r"\d|\\pi", match["rest"]):
        return text, None
    if _TIME_OF_DAY.match(match["unit"]) or _CHANGES_VALUE.search(match["unit"].strip()):
        return text, None
    return match["rest"], _canonical(match["unit"])


def _canonical(unit: str) -> str | None:
    """One name for a unit that is known; squares, cubes and plurals make no difference."""
    words = [word for word in re.findall("[a-z]+", unit.lower()) if word not in ("square", "sq", "cubic", "cu")]
    if len(words) != 1:
        return None
    return _NAMES.get(words[0]) or _NAMES.get(words[0].removesuffix("s"))
