"""Comparing runs: paired numbers by hand, what is refused and warned of, and the command itself."""

import argparse
import json

import pandas as pd
import pytest
from scored_suites import SUITE, scored

from aer_eval.cli import compare as command
from aer_eval.compare import Change, Crossing, compare_runs, load_runs, markdown, to_json
from aer_eval.errors import UserError
from aer_eval.records import GRADE_COLUMNS, Problem
from aer_eval.sampling.store import SampleStore, write_grades
from aer_eval.sampling.units import Completion

BEFORE = {"p": "Raaa", "q": "RRaa", "r": "aaaa"}
AFTER = {"p": "RRaa", "q": "RRRR", "r": "Raaa"}


def compare(before, after, ks=None, **after_settings):
    runs = [{"tiny": scored(before, "A")}, {"tiny": scored(after, "B", **after_settings)}]
    return compare_runs(runs, ks)


def test_paired_difference_by_hand():
    compared = compare(BEFORE, AFTER).suites[0]
    one = compared.differences[0]
    # 1/4, 2/4, 0 against 2/4, 4/4, 1/4: differences 1/4, 1/2, 1/4 with mean 1/3 and sd sqrt(1/48) = 0.144338.
    assert (one.k, one.baseline, one.other, one.difference) == pytest.approx((1, 0.25, 7 / 12, 1 / 3))
    # t quantile of 2 degrees of freedom: 4.302653; half width 4.302653 * 0.144338 / sqrt(3) = 0.358554.
    assert (one.interval.low, one.interval.high) == pytest.approx((-0.025221, 0.691888), abs=1e-5)
    assert one.p_value == 2 / 8  # all three up: +++ and --- of the 8 patterns
    assert one.p_holm == one.p_value
    # pass@2 of c = 0, 1, 2, 4 of 4 is 0, 1/2, 5/6, 1: differences 1/3, 1/6, 1/2.
    assert compared.differences[1].difference == pytest.approx(1 / 3)
    assert [difference.k for difference in compared.differences] == [1, 2]
    assert [difference.flag for difference in compared.differences] == [None, None]


def test_the_difference_is_signed_from_the_first_run():
    there, back = compare(BEFORE, AFTER).suites[0], compare(AFTER, BEFORE).suites[0]
    assert back.differences[0].difference == -there.differences[0].difference
    assert back.differences[0].interval.low == pytest.approx(-there.differences[0].interval.high)
    assert back.differences[0].p_value == there.differences[0].p_value


def test_only_problems_of_both_runs_count():
    comparison = compare({"p": "Raaa", "q": "RRaa", "r": "RRRR"}, {"p": "RRaa", "q": "RRRR"}, unsampled=["r"])
    (compared,) = comparison.suites
    told = "Problems without a sample in one of the runs, which are left out: 1."
    assert told in markdown(comparison, top=0) and "left out" not in markdown(compare(BEFORE, AFTER), top=0)
    assert (compared.num_problems, compared.left_out) == (2, 1)
    assert compared.differences[0].baseline == pytest.approx((1 / 4 + 2 / 4) / 2)


def test_every_run_counts_with_its_own_number_of_samples():
    compared = compare({"p": "Raaa"}, {"p": "Ra"}, [2]).suites[0]
    assert compared.max_k == 2
    # pass@2: 1 - C(3,2)/C(4,2) = 1/2 and 1 - C(1,2)/C(2,2) = 1.
    assert compared.differences[1].difference == pytest.approx(1 / 2)
    assert compared.differences[1].flag == "k > n/2"
    assert compared.differences[1].interval is None  # one problem


def test_what_changed_most_comes_first():
    compared = compare({**BEFORE, "s": "RRaa"}, {**AFTER, "s": "aRaR"}).suites[0]
    assert compared.changes == (Change("q", 2, 4, 4, 4), Change("p", 1, 4, 2, 4), Change("r", 0, 4, 1, 4))
    assert compared.changes[0].difference == 1 / 2


def test_curves_cross_at_the_exact_k():
    # A: all or nothing, pass@k = 1/2 for every k. B: 1 of 8 each, pass@k = k/8: 3/8 at 3, 4/8 at 4, 5/8 at 5.
    one, each = {"p": "RRRRRRRR", "q": "aaaaaaaa"}, {"p": "Raaaaaaa", "q": "Raaaaaaa"}
    comparison = compare(one, each, [8])
    assert [difference.k for difference in comparison.suites[0].differences] == [1, 8]
    assert comparison.suites[0].crossings == (Crossing(5, "B"),)
    assert "from k = 5 on, B has the higher one (k > n/2: to be read with care)." in markdown(comparison, top=0)
    assert compare(each, one).suites[0].crossings == (Crossing(5, "A"),)


def test_holm_is_over_all_pairs_and_suites_at_one_k():
    runs = [{"tiny": scored(BEFORE, "A")}, {"tiny": scored(AFTER, "B")}, {"tiny": scored(BEFORE, "C")}]
    comparison = compare_runs(runs)
    first, second = comparison.suites
    assert (first.baseline, first.other, second.baseline, second.other) == ("A", "B", "A", "C")
    assert first.differences[0].p_holm == pytest.approx(2 * 2 / 8)
    assert second.differences[0].p_holm == 1
    # Not a number: at a large k, which not every suite reaches, fewer are compared.
    assert "p (Holm): corrected for all comparisons at the same k." in markdown(comparison, top=0)


