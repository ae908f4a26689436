"""MAKE-N: write a number as a sum, in one of up to 100 ways.

The prompt is ``"057="``, the reference ``"57"``. Right is any ``aa+bb`` of two zero-padded two-digit numbers with that
sum, and nothing else.
"""

from __future__ import annotations

import re

SUM = re.compile("([0-9]{2})[+]([0-9]{2})")


def is_correct(answer: str, reference: str) -> bool:
    """Whether a text is a right sum. Raises ValueError for a reference that is not a number."""
    target = int(reference)
    return SUM.fullmatch(answer) is not None and sum(map(int, answer.split("+"))) == target
