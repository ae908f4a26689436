"""What `aer-study` makes of finished runs: means, differences, the frontier over temperatures, pictures."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aer_eval.errors import UserError
from aer_openrlhf.report.runs import load_run
from aer_openrlhf.study import figures, results, tables
from aer_openrlhf.study.definition import Run
from aer_openrlhf.study.frontier import distance, distances, frontier, shown_ks


def rows(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"task": "sums", "arm": "plain", "temperature": 1.0, **columns})


def test_mean_and_standard_deviation_over_seeds() -> None:
    """0.2, 0.4 and 0.9: mean 0.5, squared deviations 0.09 + 0.01 + 0.16 = 0.26, over n - 1 = 2: 0.13."""
    line = tables.summary(rows(seed=[1, 2, 3], **{"pass@1": [0.2, 0.4, 0.9]})).iloc[0]
    assert line["pass@1", "mean"] == pytest.approx(0.5)
    assert line["pass@1", "std"] == pytest.approx(0.13**0.5)
    assert line["seed", "count"] == 3
    assert "| plain | 3 | 0.500 ± 0.361 |" in tables.markdown(
        rows(seed=[1, 2, 3], **{"pass@1": [0.2, 0.4, 0.9]}), "", "plain"
    )


def test_each_seed_has_a_line_before_the_means() -> None:
    given = rows(seed=[1, 2], num_prompts=20, num_samples=8, **{"pass@1": [0.2, 0.4]})
    told = tables.markdown(given, "", "plain", each_seed=True)
    assert "## sums, temperature 1, 20 prompts, 8 samples" in told
    assert "| arm | seed | pass@1 |\n| --- | --- | --- |\n| plain | 1 | 0.200 |\n| plain | 2 | 0.400 |" in told
    assert "| plain | mean of 2 | 0.300 ± 0.141 |" in told


def test_final_reward_and_entropy_are_means_of_the_last_twenty_steps(tmp_path: Path) -> None:
    early, late = ({"aer/entropy": entropy, "rollout/reward_mean": 1 - entropy} for entropy in (0.8, 0.2))
    steps = [{"step": step, "aer/entropy_target": 0.4, **(early if step <= 10 else late)} for step in range(1, 31)]
    steps[9]["aer/entropy_hard"], steps[19]["aer/entropy_hard"], steps[29]["aer/entropy_hard"] = 9.0, 1.0, 2.0
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, steps)))
    found = results.final_figures(load_run(tmp_path), ["aer/entropy_hard", "aer/alpha"])
    assert (found["aer/entropy_hard"], found["aer/alpha"]) == (1.5, None)
    assert found["train_reward"] == 0.8
    assert (found["entropy_over_initial"], found["entropy_over_target"]) == (0.25, 0.5)


def test_the_whole_page() -> None:
    """Tasks and arms in the order of the rows. Differences 0.1 and 0.3: 0.2 +- 12.706 * 0.1; 0.3 - 0.1; 0.5 - 0.4."""
    given = rows(
        arm=["plain", "plain", "zeta", "zeta", "late"],
        seed=[1, 2, 1, 2, 2],
        num_prompts=20,
        num_samples=[8, 8, 8, 8, None],
        **{"pass@1": [0.2, 0.4, 0.3, 0.7, 0.5], "aer/alpha": [0.1, 0.1, None, 0.3, None]},
    )
    other = rows(seed=[1], **{"pass@1": [0.25]}).assign(task="make", temperature=None)
    told = tables.markdown(pd.concat([given, other], ignore_index=True), "aer-study table", "plain")
    assert (
        told
        == """Made by `aer-study table`.

Mean ± standard deviation over seeds (n - 1); in brackets how many have the figure, where not all do.

## sums, temperature 1, 20 prompts

| arm | seeds | pass@1 | aer/alpha |
| --- | --- | --- | --- |
| plain | 2 | 0.300 ± 0.141 | 0.100 ± 0.000 |
| zeta | 2 | 0.500 ± 0.283 | 0.300 [1] |
| late | 1 | 0.500 | – |

Difference from plain of the same seed, with the 95 % t interval of the mean over seeds.

