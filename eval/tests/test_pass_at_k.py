"""pass@k and its relatives, against exact rationals and numbers computed by hand."""

from fractions import Fraction
from functools import partial
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aer_eval.errors import UserError
from aer_eval.metrics.pass_at_k import (
    g_pass_at_k_table,
    look_up,
    mg_pass_at_k_table,
    pass_at_k,
    pass_at_k_table,
    pass_hat_k_table,
    powers_of_two,
)

sizes = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


def test_pass_at_k_by_hand():
    # n = 4, c = 2, k = 2: of the 6 pairs one has no correct sample: 1 - C(2,2)/C(4,2) = 5/6.
    # n = 2, c = 1, k = 2: all samples are drawn, one is correct: 1.
    assert pass_at_k(np.array([4, 2]), np.array([2, 1]), 2) == pytest.approx([5 / 6, 1], abs=1e-15)


@pytest.mark.parametrize("n", [1, 2, 7, 64, 1030, 4096])
def test_pass_at_k_is_within_1e_12_of_the_exact_ratio(n):
    for k in {1, 2, 3, n // 3, n // 2, n - 1, n} & set(range(1, n + 1)):
        table = pass_at_k_table(n, k)
        assert table.shape == (n + 1,)
        total = comb(n, k)
        for c in {0, 1, 2, 5, n // 10, n // 3, n // 2, n - k, n - k + 1, n - 1, n} & set(range(n + 1)):
            exact = 1 - Fraction(comb(n - c, k), total)
            assert abs(Fraction(float(table[c])) - exact) < Fraction(1, 10**12), (n, k, c)


@pytest.mark.parametrize("n", [5, 64, 1030])
def test_pass_hat_k_is_within_1e_12_of_the_exact_ratio(n):
    for k in {1, 2, n // 2, n}:
        table = pass_hat_k_table(n, k)
        for c in {0, 1, k - 1, k, n // 2, n - 1, n}:
            assert abs(Fraction(float(table[c])) - Fraction(comb(c, k), comb(n, k))) < Fraction(1, 10**12), (n, k, c)


def test_g_pass_at_k_by_hand():
    # n = 6, c = 3, k = 4, threshold 3/4: 3 of 4 must be correct: C(3,3) C(3,1) / C(6,4) = 3/15.
    assert g_pass_at_k_table(6, 4, 0.75)[3] == pytest.approx(3 / 15, abs=1e-14)
    # Threshold 0.07 of 100 is 7 samples, though 0.07 * 100 rounds to more: with 7 of 100 correct all 7 are drawn.
    assert g_pass_at_k_table(100, 100, 0.07)[7] == 1


@settings(deadline=None)
@given(sizes, st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_g_pass_at_k_counts_the_draws_with_enough_correct_samples(size, threshold):
    n, k = size
    table = g_pass_at_k_table(n, k, threshold)
    for c in range(n + 1):
        enough = [hits for hits in range(min(c, k) + 1) if hits >= threshold * k and k - hits <= n - c]
        exact = Fraction(sum(comb(c, hits) * comb(n - c, k - hits) for hits in enough), comb(n, k))
        assert table[c] == pytest.approx(float(exact), abs=1e-12)


@settings(deadline=None)
@given(sizes.filter(lambda size: size[1] > 1))
def test_mg_pass_at_k_is_the_papers_sum(size):
    n, k = size
    thresholds = [i / k for i in range((k + 1) // 2 + 1, k + 1)]
    expected = sum((g_pass_at_k_table(n, k, threshold) for threshold in thresholds), np.zeros(n + 1)) * 2 / k
    assert mg_pass_at_k_table(n, k) == pytest.approx(expected, abs=1e-12)


def test_mg_pass_at_k_by_hand():
    # n = 6, c = 3, k = 4: 2/4 (P(hits >= 3) + P(hits >= 4)) = 1/2 (3/15 + 0) = 1/10.
    assert mg_pass_at_k_table(6, 4)[3] == pytest.approx(0.1, abs=1e-14)


@settings(deadline=None)
@given(st.integers(1, 10), st.data())
def test_tables_count_subsets(n, data):
    k = data.draw(st.integers(1, n))
    c = data.draw(st.integers(0, n))
    hits = [sum(sample < c for sample in drawn) for drawn in combinations(range(n), k)]
    assert pass_at_k_table(n, k)[c] == pytest.approx(np.mean([hit > 0 for hit in hits]), abs=1e-14)
    assert pass_hat_k_table(n, k)[c] == pytest.approx(np.mean([hit == k for hit in hits]), abs=1e-14)


@settings(deadline=None)
@given(st.integers(2, 300), st.data())
def test_pass_at_k_does_not_fall_and_pass_hat_k_does_not_rise_with_k(n, data):
    k = data.draw(st.integers(1, n - 1))
    for table in (pass_at_k_table, pass_hat_k_table):
        assert np.all((table(n, k) >= 0) & (table(n, k) <= 1))
        assert np.all(np.diff(table(n, k)) >= 0)  # more correct samples never hurt
    assert np.all(pass_at_k_table(n, k + 1) >= pass_at_k_table(n, k) - 1e-15)
    assert np.all(pass_hat_k_table(n, k + 1) <= pass_hat_k_table(n, k) + 1e-15)


def test_every_problem_is_looked_up_with_its_own_n():
    # pass@2: 1 - C(3,2)/C(4,2) = 1/2; 1 - C(7,2)/C(8,2) = 1 - 21/28 = 1/4; 0 correct; all correct.
    n, correct = np.array([4, 8, 4, 8]), np.array([1, 1, 0, 8])
    assert look_up(pass_at_k_table, n, correct, 2) == pytest.approx([1 / 2, 1 / 4, 0, 1], abs=1e-15)


@pytest.mark.parametrize("k", [0, 3, -1])
@pytest.mark.parametrize(
    "table", [pass_at_k_table, pass_hat_k_table, partial(g_pass_at_k_table, threshold=0.5), mg_pass_at_k_table]
)
def test_k_beyond_the_samples_is_refused_by_its_flag(table, k):
    with pytest.raises(UserError, match=rf"^--k {k}: there is a problem with 2 samples; give k from 1 to 2"):
        look_up(table, np.array([4, 2]), np.array([1, 1]), k)


def test_the_curve_ends_with_n():
    assert powers_of_two(1) == [1]
    assert powers_of_two(8) == [1, 2, 4, 8]
    assert powers_of_two(12) == [1, 2, 4, 8, 12]
