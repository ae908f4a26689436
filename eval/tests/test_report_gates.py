"""Gates: what holds, what fails, and what is refused."""

import re
from dataclasses import replace

import pytest
from scored_suites import scored

from aer_eval.errors import UserError
from aer_eval.report.gates import check, parse_gate
from aer_eval.report.results import to_results

# pass@1 is 3/10 in "base" and 5/10 in "runs/aer"; half of the latter's responses are cut off.
BASE = scored({"p1": "RRRAAAAAAA"}, label="base")
AER = scored({"p1": "RRRRRttttt"}, label="runs/aer")
RESULTS = to_results([BASE, AER])


def outcomes(*gates, results=RESULTS):
    return [(outcome.label, outcome.passed) for outcome in check([parse_gate(gate) for gate in gates], results)]


def test_a_gate_holds_for_each_run():
    assert outcomes("tiny:pass@1>=0.4") == [("base", False), ("runs/aer", True)]


def test_a_gate_can_name_one_run_whose_name_holds_a_slash():
    assert outcomes("runs/aer/tiny:pass@1>=0.4", "base/tiny:pass@1>=0.4") == [("runs/aer", True), ("base", False)]


def test_a_value_on_the_bound_passes_whatever_its_last_bit():
    assert outcomes("base/tiny:pass@1>=0.3", "base/tiny:pass@1<=0.3") == [("base", True), ("base", True)]
    assert outcomes("base/tiny:pass@1>=0.300001") == [("base", False)]
    shares = scored({f"p{i}": "RAAAAAAAAA" if i else "RRAAAAAAAA" for i in range(3)}, label="thirds")  # mean 0.4/3
    assert outcomes("tiny:pass@1>=0.13333333333333333", results=to_results([shares])) == [("thirds", True)]


def test_rates_can_be_bounded_from_above():
    assert outcomes("tiny:truncated <= 0.1") == [("base", True), ("runs/aer", False)]


def test_a_suite_that_is_not_complete_fails_and_says_so():
    partial = to_results([scored({"p1": "R"}, unsampled=["p2"])])
    (outcome,) = check([parse_gate("tiny:pass@1>=0.5")], partial)
    assert not outcome.passed
    assert str(outcome) == "FAIL  tiny:pass@1>=0.5  (A: 1.000, 1 problems missing)"


def test_an_outcome_reads_as_a_line():
    first, second = check([parse_gate("tiny:pass@1>=0.4")], RESULTS)
    assert str(first) == "FAIL  tiny:pass@1>=0.4  (base: 0.300)"
    assert str(second) == "pass  tiny:pass@1>=0.4  (runs/aer: 0.500)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tiny",
        "tiny:pass@1",
        "pass@1>=0.3",
        ":pass@1>=0.3",
        "tiny:>=0.3",
        "tiny:pass@1>0.3",
        "tiny:pass@1==0.3",
        "tiny:pass@1>=",
        "tiny:pass@1>=x",
        "tiny:pass@1>=nan",
        "tiny:pass@1>=1e999",
        "tiny:pass@1>=0.3.1",
    ],
)
def test_what_is_not_a_gate_is_refused_with_the_form(text):
    with pytest.raises(UserError, match=re.escape(f"--fail-below {text!r}: not a gate; write SUITE:METRIC>=VALUE")):
        parse_gate(text)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("aime24:pass@1>=0.3", "run 'base' has no suite 'aime24'; it has: tiny"),
        ("grpo/tiny:pass@1>=0.3", "no run 'grpo'; there are: base, runs/aer"),
        ("tiny:pass@7>=0.3", "base/tiny has no metric 'pass@7'; it has: pass@1, pass@2, pass@4, pass@8, pass@10, "),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(gate, message):
    with pytest.raises(UserError, match=re.escape(f"--fail-below {gate!r}: {message}")):
        outcomes(gate)


def test_a_run_that_lacks_the_suite_does_not_pass_unseen():
    other = replace(AER, suite="aime24")
    with pytest.raises(UserError, match=re.escape("run 'runs/aer' has no suite 'tiny'; it has: aime24")):
        outcomes("tiny:pass@1>=0.1", results=to_results([BASE, other]))


def test_the_metrics_that_can_be_named_include_the_rates():
    with pytest.raises(UserError, match=r"truncated, never_solved, always_solved$"):
        outcomes("tiny:nothing>=0")
