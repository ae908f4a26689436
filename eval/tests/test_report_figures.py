"""The figures: what they draw is what was measured."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from scored_suites import scored

from aer_eval.report import figures
from aer_eval.report.results import to_results

EIGHT = {"p1": "RRRRAAAA", "p2": "RRAAAAAA", "p3": "AAAAAAAA"}


def two_runs():
    """Two runs on one suite; B lacks p1."""
    better = {"p2": "RRRRRRRR", "p3": "RRRRAAAA"}
    return to_results([scored(EIGHT), scored(better, label="B", unsampled=["p1"])])


def test_pass_at_k_is_solid_up_to_half_of_the_samples_and_dashed_above():
    runs = two_runs()
    figure = figures.pass_at_k(runs)
    ax = figure.axes[0]
    lines = [(line.get_linestyle(), line.get_color(), line.get_xdata().tolist()) for line in ax.lines]
    assert lines == [(style, run.color, ks) for run in runs for style, ks in (("-", [1, 2, 4]), ("--", [4, 8]))]
    assert ax.lines[0].get_ydata()[0] == pytest.approx(0.25)  # (4/8 + 2/8 + 0) / 3
    assert ax.lines[1].get_ydata()[-1] == pytest.approx(2 / 3)  # all eight drawn: p1 and p2 are solved
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == [
        "A",
        "B",
        "95 % over problems like these",
        "k > n/2",
    ]


def test_the_band_is_the_interval_over_problems():
    (run,) = to_results([scored(EIGHT)])
    (band,) = figures.pass_at_k([run]).axes[0].collections
    drawn = band.get_paths()[0].vertices
    for k in (1, 2, 4, 8):
        bounds = run.summary.estimates[f"pass@{k}"].over_problems
        heights = sorted(set(drawn[drawn[:, 0] == k, 1]))
        assert (heights[0], heights[-1]) == pytest.approx((bounds.low, bounds.high))


def test_a_suite_with_one_sample_a_problem_has_no_curve():
    one = scored({"p1": "R", "p2": "A"})
    assert figures.pass_at_k(to_results([one])) is None
    figure = figures.pass_at_k(to_results([one, replace(scored(EIGHT), suite="other")]))
    assert [ax.get_title() for ax in figure.axes] == ["other"]


def test_the_heat_map_shows_each_share_with_the_hardest_problem_first():
    ax = figures.heat_map(two_runs()).axes[0]
    (mesh,) = ax.collections
    cells = mesh.get_array().reshape(2, 3)
    # Means over the runs: p3 (0 + 1/2) / 2, p1 1/2 in A alone, p2 (1/4 + 1) / 2.
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["p3", "p1", "p2"]
    assert cells[0].tolist() == [0, 0.5, 0.25]
    assert cells[1].tolist() == [0.5, None, 1.0], "masked, so that the ground shows"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["A", "B"]


def test_a_big_suite_is_binned_and_keeps_its_mean():
    solved = np.random.default_rng(0).integers(0, 5, 250)
    (run,) = to_results([scored({f"p{i}": "R" * c + "A" * (4 - c) for i, c in enumerate(solved)})])
    ax = figures.heat_map([run]).axes[0]
    (mesh,) = ax.collections
    cells = mesh.get_array().ravel()
    edges = mesh.get_coordinates()[0, :, 0]
    assert (len(cells), edges[0], edges[-1]) == (84, 0, 250)  # three problems a cell
    assert np.average(cells, weights=np.diff(edges)) == pytest.approx(solved.mean() / 4)
    assert (np.diff(cells) >= 0).all()
    assert ax.get_xlabel() == "problems, hardest first (a cell is the mean of 3)"


def test_length_histograms_together_hold_every_sample_once():
    (run,) = to_results([scored(EIGHT, token_count=[*range(1, 24), None])])
    left, right = figures.lengths([run]).axes
    right_share, other_share = (ax.patches[0].get_data().values.sum() for ax in (left, right))
    assert right_share == pytest.approx(6 / 23)
    assert other_share == pytest.approx(17 / 23)


def test_without_token_counts_there_is_no_length_figure():
    assert figures.lengths(to_results([scored(EIGHT)])) is None


def test_verdict_bars_are_shares_that_fill_the_bar():
    (run,) = to_results([scored({"p1": "RRAt", "p2": "R---"})])
    figure = figures.verdicts([run])
    widths = {to_rgba(bar.get_facecolor()): bar.get_width() for bar in figure.axes[0].patches}
    shares = {name: widths[to_rgba(color)] for name, color in figures.VERDICTS.items()}
    assert shares == {
        "correct": 3 / 8,
        "wrong": 1 / 8,
        "no_answer": 3 / 8,
        "truncated": 1 / 8,
        "unparsed": 0,
        "timeout": 0,
        "crash": 0,
    }
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == [
        "correct",
        "wrong",
        "no answer",
        "truncated",
    ]


def test_every_figure_becomes_a_picture_and_settings_are_left_alone():
    runs = to_results([scored(EIGHT, label="_x $y$", token_count=[*range(24)])])
    drawings = figures.draw_all(runs)
    assert [drawing.key for drawing in drawings] == [chart.key for chart in figures.CHARTS]
    assert all(drawing.png.startswith(b"\x89PNG\r\n\x1a\n") for drawing in drawings)
    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]
