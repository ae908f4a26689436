"""The report's tables, its notes, and the samples that it shows."""

from collections import Counter
from dataclasses import replace

import pytest
from scored_suites import scored

from aer_eval.records import Problem
from aer_eval.report import provenance, tables
from aer_eval.report.results import by_suite, choose_k, to_results
from aer_eval.report.samples import choose_samples

# p1 is right in 2 of 4, p2 in 1 of 4; A is one wrong answer.
HALF = {"p1": "RRAA", "p2": "RAAA"}


def result(outcomes, k=None, **more):
    return to_results([scored(outcomes, **more)], k)[0]


def results(*suites):
    return to_results(list(suites))


# Which k


def test_the_second_k_is_the_largest_up_to_half_of_the_fewest_samples():
    assert choose_k([result({"p": "R" * 8}), result({"p": "R" * 4})], None) == 2
    assert choose_k([result({"p": "R" * 8})], None) == 4
    assert choose_k([result({"p": "R"})], None) == 1
    assert choose_k([result({"p": "R" * 8})], 8) == 8


def test_a_k_between_the_powers_of_two_is_computed_where_there_are_samples_for_it():
    assert list(result({"p": "R" * 8}, k=3).pass_at_k) == [1, 2, 3, 4, 8]
    assert list(result({"p": "RR"}, k=3).pass_at_k) == [1, 2]


# Tables


def test_the_main_table_holds_the_numbers_and_both_intervals():
    run = result({"p1": "RRRRAAAA", "p2": "RRAAAAAA"}, token_count=[100] * 8 + [201] * 8)
    value, over_problems, this_set = tables.main_lines([run], 2)
    assert tables.main_headings(2) == ("samples", "pass@1", "pass@2", "maj@n", "truncated", "mean tokens")
    # pass@1: (4/8 + 2/8) / 2. pass@2: 1 - C(4,2)/C(8,2) = 22/28 and 1 - C(6,2)/C(8,2) = 13/28.
    # maj@8: a tie at p1 counts one half, A wins at p2. Tokens: (100 + 201) / 2.
    assert value.cells == ("8", "0.375", "0.625", "0.250 *", "0.000", "150")
    assert (over_problems.label, this_set.label) == ("over problems like these", "for exactly this set")
    # t interval over two problems: 0.375 +- 12.7 * 0.125, cut to the range of a share.
    assert over_problems.cells == ("", "0.000 to 1.000", "0.000 to 1.000", "0.000 to 1.000", "–", "–")
    low, high = map(float, this_set.cells[1].split(" to "))
    assert 0 < low < 0.375 < high < 0.75
    assert low + high == pytest.approx(2 * 0.375, abs=0.0011)  # symmetric, and rounded
    assert this_set.cells[3:] == ("–", "–", "–")
    assert tables.cautions([run], 2) == ["k > n/2"]


def test_one_sample_a_problem_has_no_second_pass_at_k():
    assert tables.main_headings(1) == ("samples", "pass@1", "maj@n", "truncated", "mean tokens")
    line = tables.main_lines([result({"p1": "R", "p2": "A"})], 1)[0]
    assert len(line.cells) == len(tables.main_headings(1))


def test_what_is_not_known_is_a_dash_and_never_zero():
    line = tables.main_lines([result(HALF)], 8)[0]
    assert line.cells == ("4", "0.375", "–", "0.250 *", "0.000", "–")
    assert tables.tokens(None) == tables.interval(None) == "–"
    assert [tables.tokens(value) for value in (5.25, 99.96, 1234.5)] == ["5.2", "100.0", "1,234"]


def test_uneven_numbers_of_samples_are_shown_as_a_range():
    assert tables.main_lines([result({"p1": "RRAA", "p2": "RA"})], 1)[0].cells[0] == "2 to 4"


def test_all_metrics_stand_below_each_other_run_by_run():
    runs = results(scored(HALF), scored({"p1": "RR", "p2": "RA"}, label="B"))
    measures = tables.measures(runs)
    assert [(m.metric, m.label, m.value) for m in measures][:3] == [
        ("pass@1", "A", "0.375"),
        ("pass@1", "B", "0.750"),
        ("pass@2", "A", "0.667"),
    ]
    (only_a,) = [m for m in measures if m.metric == "pass@4"]
    assert (only_a.label, only_a.note) == ("A", "k > n/2")


def test_what_has_no_interval_is_listed_by_run():
    runs = results(scored({"p1": "RAt-"}), scored({"p1": "RRRR"}, label="B", token_count=[7, 8, 9, 10]))
    rows = {(heading, row.label): row.cells for heading, rows in tables.other_rows(runs) for row in rows}
    assert rows["Rates", "truncated"] == ("0.250", "0.000")
    assert rows["Rates", "always_solved"] == ("0.000", "1.000")
    assert rows["Mean tokens", "correct"] == ("–", "8.5")
    assert rows["Samples by verdict", "no_answer"] == ("1", "0")
    assert rows["Samples by verdict", "timeout"] == ("0", "0")


