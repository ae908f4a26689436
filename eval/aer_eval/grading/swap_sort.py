"""SWAP-SORT: sort a row of digits by exchanging neighbours, and write the row down after every exchange.

The prompt is ``"4213="``, the reference ``"4213"``. Right is ``2413 2143 1243 1234``, or any other way on which every
exchange puts two neighbours in order and the last row is sorted, and nothing else. All ways are equally long: as many
rows as the reference has pairs in the wrong order.
"""

from __future__ import annotations

import re
from itertools import pairwise

ROWS = re.compile("[0-9]+(?: [0-9]+)*")


def is_correct(answer: str, reference: str) -> bool:
    """Whether a text is a right way. Raises ValueError for a reference that is not a row of digits."""
    if not re.fullmatch("[0-9]+", reference):
        raise ValueError(f"not a row of digits: {reference!r}")
    if not ROWS.fullmatch(answer):
        return False
    rows = [reference, *answer.split(" ")]
    exchanged = all(after in exchanges(before) for before, after in pairwise(rows))
    return exchanged and rows[-1] == "".join(sorted(reference))


def exchanges(row: str) -> list[str]:
    """The rows that one exchange of neighbours in the wrong order leads to."""
    return [f"{row[:i]}{right}{left}{row[i + 2 :]}" for i, (left, right) in enumerate(pairwise(row)) if left > right]
