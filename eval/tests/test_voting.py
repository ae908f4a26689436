"""maj@k: by hand and against counting every subset."""

from collections import Counter
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_suites import scored

from aer_eval.errors import UserError
from aer_eval.metrics.voting import Votes, count_votes, maj_at_k


def by_counting(votes: Votes, k: int) -> Fraction:
    """maj@k from its definition: every subset of k samples, ties in equal parts."""
    samples = ["right"] * votes.right + [None] * votes.silent
    for rival, size in enumerate(votes.rivals):
        samples += [rival] * size
    subsets = list(combinations(samples, k))
    won = Fraction(0)
    for drawn in subsets:
        counts = Counter(answer for answer in drawn if answer is not None)
        leaders = [answer for answer, count in counts.items() if count == max(counts.values())]
        if "right" in leaders:
            won += Fraction(1, len(leaders))
    return won / len(subsets)


def test_by_hand():
    # Samples r r w -, pairs: rr 1; rw (2 pairs) tie, 1/2 each; r- (2 pairs) 1 each; w- 0. (1 + 1 + 2 + 0) / 6 = 2/3.
    assert maj_at_k(Votes(right=2, rivals=(1,), silent=1), 2) == pytest.approx(2 / 3, abs=1e-14)


def test_ties_count_in_equal_parts():
    assert maj_at_k(Votes(2, (2,), 0), 4) == pytest.approx(1 / 2, abs=1e-14)
    assert maj_at_k(Votes(2, (2, 2, 1), 1), 8) == pytest.approx(1 / 3, abs=1e-14)
    assert maj_at_k(Votes(512, (512,), 0), 512) == pytest.approx(1 / 2, abs=1e-12)  # by symmetry


def test_without_votes_nothing_is_won():
    assert maj_at_k(Votes(0, (), 4), 2) == 0
    # One vote among 4 silent samples: right where it is drawn, k/n.
    assert maj_at_k(Votes(1, (), 4), 2) == pytest.approx(2 / 5, abs=1e-14)


votes = st.builds(
    Votes,
    right=st.integers(0, 4),
    rivals=st.lists(st.integers(1, 4), max_size=3).map(lambda sizes: tuple(sorted(sizes, reverse=True))),
    silent=st.integers(0, 3),
).filter(lambda drawn: 0 < drawn.total <= 11)


@settings(deadline=None)
@given(votes, st.data())
def test_it_is_the_mean_over_all_subsets(drawn, data):
    k = data.draw(st.integers(1, drawn.total))
    assert maj_at_k(drawn, k) == pytest.approx(float(by_counting(drawn, k)), abs=1e-12)


@settings(deadline=None)
@given(votes)
def test_one_vote_is_pass_at_1(drawn):
    assert maj_at_k(drawn, 1) == pytest.approx(drawn.right / drawn.total, abs=1e-12)


@pytest.mark.parametrize("k", [2, 32, 64])
def test_many_rivals_of_one_vote(k):
    # One right sample, 63 different wrong ones: whoever is drawn ties with all others: (k/64) (1/k) = 1/64.
    assert maj_at_k(Votes(1, (1,) * 63, 0), k) == pytest.approx(1 / 64, abs=1e-12)


@settings(deadline=None)
@given(votes)
def test_taking_one_sample_away_is_done_for_every_sample(drawn):
    left = drawn.without_one()
    assert sum(left.values()) == drawn.total
    assert all(fewer.total == drawn.total - 1 for fewer in left)


def test_which_votes_are_left_when_one_is_taken_away():
    assert Votes(2, (3, 1), 1).without_one() == {
        Votes(1, (3, 1), 1): 2,
        Votes(2, (3, 1), 0): 1,
        Votes(2, (2, 1), 1): 3,
        Votes(2, (3,), 1): 1,
    }
    assert Votes(0, (1, 1), 0).without_one() == {Votes(0, (1,), 0): 2}


def test_correct_samples_vote_as_one_class_whatever_their_answers():
    samples = scored({"p": "RRaab-t"}).samples
    samples.loc[1, "answer_class"] = "another right one"
    assert count_votes(samples) == Votes(right=2, rivals=(2, 1), silent=2)


def test_k_beyond_the_samples_is_refused():
    with pytest.raises(UserError, match=r"^--k 3: there is a problem with 2 samples"):
        maj_at_k(Votes(1, (1,), 0), 3)