| arm | seeds | pass@1 | aer/alpha |
| --- | --- | --- | --- |
| zeta | 2 | +0.200 (-1.071 to +1.471) | +0.200 [1] |
| late | 1 | +0.100 | – |

## make

| arm | seeds | pass@1 | aer/alpha |
| --- | --- | --- | --- |
| plain | 1 | 0.250 | – |
"""
    )


def test_a_metric_of_the_study_is_a_column() -> None:
    given = rows(seed=[1, 2], **{"pass@1": [0.2, 0.4], "aer/alpha": [0.1, 0.3], "aer/coef_hard": [None, None]})
    given["ppo_kl"] = 0.5  # not every name has a slash
    told = tables.markdown(given, "", "plain")
    assert "| arm | seeds | pass@1 | aer/alpha | ppo_kl |" in told and "| 0.200 ± 0.141 |" in told


def test_one_seed_has_no_standard_deviation() -> None:
    assert "| plain | 1 | 0.200 |" in tables.markdown(rows(seed=[1], **{"pass@1": [0.2]}), "", "plain")


def test_differences_are_paired_by_seed_and_have_t_intervals() -> None:
    """Differences 0.1, 0.2 and 0.3: mean 0.2, standard error 0.1 / sqrt 3, t of 2 degrees 4.3027: 0.2 +- 0.2484."""
    arms = [*["plain"] * 3, *["other"] * 4, "start"]
    given = pd.DataFrame(
        {
            "task": "sums",
            "arm": arms,
            "seed": [1, 2, 3, 3, 2, 1, 9, 0],
            "temperature": 1.0,
            "pass@1": [0.2, 0.4, 0.5, 0.8, 0.6, 0.3, 0.9, 0.1],
        }
    )
    found = tables.differences(given, "plain", ["pass@1"])
    assert list(zip(found["arm"], found["seed"], strict=True)) == [("other", 3), ("other", 2), ("other", 1)]
    assert list(found["pass@1"]) == pytest.approx([0.3, 0.2, 0.1])
    told = tables.markdown(given, "", "plain")
    assert "| other | 3 | +0.200 (-0.048 to +0.448) |" in told and "| start | – | 0.100 |" in told
    assert tables.differences(given, "third", ["pass@1"]).empty


def test_merge_adds_rows_and_refuses_two_that_differ(tmp_path: Path) -> None:
    here = rows(seed=[1, 2], train_seconds=[5.0, float("nan")], **{"pass@1": [0.2, 1 / 3]})
    there = rows(seed=[2, 3], train_seconds=[None, None], **{"pass@1": [1 / 3, 0.9]})
    results.write_csv(there, tmp_path / "there.csv")
    merged = results.merge(here, [tmp_path / "there.csv"])
    assert list(merged["seed"]) == [1, 2, 3]
    results.write_csv(rows(seed=[1], **{"pass@1": [0.3]}), tmp_path / "other.csv")
    with pytest.raises(UserError, match="two different rows for sums/plain/seed-1"):
        results.merge(here, [tmp_path / "other.csv"])
    for columns in ("a,b", "task,arm,seed,pass@1"):
        (tmp_path / "notes.csv").write_text(f"{columns}\n{','.join('1' * len(columns.split(',')))}\n")
        with pytest.raises(UserError, match="not a table"):
            results.merge(here, [tmp_path / "notes.csv"])


def test_merged_rows_complete_each_other_and_the_figures_that_differ_are_named(tmp_path: Path) -> None:
    """The earlier CSV has another metric and no wall time; an arm called None stays itself."""
    results.write_csv(rows(seed=[1], arm="None", **{"pass@1": [0.25], "aer/alpha": [0.1]}), tmp_path / "early.csv")
    here = rows(seed=[1, 2], arm="None", train_seconds=[5.0, 6.0], **{"pass@1": [0.25, 0.5]})
    merged = results.merge(here, [tmp_path / "early.csv"])
    assert merged["arm"].tolist() == ["None", "None"]
    assert merged.loc[0, ["pass@1", "train_seconds", "aer/alpha"]].tolist() == [0.25, 5.0, 0.1]
    assert merged.loc[1, ["pass@1", "train_seconds"]].tolist() == [0.5, 6.0] and np.isnan(merged.loc[1, "aer/alpha"])
    with pytest.raises(UserError, match=r"sums/None/seed-1 at temperature 1\.0: they differ in pass@1; remove one"):
        results.merge(here.assign(**{"pass@1": 0.3}), [tmp_path / "early.csv"])


def test_a_mean_over_fewer_seeds_than_the_line_tells_says_so() -> None:
    """The wall time of an interrupted run is not known: 10 and 30 are a mean of 20 over two of three."""
    one = rows(seed=[1, 2, 3], train_seconds=[10.0, None, 30.0], **{"pass@1": [0.5, 0.5, 0.5]})
    other = rows(seed=[1, 2, 3], arm="other", distinct_correct=[1.0, None, None], **{"pass@1": [0.6, 0.6, 0.6]})
    told = tables.markdown(pd.concat([one.assign(distinct_correct=0.5), other]), "", "plain")
    assert "| plain | 3 | 0.500 ± 0.000 | 0.50 ± 0.00 | 20 ± 14 [2] |" in told
    assert "| other | 3 | +0.100 (+0.100 to +0.100) | +0.50 [1] |" in told


def test_h_0_is_the_anchor_where_there_is_one(tmp_path: Path) -> None:
    """An anchor over several steps ends at 0.6, not at the first 0.8; the last twenty entropies are 0.3."""
    steps = [{"step": step, "aer/entropy": 0.8 if step == 1 else 0.3} for step in range(1, 31)]
    anchored = [{**row, "aer/entropy_initial": 0.8 if row["step"] == 1 else 0.6} for row in steps]
    for written, expected in ((steps, 0.375), (anchored, 0.5)):  # 0.3 / 0.8 and 0.3 / 0.6
        (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, written)))
        assert results.final_figures(load_run(tmp_path))["entropy_over_initial"] == expected


def test_a_task_without_evaluations_has_no_frontier() -> None:
    evaluated = rows(seed=[1], **{"pass@1": [0.2], "pass@4": [0.4]})
    bare = rows(seed=[1], **{"pass@1": [None], "pass@4": [None]}).assign(task="bare")
    both = pd.concat([evaluated, bare])
    assert figures.frontier(both[both["task"] == "sums"]) is not None
    assert figures.frontier(both[both["task"] == "bare"]) is None
    assert figures.frontier(both[both["task"] == "not yet"]) is None


def test_an_arm_has_a_colour_of_its_own_and_the_same_in_both_pictures(tmp_path: Path) -> None:
    """Nine arms, more than aer-report has colours, behind a row of the start model."""
    names = [f"arm{place}" for place in range(9)]
    runs = [Run("sums", name, 1, tmp_path / name, {}, ("train",), ()) for name in names]
    for run in runs:
        run.folder.mkdir()
        (run.folder / "metrics.jsonl").write_text('{"step": 1, "aer/entropy": 0.5}\n')
    arms = ["start", *names]
    curves = figures.entropy(runs, arms)
    points = figures.frontier(rows(seed=1, **{"pass@1": 0.2, "pass@4": 0.4}, arm=arms))
    assert curves is not None and points is not None
    of_curves, of_points = ([line.get_color() for line in f.legends[0].get_lines()] for f in (curves, points))
    assert len(set(of_curves)) == 9 and of_curves == of_points[1:10]


def curve(arm: str, pass_1: list[float], pass_4: list[float]) -> pd.DataFrame:
    temperatures = [0.5 + place for place in range(len(pass_1))]
    return pd.DataFrame({"arm": arm, "seed": 1, "temperature": temperatures, "pass@1": pass_1, "pass@4": pass_4})


def test_rows_come_in_the_order_of_the_study() -> None:
    given = pd.DataFrame(
        {
            "task": ["b", "a", "a", "a", "a"],
            "arm": ["plain", "old", "other", "plain", "plain"],
            "seed": [1, 1, 1, 2, 1],
            "temperature": [1.0, 1.0, 1.0, 0.5, 1.0],
        }
    )
    found = results.in_order(given, ["a", "b"], ["plain", "other"])
    assert list(zip(found["task"], found["arm"], found["seed"], strict=True)) == [
        ("a", "plain", 1),
        ("a", "plain", 2),
        ("a", "other", 1),
        ("a", "old", 1),
        ("b", "plain", 1),
    ]


def test_the_frontier_is_the_highest_pass_at_k_for_at_least_a_pass_at_1() -> None:
    """The curve (0.4, 0.5) - (0.6, 0.7) - (0.2, 0.9): from 0.6 back to 0.2 it rises by 0.2 over 0.4."""
    levels = np.array([0.1, 0.2, 0.4, 0.5, 0.6, 0.7])
    found = frontier([0.4, 0.6, 0.2], [0.5, 0.7, 0.9], levels)
    np.testing.assert_allclose(found, [0.9, 0.9, 0.8, 0.75, 0.7, np.nan])


def test_a_method_that_only_moves_along_the_curve_has_no_distance() -> None:
    """On the line pass@4 = 1 - pass@1 both; the other one 0.1 above it over their common range 0.3 to 0.5."""
    reference, along = curve("plain", [0.6, 0.5, 0.3], [0.4, 0.5, 0.7]), curve("along", [0.5, 0.2], [0.5, 0.8])
    above = curve("above", [0.5, 0.3], [0.6, 0.8])
    start = curve("start", [0.5, 0.3], [0.1, 0.1])
    found = distances(pd.concat([reference, along, above, start]), "plain").set_index("arm")["pass@4"]
    assert list(found.index) == ["along", "above"]
    assert list(distances(reference, "plain").columns) == ["arm", "seed", "pass@4"]
    assert found["along"] == pytest.approx(0, abs=1e-12) and found["above"] == pytest.approx(0.1)


def test_an_arm_beyond_all_of_the_reference_is_above_it() -> None:
    """At pass@1 from 0.3 to 0.6 the reference has 0.7 to 0.4, 0.55 on average; the arm has 0.95 at all of them."""
    reference, beyond = curve("plain", [0.6, 0.5, 0.3], [0.4, 0.5, 0.7]), curve("beyond", [0.8, 0.7], [0.9, 0.95])
    assert distance(beyond, reference, 4) == pytest.approx(0.4)


def test_an_arm_of_one_temperature_is_compared_up_to_it() -> None:
    """0.7 at a pass@1 of 0.4 or less; over 0.3 to 0.4 the reference has 0.7 to 0.6, 0.65 on average."""
    assert distance(curve("one", [0.4], [0.7]), curve("plain", [0.6, 0.3], [0.4, 0.7]), 4) == pytest.approx(0.05)


def test_temperatures_may_come_in_any_order() -> None:
    """The reference has 0.7 to 0.6 over 0.3 to 0.5 and 0.6 to 0.4 over 0.5 to 0.6: 0.6 on average."""
    reference, beyond = curve("plain", [0.6, 0.5, 0.3], [0.4, 0.6, 0.7]), curve("beyond", [0.7], [0.9])
    assert distance(beyond, reference.iloc[[1, 0, 2]], 4) == pytest.approx(0.3, abs=1e-3)
    above = reference.assign(**{"pass@4": reference["pass@4"] + 0.1})
    assert distance(above.iloc[[1, 0, 2]], reference, 4) == pytest.approx(0.1)


def test_the_four_largest_k_are_compared() -> None:
    passes = {f"pass@{k}": [0.5] for k in (16, 1, 2, 64, 4, 8)}
    assert shown_ks(pd.DataFrame(passes)) == [4, 8, 16, 64]
    assert shown_ks(pd.DataFrame(passes).drop(columns="pass@1")) == []


def test_an_arm_that_reaches_no_pass_at_1_of_the_reference_has_no_distance() -> None:
    reached, lost = curve("a", [0.5, 0.4], [0.5, 0.6]), curve("a", [0.3, 0.2], [0.5, 0.6]).assign(seed=2)
    reference = curve("b", [0.6, 0.4], [0.5, 0.6])
    assert distance(lost, reference, 4) is None
    told = tables.markdown(
        pd.concat([reference, reference.assign(seed=2), reached, lost]).assign(task="sums"), "", "b"
    )
    assert "| a | 1 of 2 | " in told and "A run that reaches none of them is not in the mean." in told
