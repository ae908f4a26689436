"""How different a problem's samples are: distinct n-grams and self-BLEU over whitespace tokens, and distinct answers.

The numbers fall with the number and the length of the samples, so at most the first 64 samples of a problem count:
sample indices are exchangeable, and stores of 64 and of 1024 samples stay comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from aer_eval.metrics.pass_at_k import FloatArray, IntArray
from aer_eval.records import Verdict

MAX_SAMPLES = 64
BLEU_ORDER = 4
DISTINCT_ORDERS = (2, 4)


@dataclass(frozen=True)
class Tokens:
    """The tokens of all texts, one after the other; equal tokens have equal numbers."""

    ids: IntArray
    """Shape (tokens,)."""
    text: IntArray
    """Which text each is of, ascending; shape (tokens,)."""
    lengths: IntArray
    """Tokens of each text; shape (texts,)."""


@dataclass(frozen=True)
class NGrams:
    """How often each n-gram is in each text; one entry for each pair that occurs, in the order of the n-grams."""

    gram: IntArray
    text: IntArray
    count: IntArray


def suite_diversity(samples: pd.DataFrame) -> dict[str, float]:
    """Means over problems, of those problems for which a number is known.

    Args:
        samples: ``SAMPLE_COLUMNS`` and ``GRADE_COLUMNS``, sorted by sample index within a problem.

    Returns:
        ``answer_classes`` and ``distinct_correct`` (distinct answers of all and of the correct samples), what
        `text_diversity` gives, and ``entropy`` and ``mean_logprob`` in nats a token. What is not known is absent.
    """
    rows = []
    for _, group in samples.groupby("problem_id", sort=False):
        correct = group[group["verdict"] == Verdict.CORRECT]
        rows.append(
            {
                "answer_classes": group["answer_class"].nunique(),
                "distinct_correct": correct["answer_class"].nunique(),
                **text_diversity(group["text"].head(MAX_SAMPLES).tolist()),
                "entropy": group["entropy"].mean(),
                "mean_logprob": group["mean_logprob"].mean(),
            }
        )
    means = pd.DataFrame(rows).astype("Float64").mean()
    return {str(name): float(value) for name, value in means.dropna().items()}


def text_diversity(texts: Sequence[str]) -> dict[str, float]:
    """Diversity of the samples of one problem.

    Returns:
        ``distinct_2`` and ``distinct_4``: distinct n-grams over all n-grams of the texts together (Li et al., arXiv
        1510.03055); higher is more diverse. ``self_bleu``: see `self_bleu`. One that is not defined is absent.
    """
    tokens = tokenize(texts)
    grams = count_ngrams(tokens)
    result = {}
    for order in DISTINCT_ORDERS:
        counted = grams[order - 1]
        if len(counted.gram):
            result[f"distinct_{order}"] = float((counted.gram[-1] + 1) / counted.count.sum())
    if len(texts) > 1:
        result["self_bleu"] = self_bleu(tokens, grams)
    return result


def tokenize(texts: Sequence[str]) -> Tokens:
    """Split at whitespace."""
    words = [text.split() for text in texts]
    lengths = np.array([len(text) for text in words], dtype=np.int64)
    ids, _ = pd.factorize(np.array([word for text in words for word in text], dtype=object))
    return Tokens(ids.astype(np.int64), np.repeat(np.arange(len(texts)), lengths), lengths)


def count_ngrams(tokens: Tokens) -> list[NGrams]:
    """Count the n-grams of order 1 to 4; none spans two texts. Those of an order are numbered from 0."""
    texts = len(tokens.lengths)
    gram = tokens.ids
    result = []
    for order in range(1, BLEU_ORDER + 1):
        if order > 1:  # an n-gram is the (n-1)-gram and the token after it; numbered anew so that numbers stay small
            gram = pd.factorize(gram[:-1] * (len(tokens.ids) + 1) + tokens.ids[order - 1 :])[0]
        text = tokens.text[: len(gram)]
        within = text == tokens.text[order - 1 :]
        pair, count = np.unique(gram[within] * texts + text[within], return_counts=True)
        number = np.cumsum(np.diff(pair // texts, prepend=-1) > 0) - 1
        result.append(NGrams(number, pair % texts, count))
    return result


def self_bleu(tokens: Tokens, grams: Sequence[NGrams]) -> float:
    """Mean BLEU of each text with all others as references, from 0 to 1 (Zhu et al., arXiv 1802.01886).

    Lower is more diverse. Sentence BLEU as sacrebleu computes it with ``effective_order`` and its default smoothing.

    Args:
        tokens: of two texts or more.
        grams: their n-grams of order 1, 2, ...
    """
    lengths = tokens.lengths
    log_precisions = np.zeros(len(lengths))
    orders = np.zeros(len(lengths))
    smoothing = np.ones(len(lengths))
    any_match = np.zeros(len(lengths), dtype=bool)
    for order, counted in enumerate(grams, start=1):
        total = np.maximum(lengths - order + 1, 0)
        matched = np.bincount(counted.text, np.minimum(counted.count, _most_elsewhere(counted)), len(lengths))
        any_match |= matched > 0
        # No match of an order counts as half a match, of the next one as a quarter, and so on.
        smoothing = np.where((total > 0) & (matched == 0), smoothing / 2, smoothing)
        precision = np.where(matched > 0, matched, smoothing) / np.maximum(total, 1)
        log_precisions += np.where(total > 0, np.log(precision), 0)
        orders += total > 0
    scores = _brevity(lengths) * np.exp(log_precisions / np.maximum(orders, 1))
    return float(np.where(any_match, scores, 0).mean())


def _most_elsewhere(counted: NGrams) -> IntArray:
    """For each n-gram and text, the largest count of the n-gram in another text.

    That is the largest of all, but for the text that has it, where it is the second largest: with that, all texts
    together cost no more than one.
    """
    if not len(counted.gram):
        return counted.count
    first = np.flatnonzero(np.diff(counted.gram, prepend=-1))
    largest = np.maximum.reduceat(counted.count, first)
    has_largest = counted.count == largest[counted.gram]
    shared = np.add.reduceat(has_largest.astype(np.int64), first) > 1
    second = np.maximum.reduceat(np.where(has_largest, 0, counted.count), first)
    return np.where(has_largest, np.where(shared, largest, second)[counted.gram], largest[counted.gram])


def _brevity(lengths: IntArray) -> FloatArray:
    """BLEU's penalty for a text that is shorter than the other text closest in length; the shorter one at a tie."""
    factors = np.ones(len(lengths))
    for text, length in enumerate(lengths):
        others = np.delete(lengths, text)
        distance = np.abs(others - length)
        closest = others[distance == distance.min()].min()
        if length < closest:
            factors[text] = np.exp(1 - closest / length) if length else 0
    return factors
