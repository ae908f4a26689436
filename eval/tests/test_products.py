"""Signs of multiplication where the parser would add."""

import pytest

from aer_eval.grading.judgement import Unreadable
from aer_eval.grading.products import explicit_products


@pytest.mark.parametrize(
    ("text", "explicit"),
    [
        (r"2\binom{5}{2}", r"2\cdot \binom{5}{2}"),
        (r"2\frac{7}{3}", r"2\cdot \frac{7}{3}"),
        ("-3(x+1)(x-2)", r"-3\cdot (x+1)\cdot (x-2)"),
        (r"\frac{1}{2}3", r"\frac{1}{2}\cdot 3"),
        ("2{x}", r"2\cdot {x}"),
        ("[3](2)", r"[3]\cdot (2)"),
    ],
)
def test_factors(text, explicit):
    assert explicit_products(text) == explicit


@pytest.mark.parametrize(
    "text",
    [
        *(r"3\frac{1}{2}", r"\frac{\frac{1}{2}}{3}", r"\binom{5}{2}", r"\sqrt[3]{5}", r"\log_{2} 8", r"\log_2 32"),
        *(
            "x^{2}(y+1)",
            "a_{1}(2)",
            r"\int_0^1 2 dx",
            r"\sin^{2}(x)",
            r"5\cdot {2}",
            r"2\sqrt{3}",
            "1,2",
            "2-3",
            "2x 3",
        ),
    ],
)
def test_what_stays(text):
    assert explicit_products(text) == text


@pytest.mark.parametrize("text", ["64 9", "{6}{4}", "2{3}", "1.5 2", r"\frac{2 3}{7}", r"{2}3"])
def test_what_may_be_one_number_or_two_is_refused(text):
    with pytest.raises(Unreadable):
        explicit_products(text)
