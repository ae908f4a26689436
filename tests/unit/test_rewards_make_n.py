"""MAKE-N by hand."""

import pytest

from aer_openrlhf.rewards.make_n import EOS, canonical_answer, is_correct, reward_func, score


def test_every_way_is_right():
    right = [f"{a:02d}+{b:02d}" for a in range(100) for b in range(100) if is_correct(f"{a:02d}+{b:02d}{EOS}", "57")]
    assert right == [f"{a:02d}+{57 - a:02d}" for a in range(58)]


@pytest.mark.parametrize(
    "response",
    ["18+39", "18+39<eos><eos>", "18+39 <eos>", "18 +39<eos>", "018+39<eos>", "57+0<eos>", "67-10<eos>", "<eos>", ""],
)
def test_anything_else_is_wrong(response):
    assert not is_correct(response, "57")


def test_sums_above_99():
    assert is_correct("99+99<eos>", "198")
    assert is_correct("01+99<eos>", "100")


def test_a_zero_padded_label_is_the_same_number():
    assert is_correct("18+39<eos>", "057")


def test_canonical_answer():
    assert [canonical_answer(response) for response in ("18+39<eos>", "18+39", "1+2<eos>")] == ["18+39", None, None]


@pytest.mark.parametrize(
    ("response", "right", "answered", "tail"),
    [("18+39<eos>", 1, True, 5), ("18+391<eos>", 0, True, 6), ("18+40<eos>", 0, True, 5), ("18+3", 0, False, -1)],
)
def test_outcome(response, right, answered, tail):
    outcome = score(response, "57")
    assert (outcome.score, outcome.answered, outcome.tail_chars) == (right, answered, tail)


def test_reward_func():
    result = reward_func(
        ["057=18+39<eos>", "057=18+39", "010=05+05<eos>"], ["057=", "057=", "010="], ["57", "57", "ten"]
    )
    assert result["rewards"].tolist() == [1, 0, 0]
    assert result["extra_logs"]["reward_error"].tolist() == [0, 0, 1]
