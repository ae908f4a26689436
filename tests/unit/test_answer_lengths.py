"""Where the graded answer ends, in tokens."""

import math
import random

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


CHARACTERS = "a1} \n\u00e9\u20ac\u4e2d\U0001f600\U0001f389"  # of one to four bytes


def test_every_end_in_characters_that_are_split_over_tokens(tokens_before_tail):
    """As counted on the bytes: the tokens that begin before the end of the answer."""
    generator = random.Random(0)
    for _ in range(60):
        text = "".join(generator.choices(CHARACTERS, k=generator.randrange(1, 30)))
        data = text.encode()
        starts = [0, *sorted(generator.sample(range(1, len(data)), generator.randrange(len(data))))]
        pieces = [data[i:j] for i, j in zip(starts, [*starts[1:], len(data)], strict=True)]

        def decode_bytes(tokens, skip_special_tokens, pieces=pieces):
            return b"".join(pieces[token] for token in tokens).decode(errors="replace")

        for tail_chars in range(len(text) + 2):
            end = len(text[: max(len(text) - tail_chars, 0)].encode())
            expected = sum(start < end for start in starts)
            assert tokens_before_tail(list(range(len(pieces))), tail_chars, decode_bytes) == expected


@pytest.mark.parametrize("tail_chars", [0, 1, 37, 2048, 5999, 6000, 7000])
def test_a_long_tail_is_not_decoded_token_by_token(tokens_before_tail, tail_chars):
    decoded = []

    def count(tokens, skip_special_tokens):
        decoded.append(len(tokens))
        return "x" * len(tokens)

    assert tokens_before_tail([1] * 6000, tail_chars, count) == max(6000 - tail_chars, 0)
    assert len(decoded) <= 2 * math.ceil(math.log2(6000)) + 1
    assert max(decoded) <= max(2 * tail_chars, 1)  # no more of the response than there is to look at
