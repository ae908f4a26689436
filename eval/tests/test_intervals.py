"""Both intervals: by hand, against brute force, and how often they hold the truth."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from aer_eval.metrics.intervals import (
    delete_one_variance,
    jackknife,
    jackknife_bounds,
    over_problems,
    t_bounds,
    this_set,
)
from aer_eval.metrics.pass_at_k import (
    g_pass_at_k_table,
    look_up,
    mg_pass_at_k_table,
    pass_at_k_table,
    pass_hat_k_table,
)


def test_interval_over_problems_by_hand():
    # Mean 0.5, sd 0.1, t quantile for 2 degrees of freedom 4.30265: half width 4.30265 * 0.1 / sqrt(3) = 0.248414.
    interval = over_problems(np.array([0.4, 0.5, 0.6]))
    assert (interval.low, interval.high) == pytest.approx((0.251586, 0.748414), abs=1e-6)


def test_interval_over_problems_is_cut_to_the_range():
    # Mean 0.5, sd 0.5: half width 1.24207.
    assert over_problems(np.array([0.0, 0.5, 1.0])) == over_problems(np.array([1.0, 0.5, 0.0]))
    assert vars(over_problems(np.array([0.0, 0.5, 1.0]))) == {"low": 0.0, "high": 1.0}
    assert over_problems(np.array([0.0, 0.5, 1.0]), lowest=-1).low == pytest.approx(0.5 - 1.242069, abs=1e-6)


def test_no_interval_over_problems_without_a_spread():
    assert over_problems(np.array([0.3])) is None
    assert over_problems(np.array([1.0, 1.0, 1.0])) is None


def test_interval_for_this_set_by_hand():
    # Two problems, 4 samples, 2 and 4 of them correct; pass@1 = (1/2 + 1) / 2 = 3/4.
    # Variances of the two values: p (1 - p) / (n - 1) = 1/12 and 0. Standard error: sqrt(1/12) / 2.
    # The variance estimate is c (4 - c) / 48 for c ~ Binomial(4, 1/2), so 0, 3/48, 4/48, 3/48, 0 with chances
    # 1, 4, 6, 4, 1 of 16. Its mean is 1/16, that of its square 7/1536, so its own variance is 7/1536 - 1/256 = 1/1536.
    # Degrees of freedom: 2 (1/12)^2 / (1/1536) = 64/3.
    half_width = stats.t.ppf(0.975, 64 / 3) * np.sqrt(1 / 12) / 2
    interval = this_set(pass_at_k_table, np.array([4, 4]), np.array([2, 4]), 1)
    assert interval.low == pytest.approx(0.75 - half_width, abs=1e-12)
    assert interval.high == 1.0


def test_no_interval_for_this_set_where_it_is_undefined():
    n = np.array([4, 8])
    assert this_set(pass_at_k_table, n, np.array([1, 1]), 4) is None  # all samples of a problem are drawn
    assert this_set(pass_at_k_table, n, np.array([0, 8]), 2) is None  # no problem's samples differ
    assert this_set(pass_at_k_table, n, np.array([1, 8]), 2) is not None


@settings(deadline=None)
@given(st.integers(2, 8), st.data())
def test_the_closed_form_is_the_jackknife(n, data):
    k, c = data.draw(st.integers(1, n - 1)), data.draw(st.integers(0, n))
    correct = np.arange(n) < c

    def chance_of_one_correct(samples):
        return np.mean([any(drawn) for drawn in combinations(samples, k)])

    left = np.array([chance_of_one_correct(np.delete(correct, i)) for i in range(n)])
    expected = (n - 1) / n * np.sum((left - left.mean()) ** 2)
    variances, _ = jackknife(pass_at_k_table, np.array([n]), np.array([c]), k)
    assert variances[0] == pytest.approx(expected, abs=1e-12)
    assert delete_one_variance(left, np.ones(n, dtype=int)) == pytest.approx(expected, abs=1e-12)


def test_deleting_alike_samples_is_counted_once_for_each():
    assert delete_one_variance(np.array([0.2, 0.5]), np.array([3, 1])) == pytest.approx(
        delete_one_variance(np.array([0.2, 0.2, 0.2, 0.5]), np.array([1, 1, 1, 1])), abs=1e-15
    )


@pytest.mark.parametrize("table", [pass_at_k_table, pass_hat_k_table, mg_pass_at_k_table])
def test_a_thousand_samples_and_large_k_stay_finite(table):
    interval = this_set(table, np.full(30, 1024), np.arange(30) * 35, 512)
    assert 0 <= interval.low < interval.high <= 1


RATES = (0.35, 0.8)
"""Parameters of the Beta distribution of the problems' chances: many hard problems, some easy ones."""


def simulate(k, problems=30, n=64, repetitions=8000):
    """Counts of many data sets, and their pass@k."""
    rng = np.random.default_rng(k)
    chances = rng.beta(*RATES, (repetitions, problems))
    correct = rng.binomial(n, chances)
    samples = np.full(correct.shape, n)
    return chances, samples, correct, look_up(pass_at_k_table, samples, correct, k)


@pytest.mark.parametrize("k", [1, 4, 8, 16, 32])
def test_interval_over_problems_holds_the_mean_of_all_problems(k):
    *_, values = simulate(k)
    a, b = RATES
    truth = 1 - special.beta(a, b + k) / special.beta(a, b)  # the mean of 1 - (1 - p)^k over the distribution
    low, high = t_bounds(values)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("k", "expected"), [(1, 0.95), (4, 0.95), (8, 0.95), (16, 0.95), (32, 0.97)])
def test_interval_for_this_set_holds_the_value_of_infinitely_many_samples(k, expected):
    """At k = n/2 = 32 the interval is somewhat too wide: it holds the value in 97 % of all cases."""
    chances, samples, correct, values = simulate(k)
    truth = np.mean(1 - (1 - chances) ** k, axis=-1)
    low, high = jackknife_bounds(values, *jackknife(pass_at_k_table, samples, correct, k))
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(expected, abs=0.02 if k < 32 else 0.01)


def test_the_normal_quantile_would_be_too_short_where_k_is_a_large_part_of_n():
    """Why the degrees of freedom are there: without them 95 % intervals hold 83 % at n = 1024, k = 512."""
    rng = np.random.default_rng(0)
    chances = rng.beta(*RATES, (2000, 30))
    correct = rng.binomial(1024, chances)
    samples = np.full(correct.shape, 1024)
    values = look_up(pass_at_k_table, samples, correct, 512)
    truth = np.mean(1 - (1 - chances) ** 512, axis=-1)
    variances, spreads = jackknife(pass_at_k_table, samples, correct, 512)
    held = {}
    for name, known in (("normal", np.zeros_like(spreads)), ("t", spreads)):
        low, high = jackknife_bounds(values, variances, known)
        held[name] = np.mean((low <= truth) & (truth <= high))
    assert held["normal"] < 0.87
    assert held["t"] > 0.92


def test_the_g_pass_interval_holds_its_value_too():
    rng = np.random.default_rng(0)
    chances = rng.beta(*RATES, (4000, 30))
    correct = rng.binomial(64, chances)
    samples = np.full(correct.shape, 64)

    def table(n, k):
        return g_pass_at_k_table(n, k, 0.5)

    truth = np.mean(stats.binom.sf(3, 8, chances), axis=-1)  # at least 4 of 8
    low, high = jackknife_bounds(look_up(table, samples, correct, 8), *jackknife(table, samples, correct, 8))
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.95, abs=0.02)
