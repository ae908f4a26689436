"""A suite's summary: numbers by hand, what is missing, and what it looks like outside."""

import json
from dataclasses import fields

import pytest
from scored_suites import scored

from aer_eval.errors import UserError
from aer_eval.metrics.summary import markdown_table, metric_names, summarise, to_json
from aer_eval.metrics.types import SuiteSummary

OUTCOMES = {"p": "RRaa", "q": "Rab-", "r": "----"}
"""Correct: 2, 1 and 0 of 4."""


def test_estimates_by_hand():
    summary = summarise(scored(OUTCOMES))
    value = {name: estimate.value for name, estimate in summary.estimates.items()}
    assert sorted(value) == sorted(metric_names(4))
    assert value["pass@1"] == value["mean@n"] == pytest.approx((2 / 4 + 1 / 4 + 0) / 3)
    # pass@2: 1 - C(2,2)/C(4,2) = 5/6, 1 - C(3,2)/C(4,2) = 1/2, 0. At n: solved at all.
    assert value["pass@2"] == pytest.approx((5 / 6 + 1 / 2 + 0) / 3)
    assert value["pass@4"] == pytest.approx(2 / 3)
    # pass^2: both correct: 1/6, 0, 0. At least half of 2 is at least one of 2.
    assert value["pass^2"] == pytest.approx(1 / 18)
    assert value["g-pass@2_0.5"] == pytest.approx(value["pass@2"])
    # Half of 4 correct: p alone has 2 correct samples. 3 of 4: none.
    assert value["g-pass@4_0.5"] == pytest.approx(1 / 3)
    assert value["g-pass@4_0.75"] == 0
    assert value["mg-pass@4"] == 0
    # maj@4: p is a tie of two classes, 1/2; q a tie of three, 1/3; r has no vote.
    assert value["maj@4"] == pytest.approx((1 / 2 + 1 / 3) / 3)
    assert set(value) == {
        *(f"{metric}@{k}" for metric in ("pass", "maj") for k in (1, 2, 4)),
        *(f"{metric}{k}{tail}" for metric, tail in (("pass^", ""), ("mg-pass@", "")) for k in (2, 4)),
        *(f"g-pass@{k}_{threshold}" for k in (2, 4) for threshold in (0.5, 0.75)),
        "mean@n",
    }


def test_both_intervals_and_the_flag():
    estimates = summarise(scored(OUTCOMES)).estimates
    assert estimates["pass@1"].over_problems.high == pytest.approx(0.25 + 4.302653 * 0.25 / 3**0.5)  # sd 1/4, t of 2
    assert estimates["pass@1"].this_set.low < 0.25 < estimates["pass@1"].this_set.high
    assert estimates["maj@2"].this_set.low < estimates["maj@2"].value < estimates["maj@2"].this_set.high
    assert [name for name, estimate in estimates.items() if estimate.flag is None and "pass@" in name] == [
        *("pass@1", "pass@2", "g-pass@2_0.5", "g-pass@2_0.75", "mg-pass@2")
    ]
    assert estimates["pass@4"].flag == estimates["maj@4"].flag == "k > n/2"
    assert all(estimates[f"{name}@4"].this_set is None for name in ("pass", "maj"))


def test_the_jackknife_of_maj_at_1_is_that_of_pass_at_1():
    estimates = summarise(scored({"p": "RRaab-RR", "q": "Raaaaaa-"})).estimates
    # One has the t quantile of its degrees of freedom, the other the normal one: half widths in between 1 and 1.4.
    wide, narrow = estimates["pass@1"].this_set, estimates["maj@1"].this_set
    assert narrow.low + narrow.high == pytest.approx(wide.low + wide.high)
    assert 1 < (wide.high - wide.low) / (narrow.high - narrow.low) < 1.4


def test_the_ks_that_were_asked_for_and_1():
    summary = summarise(scored(OUTCOMES), [3])
    assert [name for name in summary.estimates if name.startswith("pass@")] == ["pass@1", "pass@3"]
    # 1 - C(2,3)/C(4,3) = 1; 1 - C(3,3)/C(4,3) = 3/4.
    assert summary.estimates["pass@3"].value == pytest.approx((1 + 3 / 4) / 3)
    with pytest.raises(UserError, match=r"^--k 5: there is a problem with 4 samples"):
        summarise(scored(OUTCOMES), [5])