# What was run


def test_settings_are_named_by_their_path_and_marked_where_runs_differ():
    a = scored(HALF, settings={"grader": "g1", "sampling": {"temperature": 1.0, "stop": []}}, engine=["vllm"] * 8)
    b = scored(HALF, label="B", settings={"grader": "g2", "sampling": {"temperature": 1, "stop": ["x", "y"]}})
    rows = {row.label: row for row in provenance.setting_rows(results(a, b))}
    assert rows["sampling.temperature"].cells == ("1", "1")
    assert rows["sampling.stop"].cells == ("–", "x, y")
    assert rows["suite.checksum"].cells == ("c0ffee", "c0ffee")
    assert rows["engine"].cells == ("vllm", "–")
    assert {label for label, row in rows.items() if row.differs} == {"grader", "sampling.stop", "engine"}


def test_runs_that_differ_in_what_is_measured_are_pointed_out_once():
    def suite(label, name, **settings):
        return replace(scored(HALF, label=label, settings=settings), suite=name)

    runs = [
        suite(
            label, name, grader=grader, model={"fingerprint": label}, sampling={"temperature": 1.0, "run_seed": seed}
        )
        for name in ("aime24", "aime25")
        for label, grader, seed in (("A", "g1", 0), ("B", "g2", 1))
    ]
    assert provenance.notes(results(*runs)) == [
        "aime24, aime25: the runs differ in grader (g1 in A, g2 in B): a difference in the numbers may come from it."
    ]
    assert provenance.notes(results(runs[0], runs[2])) == []


def test_another_version_of_the_suite_is_pointed_out():
    changed = scored(HALF, label="B", settings={"suite": {"name": "tiny", "version": 2, "checksum": "c0ffee"}})
    (note,) = provenance.notes(results(scored(HALF), changed))
    assert note.startswith("tiny: the runs differ in suite.version (1 in A, 2 in B)")


def test_missing_and_uneven_samples_are_pointed_out():
    a = scored({"p1": "RRAA", "p2": "RA"}, unsampled=["p3"])
    b = scored({"p1": "RRAA", "p2": "RAAA", "p3": "AAAA"}, label="B")
    assert provenance.notes(results(a, b)) == [
        "tiny, A: 1 of 3 problems have no sample; its numbers are about the other 2.",
        "tiny, A: problems have 2 to 4 samples; pass@k goes up to k = 2.",
        "tiny: the runs are on different problems (2 in A, 3 in B): do not compare their numbers.",
        "tiny: the runs have different numbers of samples a problem: maj@n is not comparable, pass@k is at equal k.",
    ]


def test_more_runs_than_colours_are_pointed_out():
    runs = results(*(scored(HALF, label=str(i)) for i in range(8)))
    assert provenance.notes(runs) == ["There are 8 runs and 7 colours: colours repeat."]
    assert runs[0].color == runs[7].color != runs[1].color


def test_a_run_keeps_its_colour_over_suites():
    suites = [replace(scored(HALF, label=label), suite=suite) for suite in "st" for label in "AB"]
    grouped = by_suite(results(*suites))
    assert [[r.label for r in group] for group in grouped.values()] == [["A", "B"], ["A", "B"]]
    assert [r.color for r in grouped["s"]] == [r.color for r in grouped["t"]]


# Samples


def many():
    """A hundred right, wrong and truncated samples, and one without an answer."""
    return scored({"p1": "R" * 100 + "A" * 100, "p2": "t" * 100 + "-"})


def test_samples_are_drawn_by_their_seed():
    def drawn(seed):
        return [
            (shown.problem.id, shown.sample_index)
            for kind in choose_samples(many(), 3, seed).values()
            for shown in kind
        ]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_every_kind_holds_its_verdicts_and_the_rare_ones_come_first():
    for seed in range(5):
        kinds = choose_samples(many(), 3, seed)
        assert {kind: Counter(shown.verdict for shown in samples) for kind, samples in kinds.items()} == {
            "Right": {"correct": 3},
            "Wrong": {"wrong": 3},
            "No verdict": {"truncated": 2, "no_answer": 1},
        }
    assert choose_samples(many(), 0, 0) == {"Right": [], "Wrong": [], "No verdict": []}


def test_a_shown_sample_carries_problem_answer_and_text():
    text = "x" * 700 + "the end"
    suite = scored({"p1": "t"}, texts={"p1": [text]}, token_count=[None])
    suite = replace(suite, problems={"p1": Problem("p1", "How many?", "7", "integer")})
    (shown,) = choose_samples(suite, 2, 0)["No verdict"]
    assert (shown.problem.answer, shown.extracted, shown.token_count) == ("7", None, None)
    assert shown.is_long and shown.tail == text[-350:] and shown.text == text
    assert not replace(shown, text=text[:700]).is_long
