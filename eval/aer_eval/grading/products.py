r"""Products written without a sign, made explicit: ``2\binom{5}{2}`` becomes ``2\cdot \binom{5}{2}``.

The parser takes whatever stands behind a number for the fraction of a mixed number and adds it: ``2\binom{5}{2}`` were
twelve. What may be either is refused: ``64 9`` is neither 73 nor 576.
"""

from __future__ import annotations

import re

from aer_eval.grading.judgement import Unreadable

_TOKEN = re.compile(r"\\sqrt\s*\[[^][]*\]|\\[a-zA-Z]+|\\.|\d+(?:\.\d*)?|\.\d+|\s+|.", re.DOTALL)
_MIXED = re.compile(r"\\frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_ARGUMENTS = {r"\frac": 2, r"\binom": 2}
_FACTORS = frozenset(("(", "[", "{", *_ARGUMENTS))
"""What begins a factor that the parser would add to a number in front of it."""
_OPERATORS = frozenset((r"\cdot", r"\le", r"\ge", r"\ne", r"\pm", r"\mp", r"\in", r"\cup", r"\lor", r"\land", r"\cr"))
_DIGITS = re.compile(r"\s*\.?\d")

# What a token can be the end of: a number, a factor in brackets, a number in braces, or what is read as it should be.
NUMBER, BRACKETED, BRACED, OTHER = "number", "bracketed", "braced", "other"


def explicit_products(text: str) -> str:
    r"""A text in normal form with ``\cdot`` where the parser would add; raises Unreadable for ``64 9``, ``{6}{4}``."""
    return _Scanner(text).run()


class _Scanner:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.open: list[tuple[str, int]] = []  # the braces: what each is for, and `missing` outside of it
        self.missing = 0  # arguments of the last command that are still to come
        self.before = ""  # the last token that is not blank
        self.ended = OTHER

    def run(self) -> str:
        written = []
        for match in _TOKEN.finditer(self.text):
            token = match[0]
            if not token.isspace():
                if self._begins_a_factor(token, match.start()):
                    written.append(r"\cdot ")
                self._enter(token)
                self.before = token
            written.append(token)
        return "".join(written)

    def _begins_a_factor(self, token: str, start: int) -> bool:
        if self.ended == OTHER or self.missing or not (_is_number(token) or token in _FACTORS):
            return False
        digits = _is_number(token) or (token == "{" and _DIGITS.match(self.text, start + 1) is not None)
        if digits and self.ended in (NUMBER, BRACED):
            raise Unreadable(self.text)  # side by side they look like one number
        mixed = _MIXED.match(self.text, start) if self.ended == NUMBER and self.before.isdigit() else None
        return not (mixed and int(mixed[1]) < int(mixed[2]))

    def _enter(self, token: str) -> None:
        if token == "{":
            self.open.append((self._role(), self.missing))
            self.missing, self.ended = 0, OTHER
        elif token == "}":
            role, self.missing = self.open.pop() if self.open else (OTHER, 0)
            self.ended = role
            if role == "argument":
                self.missing -= 1
                self.ended = OTHER if self.missing else BRACKETED
        elif token in (")", "]"):
            self.ended = BRACKETED
        else:
            self.missing = _ARGUMENTS.get(token, self.missing)
            self.ended = NUMBER if _is_number(token) and self.before not in ("^", "_") else OTHER

    def _role(self) -> str:
        """What a brace that opens here encloses."""
        if self.missing:
            return "argument"
        command = self.before.startswith("\\") and self.before not in _OPERATORS and self.before[1].isalpha()
        return OTHER if command or self.before in ("^", "_") else BRACED


def _is_number(token: str) -> bool:
    return token[-1].isdigit() or token[0].isdigit()