def test_problems_count_with_the_samples_that_they_have():
    summary = summarise(scored({"p": "RRaaaa", "q": "Ra"}, unsampled=["r", "s"]))
    assert (summary.num_problems, summary.missing_problems) == (2, 2)
    assert (summary.min_samples, summary.max_samples) == (2, 6)
    assert summary.estimates["pass@1"].value == pytest.approx((2 / 6 + 1 / 2) / 2)
    # 1 - C(4,2)/C(6,2) = 1 - 6/15 for p, 1 for q; k goes up to q's 2 samples.
    assert summary.estimates["pass@2"].value == pytest.approx((9 / 15 + 1) / 2)
    assert "pass@4" not in summary.estimates


def test_verdicts_rates_and_lengths():
    tokens = [10, 20, 30, None, 7, 7, 7, 7, 9, 9, 9, 100]
    summary = summarise(scored({"q": "RRab", "p": "RRRR", "r": "---t"}, token_count=tokens))
    assert summary.verdicts["correct"] == 6
    assert summary.verdicts["truncated"] == 1
    assert summary.verdicts["timeout"] == 0
    assert sum(summary.verdicts.values()) == 12
    assert summary.rates == pytest.approx({"truncated": 1 / 12, "never_solved": 1 / 3, "always_solved": 1 / 3})
    # 10, 20, 4 x 7 correct; 30, 3 x 9, 100 not; one is not known.
    assert summary.lengths == pytest.approx({"all": 215 / 11, "correct": 58 / 6, "wrong": 157 / 5})
    assert list(summary.per_problem.index) == ["q", "p", "r"]  # in the suite's order
    assert summary.per_problem.loc["q"].to_dict() == {"n": 4, "correct": 2, "answer_classes": 3, "mean_tokens": 20}


def test_what_is_not_known_is_absent():
    summary = summarise(scored({"p": "aa", "q": "--"}))
    assert summary.lengths == {}
    assert set(summary.diversity) == {"answer_classes", "distinct_correct", "self_bleu"}
    assert summary.estimates["pass@1"].over_problems is None
    assert summary.estimates["pass@1"].this_set is None
    written = json.loads(json.dumps(to_json(summary), allow_nan=False))
    assert written.keys() == {field.name for field in fields(SuiteSummary)}
    assert (written["label"], written["num_problems"], written["rates"]["never_solved"]) == ("A", 2, 1.0)
    assert written["estimates"]["pass@1"] == {"value": 0.0}
    assert written["per_problem"]["p"] == {"n": 2, "correct": 0, "answer_classes": 1}
    assert written["estimates"]["pass@2"]["flag"] == "k > n/2"


def test_unknown_finish_reasons_give_no_rate():
    suite = scored({"p": "Ra"})
    suite.samples["finish_reason"] = suite.samples["finish_reason"].mask([True, True])
    assert "truncated" not in summarise(suite).rates


def test_the_tables_state_both_intervals_and_what_is_missing():
    full = summarise(scored(OUTCOMES, label="base|1"))
    partial = summarise(scored({"p": "RRaaaa", "q": "Ra"}, label="tuned", unsampled=["r"]), [1, 2])
    text = markdown_table([full, partial])
    tables = [part for part in text.split("\n\n") if part.startswith("|")]
    assert [len(table.splitlines()) for table in tables] == [4, 4]
    assert tables[0].splitlines()[0] == "| suite | model | problems | samples | pass@1 | pass@2 | pass@4 |"
    row = tables[0].splitlines()[2]
    assert row.startswith("| tiny | base\\|1 | 3 | 4 | 0.250 [0.000, 0.871] | 0.444 [")
    assert row.endswith("| 0.667 [0.000, 1.000] * |")
    assert tables[1].splitlines()[2].endswith("| 0.667 * |")  # for this set it is undefined at k = n
    assert tables[0].splitlines()[3].startswith("| tiny | tuned | 2 of 3 | 2 to 6 | 0.417 [")
    assert tables[0].splitlines()[3].endswith("* | – |")
    assert "tiny, tuned: problems without a sample, which do not count: 1." in text
    assert "tiny, tuned: problems have 2 to 6 samples; k goes up to 2." in text
    assert "tiny, base|1: read with care what is marked \\*: k > n/2." in text
