"""Numbers and tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from aer_eval.metrics.types import Interval

ABSENT = "–"
"""What stands for a number that is not known."""


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; cells stay within their column and their line."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def with_interval(value: float, interval: Interval | None, sign: str = "") -> str:
    """``0.421 [0.350, 0.492]``; the number alone where there is no interval. ``sign`` is ``+`` to show a plus too."""
    if interval is None:
        return f"{value:{sign}.3f}"
    return f"{value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
