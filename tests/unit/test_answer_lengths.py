"""Where the graded answer ends, in tokens."""

import pytest

pytest.importorskip("openrlhf")


@pytest.fixture(scope="module")
def tokens_before_tail():
    from aer_openrlhf.platforms import current_platform

    current_platform().prepare_process()
    from aer_openrlhf.integration.experience_maker import tokens_before_tail

    return tokens_before_tail


PIECES = {1: "ab", 2: "c", 3: "<eos>", 4: " and so on"}


def decode(tokens, skip_special_tokens):
    assert skip_special_tokens is False
    return "".join(PIECES[token] for token in tokens)


@pytest.mark.parametrize(
    ("tokens", "tail_chars", "expected"),
    [
        ([1, 2, 3], -1, 3),  # no answer: everything counts
        ([1, 2, 3], 0, 3),  # the answer ends with the response
        ([1, 2, 3], 5, 2),  # abc|<eos>
        ([1, 2, 4, 3], 15, 2),  # abc| and so on<eos>
        ([1, 2, 3], 6, 1),  # ab|c<eos>
        ([1, 2, 3], 7, 1),  # a|bc<eos>: the token that reaches over the end counts
        ([1, 2, 3], 8, 0),  # nothing before the tail
        ([], 0, 0),
    ],
)
def test_tokens_before_tail(tokens_before_tail, tokens, tail_chars, expected):
    assert tokens_before_tail(tokens, tail_chars, decode) == expected
