"""Diversity: by hand, and self-BLEU against the definition written out."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_suites import scored

from aer_eval.metrics.diversity import MAX_SAMPLES, suite_diversity, text_diversity


def naive_self_bleu(texts):
    """Every text against all others, n-gram by n-gram, with exponential smoothing and the orders that the text has."""
    words = [text.split() for text in texts]
    return np.mean([naive_bleu(words[i], words[:i] + words[i + 1 :]) for i in range(len(words))])


def naive_bleu(text, references):
    precisions, halvings, any_match = [], 0, False
    for order in range(1, 5):
        grams = ngrams(text, order)
        if not grams:
            break
        matched = sum(min(count, max(ngrams(ref, order)[gram] for ref in references)) for gram, count in grams.items())
        any_match |= matched > 0
        halvings += matched == 0
        precisions.append((matched or 0.5**halvings) / sum(grams.values()))
    if not any_match:
        return 0.0
    distance = min(abs(len(reference) - len(text)) for reference in references)
    closest = min(len(reference) for reference in references if abs(len(reference) - len(text)) == distance)
    brevity = min(1.0, math.exp(1 - closest / len(text)))
    return brevity * math.exp(sum(map(math.log, precisions)) / len(precisions))


def ngrams(text, order):
    return Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1))


def test_distinct_ngrams_by_hand():
    # Bigrams: ab, bc of the first, ab, bd of the second text: 3 distinct of 4. No text has 4 words.
    assert text_diversity(["a b c", "a b d"])["distinct_2"] == 3 / 4
    assert "distinct_4" not in text_diversity(["a b c", "a b d"])
    # 4-grams: abab, baba, abab: 2 of 3. Bigrams: 2 of 5. N-grams do not span two texts.
    assert text_diversity(["a b a b a b", "c"]) == pytest.approx(
        {"distinct_2": 2 / 5, "distinct_4": 2 / 3, "self_bleu": 0}
    )


def test_self_bleu_by_hand():
    assert text_diversity(["a b c d e", "a b c d e"])["self_bleu"] == pytest.approx(1)
    assert text_diversity(["a b c d", "e f g h"])["self_bleu"] == 0
    # "a b" against "a c": 1 of 2 words, no bigram of 1, which counts as half: sqrt(1/2 * 1/2) = 1/2; so the other one.
    assert text_diversity(["a b", "a c"])["self_bleu"] == pytest.approx(1 / 2)


def test_one_text_has_no_self_bleu():
    assert "self_bleu" not in text_diversity(["a b c"])
    assert text_diversity([""]) == {}


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join), min_size=2, max_size=5))
def test_self_bleu_is_the_naive_computation(texts):
    assert text_diversity(texts)["self_bleu"] == pytest.approx(naive_self_bleu(texts), abs=1e-12)


def test_self_bleu_of_longer_texts_is_the_naive_computation():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{min(rank, 60)}" for rank in rng.zipf(1.4, length)) for length in (80, 60, 95, 80, 40)]
    assert text_diversity(texts)["self_bleu"] == pytest.approx(naive_self_bleu(texts), abs=1e-12)


def test_a_suite_is_the_mean_over_its_problems():
    suite = scored(
        {"p": "RRab", "q": "R-t"},
        texts={"p": ["x y", "x y", "x y", "x z"], "q": ["x y", "u v", ""]},
        entropy=[0.1, 0.2, 0.3, None, None, None, None],
    )
    suite.samples.loc[1, "answer_class"] = "R2"  # another right answer
    found = suite_diversity(suite.samples)
    assert found["answer_classes"] == (4 + 1) / 2
    assert found["distinct_correct"] == (2 + 1) / 2
    assert found["distinct_2"] == (2 / 4 + 2 / 2) / 2
    assert found["entropy"] == pytest.approx(0.2)  # known for p alone
    assert "mean_logprob" not in found


def test_more_than_64_samples_count_as_the_first_64():
    texts = ["x y"] * MAX_SAMPLES + ["u v"] * 10
    suite = scored({"p": "a" * len(texts)}, texts={"p": texts})
    assert suite_diversity(suite.samples)["self_bleu"] == 1
