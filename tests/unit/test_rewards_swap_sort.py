"""SWAP-SORT by hand: 321 has three pairs in the wrong order, and two ways."""

import pytest

from aer_openrlhf.rewards.swap_sort import EOS, canonical_answer, is_correct, reward_func, score

RIGHT = "231 213 123"


def test_the_end_of_the_sequence_belongs_to_the_answer():
    assert is_correct(RIGHT + EOS, "321")
    assert not any(is_correct(RIGHT + end, "321") for end in ("", " " + EOS, EOS + EOS, " 123" + EOS))


def test_canonical_answer():
    assert [canonical_answer(response) for response in (RIGHT + EOS, RIGHT, "+<eos>")] == [RIGHT, None, None]


@pytest.mark.parametrize(
    ("response", "right", "answered", "tail"),
    [
        (RIGHT + EOS, 1, True, 5),
        (RIGHT, 0, True, 0),
        (RIGHT + " 12+" + EOS, 0, True, 6),
        ("231 213" + EOS, 0, True, 5),
        (EOS, 0, False, -1),
    ],
)
def test_outcome(response, right, answered, tail):
    outcome = score(response, "321")
    assert (outcome.score, outcome.answered, outcome.tail_chars) == (right, answered, tail)


def test_reward_func():
    queries = ["321=" + RIGHT + EOS, "321=" + RIGHT, "321=" + RIGHT + EOS]
    result = reward_func(queries, ["321="] * 3, ["321", "321", "three"])
    assert result["rewards"].tolist() == [1, 0, 0]
    assert result["extra_logs"]["reward_error"].tolist() == [0, 0, 1]
