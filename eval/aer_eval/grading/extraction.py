"""Find the answer in a response: the last box after the reasoning."""

from __future__ import annotations

import re
from typing import NamedTuple

THINK, END_OF_THINK = "<think>", "</think>"


class Extracted(NamedTuple):
    """An answer found in a text."""

    answer: str
    end: int
    """Offset in the text of the first character after the box's closing brace."""


_BRACES = re.compile(r"(?P<box>\\(?:boxed|fbox)\s*\{)|\\.|(?P<open>\{)|(?P<close>\})", re.DOTALL)


def opened_by(prompt: str) -> str:
    """The ``<think>`` that a prompt ends with, as those of reasoning models do, else nothing.

    The response has the closing tag alone then, or none where it was cut in the middle of its reasoning.
    """
    return THINK if prompt.rstrip().endswith(THINK) else ""


def extract_answer(text: str) -> Extracted | None:
    r"""The last balanced, non-blank ``\boxed{...}`` after the last ``</think>``, or None.

    A box inside reasoning that never closed (``<think>`` without ``</think>``) is a draft, not an answer. Where the
    prompt opens the reasoning, ``opened_by(prompt)`` belongs in front of the text.
    Of nested boxes the inner one counts. Takes time linear in the text's length.
    """
    start = text.rfind(END_OF_THINK) + len(END_OF_THINK) if END_OF_THINK in text else 0
    if THINK in text[start:]:
        return None
    opened: list[tuple[bool, int]] = []
    best: tuple[int, int] | None = None
    for token in _BRACES.finditer(text, start):
        if token["box"] or token["open"]:
            opened.append((token["box"] is not None, token.end()))
        elif token["close"] and opened:
            is_box, content = opened.pop()
            if is_box and (best is None or content > best[0]) and text[content : token.start()].strip():
                best = (content, token.start())
    return Extracted(text[best[0] : best[1]].strip(), best[1] + 1) if best else None
