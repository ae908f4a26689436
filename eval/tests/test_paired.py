"""The paired test, its correction, and where curves cross."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aer_eval.metrics.paired import FLIPS, crossings, holm, sign_flip_p_value


def test_p_value_by_hand():
    # |sum| of 1 + 2 + 3 is 6; of the 8 sign patterns +++ and --- reach it: 2/8.
    assert sign_flip_p_value(np.array([1.0, 2.0, 3.0])) == 2 / 8
    # |1 + 2 - 3| = 0: every pattern reaches it.
    assert sign_flip_p_value(np.array([1.0, 2.0, -3.0])) == 1
    # 0.1 + 0.2 - 0.3 + 0.6 = 0.6. With + before 0.6 the rest must be at least 0: 0.6, 0.4, 0.2 and twice 0 of 8 do, of
    # which 0.1 + 0.2 - 0.3 is not 0 in floating point. With - before 0.6 the same: 10/16.
    assert sign_flip_p_value(np.array([0.1, 0.2, -0.3, 0.6])) == 10 / 16


@settings(deadline=None)
@given(st.lists(st.integers(-5, 5), max_size=9))
def test_exact_p_value_counts_every_pattern(differences):
    values = np.array(differences, dtype=float)
    patterns = np.array(list(product((1, -1), repeat=len(differences))))
    expected = np.mean(np.abs(patterns @ values) >= abs(sum(differences)))
    assert sign_flip_p_value(values) == pytest.approx(expected)


def test_problems_that_did_not_change_do_not_matter():
    assert sign_flip_p_value(np.array([1.0, 2.0, 3.0] + [0.0] * 500)) == 2 / 8
    assert sign_flip_p_value(np.zeros(500)) == 1


def test_many_problems_are_tested_by_seeded_random_patterns():
    assert sign_flip_p_value(np.ones(21)) == 1 / (FLIPS + 1)  # 2 of 2**21 patterns reach it, none of those drawn
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    p_value = sign_flip_p_value(values)
    assert p_value == sign_flip_p_value(values)
    # The sum of 40 values with random signs is near normal, with the sum of their squares as its variance.
    z = abs(values.sum()) / np.sqrt(np.sum(values**2))
    assert p_value == pytest.approx(2 * stats.norm.sf(z), abs=0.02)
    assert 0.01 < p_value < 0.5


def test_p_values_are_uniform_where_nothing_differs():
    rng = np.random.default_rng(1)
    p_values = [sign_flip_p_value(rng.normal(0, 1, 12)) for _ in range(2000)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=0.03)


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 = 0.03, 0.06, 0.04; none below the one before: 0.03, 0.06, 0.06.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.7, 0.8]) == [1, 1]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    corrected = np.array(holm(p_values))
    assert np.all(corrected >= np.array(p_values) - 1e-15)
    assert np.all(np.diff(corrected[np.argsort(p_values, kind="stable")]) >= 0)


def test_curves_cross_where_the_difference_changes_its_sign():
    assert crossings([0.1, 0.2, 0.3, 0.4], [0.05, 0.2, 0.35, 0.39]) == [(3, True), (4, False)]
    assert crossings([0.1, 0.2], [0.1, 0.2]) == []
    assert crossings([0.1, 0.5, 0.5], [0.2, 0.5, 0.6]) == []  # touching is not crossing