def test_other_settings_are_warned_of_and_other_models_are_not():
    settings = {
        "sampling": {"temperature": 0.6, "run_seed": 5},
        "grader": "g2",
        "model": {"fingerprint": "f", "root": "r"},
    }
    comparison = compare(BEFORE, AFTER, settings=settings)
    assert comparison.suites[0].warnings == (
        "tiny: grader is None in A, 'g2' in B: a difference may come from it.",
        "tiny: sampling.temperature is 1.0 in A, 0.6 in B: a difference may come from it.",
    )
    assert markdown(comparison, 3).startswith("> Warning: tiny: grader is None in A")
    assert compare(BEFORE, AFTER).suites[0].warnings == ()


def test_a_model_that_is_run_otherwise_is_warned_of():
    settings = {"model": {"fingerprint": "f", "engine_args": {"quantization": "fp8"}}}
    assert compare(BEFORE, AFTER, settings=settings).suites[0].warnings == (
        "tiny: model.engine_args.quantization is None in A, 'fp8' in B: a difference may come from it.",
    )


def test_other_problems_under_one_name_are_refused():
    with pytest.raises(UserError, match=r"^tiny: its checksum is 'c0ffee' in A, 'bad' in B: not the same problems"):
        compare(BEFORE, AFTER, settings={"suite": {**SUITE, "checksum": "bad"}})


def test_one_id_for_two_problems_is_refused():
    before, after = scored(BEFORE, "A"), scored(AFTER, "B")
    after.problems["q"] = Problem("q", "another", "R", "integer")
    with pytest.raises(UserError, match=r"^tiny: problem 'q' has another problem in A than in B: not the same"):
        compare_runs([{"tiny": before}, {"tiny": after}])


def test_runs_without_anything_in_common_are_refused():
    with pytest.raises(UserError, match=r"^no suite in common: A has tiny; B has other"):
        compare_runs([{"tiny": scored(BEFORE, "A")}, {"other": scored(AFTER, "B")}])
    with pytest.raises(UserError, match=r"^tiny: A and B share no sampled problem"):
        compare({"p": "Ra"}, {"q": "Ra"})
    with pytest.raises(UserError, match=r"^--k 5: there is a problem with 4 samples"):
        compare(BEFORE, AFTER, [5])


def save(folder, outcomes, label, suite="tiny"):
    """A graded store on the disk."""
    suite_of_samples = scored(outcomes, label)
    problems = [vars(Problem(name, "?", "R", "integer")) | {"metadata": {}} for name in outcomes]
    manifest = {"label": label, "suite": {**SUITE, "name": suite}, "problems": problems}
    rows = suite_of_samples.samples
    samples = [
        Completion(row.problem_id, row.sample_index, row.seed, row.text, 1, "stop") for row in rows.itertuples()
    ]
    with SampleStore(folder, manifest) as store:
        store.append(samples, "fake", "model", "params")
    write_grades(folder, "grader", pd.DataFrame(rows[list(GRADE_COLUMNS)]))
    return folder


def run(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["compare", *map(str, arguments)])
    return args.run(args)


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys):
    save(tmp_path / "before" / "tiny", BEFORE, "base")
    save(tmp_path / "before" / "extra", BEFORE, "base", suite="extra")
    save(tmp_path / "after", AFTER, "tuned")
    file = tmp_path / "out.json"
    assert run(tmp_path / "before", tmp_path / "after", "--k", "2", "4", "--top", "1", "--json", file) == 0
    printed = capsys.readouterr().out
    assert "| tiny | base | tuned | 3 | pass@1 | 0.250 | 0.583 | +0.333 [-0.025, +0.692] | 0.25 | 0.25 |" in printed
    assert "| tiny | base | tuned | 3 | pass@4 * |" in printed
    assert "\n\\* k > n/2: a mean of few, overlapping draws" in printed
    assert "> Not compared: extra is only in base." in printed
    assert "Problems that changed: 3. Most of all:" in printed
    assert "| q | 2 of 4 | 4 of 4 | +0.500 |" in printed
    assert "| r |" not in printed
    written = json.loads(file.read_text())
    assert [difference["k"] for difference in written["suites"][0]["differences"]] == [1, 2, 4]
    assert len(written["suites"][0]["changes"]) == 3
    assert written["left_out"] == ["extra is only in base"]


def test_runs_of_one_label_are_told_apart_by_their_paths(tmp_path):
    folders = [save(tmp_path / name, BEFORE, "model") for name in ("a", "b")]
    first, second = load_runs(folders)
    assert (first["tiny"].label, second["tiny"].label) == (str(tmp_path / "a"), str(tmp_path / "b"))
    with pytest.raises(UserError, match="given twice"):
        load_runs([folders[0], folders[0]])
    with pytest.raises(UserError, match=r"holds two stores of tiny; give one store, such as .*/b$"):
        load_runs([tmp_path])


def test_bad_flags_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match=r"^--top must be at least 0"):
        run("nowhere", "either", "--top", "-1")
    with pytest.raises(UserError, match=r"^--json .*: no folder .*; make it or give another file"):
        run("nowhere", "either", "--json", tmp_path / "missing" / "out.json")


def test_json_holds_no_unknown_numbers():
    written = to_json(compare({"p": "Raaa"}, {"p": "Ra"}))
    assert "interval" not in json.loads(json.dumps(written, allow_nan=False))["suites"][0]["differences"][0]
