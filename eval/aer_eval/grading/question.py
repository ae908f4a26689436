r"""The formulas of a question. One of them is no answer to it, however equal: ``x^2-4`` does not factor ``x^2-4``."""

from __future__ import annotations

import re
from functools import lru_cache

from aer_eval.grading.normalisation import normalise

_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)


def is_copied(question: str, answer: str) -> bool:
    """Whether an answer is, but for spelling, a formula of the question or a side of an equation in it."""
    return bool(question) and _spelled_alike(answer) in _formulas(question)


def _spelled_alike(formula: str) -> str:
    return re.sub(r"\s", "", normalise(formula))


@lru_cache(maxsize=2**10)
def _formulas(question: str) -> frozenset[str]:
    found = ["".join(filter(None, parts)) for parts in _FORMULA.findall(question)]
    return frozenset(_spelled_alike(side) for formula in found for side in (formula, *formula.split("=")))
