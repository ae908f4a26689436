"""Which problems of a suite are in a training set: the same text, or a large share of their word n-grams.

Texts are compared by their words, which are runs of letters or of digits in lower case: white space, punctuation,
dollar signs and the like differ between copies of one problem. Minus signs go with them, so a match is to be looked
at: both texts are in the result.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aer_eval.records import Problem

_WORD = re.compile(r"[^\W\d_]+|\d+")
_SIZING = re.compile(r"\\(?:left|right)(?![a-zA-Z])|(?<=\\)[dt](?=frac)")
"""LaTeX that changes how a formula looks and not what it says."""

Gram = tuple[str, ...]


@dataclass(frozen=True)
class TrainingText:
    """One training problem and where it stands."""

    place: str
    """Such as ``train.jsonl line 7``."""
    text: str


@dataclass(frozen=True)
class Overlap:
    """A problem that shares text with the training set."""

    suite: str
    problem_id: str
    kind: Literal["exact", "ngram"]
    """``exact``: a training text has the same words. ``ngram``: some of its n-grams are in training texts."""
    share: float
    """Share of the problem's distinct n-grams that are somewhere in the training set; 1 for ``exact``."""
    ngram: int
    """Words of an n-gram: fewer than asked for where the problem is shorter."""
    place: str
    """The training text that is the same, or else the one that has most of the n-grams."""
    place_share: float
    """Share of the n-grams that are in that one text."""
    problem: str
    training_text: str


@dataclass
class _Target:
    """A problem while the training set goes by."""

    suite: str
    problem: Problem
    words: Gram
    grams: frozenset[Gram]
    found: set[Gram] = field(default_factory=set)
    best: TrainingText | None = None
    best_count: int = 0
    exact: TrainingText | None = None


def words(text: str) -> Gram:
    """The words that texts are compared by."""
    return tuple(_WORD.findall(_SIZING.sub("", text).casefold()))


def find_overlaps(
    suites: Mapping[str, Sequence[Problem]], training: Iterable[TrainingText], ngram: int = 13
) -> list[Overlap]:
    """Every problem that shares an n-gram with the training set, suite by suite in the problems' order.

    Args:
        suites: problems by the suite's name.
        training: the training texts; they are read once and not kept.
        ngram: words of an n-gram. A problem with fewer words is compared as a whole. 13 is what the GPT-3 paper
            (arXiv 2005.14165, appendix C) used.
    """
    targets = [
        _Target(name, problem, text, frozenset(_grams(text, min(ngram, len(text)))))
        for name, problems in suites.items()
        for problem in problems
        if (text := words(problem.problem))
    ]
    by_text, by_gram = defaultdict(list), defaultdict(list)
    for target in targets:
        by_text["".join(target.words)].append(target)
        for gram in target.grams:
            by_gram[gram].append(target)
    lengths = defaultdict(set)  # by an n-gram's first word, so that few of the training set's need a look
    for gram in by_gram:
        lengths[gram[0]].add(len(gram))
    for item in training:
        text = words(item.text)
        for target in by_text.get("".join(text), ()):
            target.exact = target.exact or item
        grams = (text[at : at + length] for at, word in enumerate(text) if word in lengths for length in lengths[word])
        _count(item, {gram for gram in grams if gram in by_gram}, by_gram)
    return [_overlap(target) for target in targets if target.found or target.exact]


def _grams(text: Gram, length: int) -> Iterator[Gram]:
    return (text[start : start + length] for start in range(len(text) - length + 1))


def _count(item: TrainingText, hits: set[Gram], by_gram: Mapping[Gram, Sequence[_Target]]) -> None:
    """Book the n-grams that one training text shares with problems."""
    shared: dict[int, tuple[_Target, list[Gram]]] = {}
    for gram in hits:
        for target in by_gram[gram]:
            shared.setdefault(id(target), (target, []))[1].append(gram)
    for target, grams in shared.values():
        target.found.update(grams)
        if len(grams) > target.best_count:
            target.best, target.best_count = item, len(grams)


def _overlap(target: _Target) -> Overlap:
    match = target.exact or target.best
    assert match is not None  # the caller takes targets with one of the two
    return Overlap(
        suite=target.suite,
        problem_id=target.problem.id,
        kind="exact" if target.exact else "ngram",
        share=1.0 if target.exact else len(target.found) / len(target.grams),
        ngram=len(next(iter(target.grams))),
        place=match.place,
        place_share=1.0 if target.exact else target.best_count / len(target.grams),
        problem=target.problem.problem,
        training_text=match.text,
    )
