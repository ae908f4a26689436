"""The report: what is read from run folders, what is drawn, what the page says, and how it fails."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from aer_eval.report.canvas import png
from aer_openrlhf.report import figures
from aer_openrlhf.report.canvas import smooth, smoothing_window
from aer_openrlhf.report.cli import main
from aer_openrlhf.report.html import CHARTS, notes, result_rows, setup_rows, standard_error
from aer_openrlhf.report.runs import RunError, load_run, load_runs

AER_ARGS = {
    "algo": {"advantage": {"estimator": "group_norm"}},
    "actor": {"entropy_coef": None},
    "train": {"seed": 1, "max_epochs": 1},
    "logger": {"wandb": {"key": "very-secret"}},
    "ckpt": {"output_dir": "/somewhere/aer"},
    "aer": {"rho": 0.5, "tau": 0.5, "alpha_max": 0.1, "run_dir": "/somewhere/run"},
}
PASS_AT_K = [
    {
        "label": label,
        "checkpoint": "ckpt",
        "num_prompts": 100,
        "num_samples": 16,
        "temperature": 1.0,
        "pass_at_k": {"1": one, "4": four, "16": sixteen},
        "distinct_correct": 2.1,
        "entropy": 0.51,
    }
    for label, one, four, sixteen in [("before", 0.34, 0.72, 0.94), ("after", 0.6, 0.8, 0.9)]
]


def write_run(
    folder: Path,
    rows: Iterable[dict[str, Any]],
    config: dict[str, Any] | None = None,
    evaluations: list[dict[str, Any]] | None = None,
    tail: str = "",
) -> Path:
    """A run folder; `tail` is what a killed process left behind the last whole line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    if config is not None:
        (folder / "run_config.json").write_text(json.dumps(config))
    if evaluations is not None:
        (folder / "pass_at_k.json").write_text(json.dumps(evaluations))
    return folder


def full_row(step: int, initial: float = 0.5) -> dict[str, Any]:
    """A row with every metric that a figure knows."""
    entropy = initial * (0.5 + 0.5 / step)
    row: dict[str, Any] = {"step": step, "aer/entropy": entropy, "aer/entropy_initial": initial}
    row |= {"aer/entropy_target": 0.5 * initial, "aer/alpha": 0.002 * step, "aer/coef_mean": 0.001 * step}
    row |= {"aer/weight_mean": 0.4, "rollout/reward_mean": 0.3 + 0.01 * step, "aer/group_accuracy": 0.3 + 0.01 * step}
    row |= {"aer/share_hard": 0.5, "aer/share_middle": 0.3, "aer/share_easy": 0.2}
    row |= {"aer/all_wrong_share": 0.2, "aer/all_right_share": 0.1}
    row |= {f"aer/coef_{level}": 0.01 for level in figures.DIFFICULTY}
    row |= {f"aer/entropy_{level}": entropy for level in figures.DIFFICULTY}
    row |= {name: entropy + 0.01 * place for place, name in enumerate(figures.DECILES)}
    row |= dict.fromkeys(figures.CONCENTRATION, 0.3) | dict.fromkeys(figures.HEALTH, 0.1)
    row |= {"eval/eval_num_samples": 64.0, "eval/eval_default_pass1": 0.4, "eval/eval_default_pass8": 0.7}
    return row | dict.fromkeys(figures.TIMING, 0.2)


def colors(picture: bytes) -> int:
    """The number of different colours in a PNG."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    return len(image.getcolors(maxcolors=image.width * image.height) or ())


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An AER run with everything in it, and a GRPO run: another initial entropy, no controller, no evaluation."""
    root = tmp_path_factory.mktemp("runs")
    rows = [full_row(step) for step in range(1, 41)]
    rows += [{"step": 20, "eval/eval_default_pass1": 0.4}, {"step": 40, "eval/eval_default_pass1": 0.5}]
    aer = write_run(
        root / "aer", rows, {"method": "aer", "args": AER_ARGS, "versions": {"openrlhf": "0.11.2"}}, PASS_AT_K
    )
    controller = {*figures.CONTROL, *figures.COEFFICIENTS, "aer/entropy_target"}
    rows = [{k: v for k, v in full_row(step, 0.6).items() if k not in controller} for step in range(1, 31)]
    args = AER_ARGS | {"train": {"seed": 2, "max_epochs": 1}, "ckpt": {"output_dir": "/somewhere/grpo"}}
    return [aer, write_run(root / "grpo", rows, {"method": "grpo", "args": args})]


@pytest.fixture(scope="module")
def report(two_runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report on both runs."""
    out = tmp_path_factory.mktemp("report")
    assert main([*map(str, two_runs), "--out", str(out), "--title", "AER & GRPO"]) == 0
    return out


# Reading


def test_rows_of_one_step_are_merged_and_the_later_value_wins(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"step": 1, "reward": 0.1, "aer/entropy": 0.5},
        {"step": 2, "reward": 0.2, "policy_loss": 1.0},
        {"step": 3, "reward": 0.3},
        {"step": 2, "reward": 0.9},  # resumed from step 1
        {"step": 1, "eval/eval_default_pass1": 0.4},
    ]
    run = load_run(write_run(tmp_path / "run", rows))
    assert run.metrics.index.tolist() == [1, 2, 3]
    assert run.series("reward").tolist() == [0.1, 0.9, 0.3]
    assert run.series("policy_loss").to_dict() == {2: 1.0}
    assert run.series("eval/eval_default_pass1").to_dict() == {1: 0.4}


def test_unreadable_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"step": 1, "reward": 0.1}, {"reward": 0.2}, {"step": "2", "reward": 0.2}]
    run = load_run(write_run(tmp_path / "run", rows, tail='[1]\n{"step": 2, "rew'))
    assert run.torn_lines == 4
    assert run.series("reward").to_dict() == {1: 0.1}


def test_what_is_not_a_finite_number_is_blank(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"step": 1, "policy_loss": 1.0, "note": "x", "flag": True, "reward": None},
        {"step": 2, "policy_loss": float("nan")},
        {"step": 3, "policy_loss": float("inf")},
    ]
    run = load_run(write_run(tmp_path / "run", rows))
    assert list(run.metrics) == ["policy_loss"]
    assert run.series("policy_loss").to_dict() == {1: 1.0}
    assert run.non_finite == ("policy_loss",)


def test_series_takes_the_first_metric_that_was_logged(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", [{"step": 1, "reward": 0.1}]))
    assert run.series("rollout/reward_mean", "reward").tolist() == [0.1]
    assert run.series("aer/alpha").empty


def test_runs_of_one_name_are_told_apart_by_their_parents(tmp_path: Path) -> None:
    row = [{"step": 1, "reward": 0.1}]
    paths = [write_run(tmp_path / parent / "run", row) for parent in ("a", "b")]
    assert [run.name for run in load_runs([*paths, paths[0]])] == ["a/run", "b/run"]
    assert [run.name for run in load_runs(paths[:1])] == ["run"]


def test_evaluations_are_sorted_by_k(tmp_path: Path) -> None:
    evaluations = [{"label": "after", "pass_at_k": {"16": 0.9, "4": 0.8}, "unknown": 1}]
    run = load_run(write_run(tmp_path / "run", [{"step": 1, "reward": 0.1}], evaluations=evaluations))
    assert list(run.evaluations[0].pass_at_k.items()) == [(4, 0.8), (16, 0.9)]
    assert run.evaluations[0].temperature is None


# Failing


@pytest.mark.parametrize(
    "content", [None, "", "\n\n", '{"step": 1, "rew', '{"step": 1}\n', '{"step": 1, "loss": NaN}\n']
)
def test_a_folder_with_nothing_to_report_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    good = write_run(tmp_path / "good", [{"step": 1, "reward": 0.1}])
    bad = tmp_path / "bad"
    bad.mkdir()
    if content is not None:
        (bad / "metrics.jsonl").write_text(content)
    assert main([str(good), str(bad), "--out", str(tmp_path / "out")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert str(bad / "metrics.jsonl") in errors[0]
    assert ";" in errors[0], "the mend follows the complaint"
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in good.iterdir()) == ["metrics.jsonl"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run_config.json", "{"),
        ("run_config.json", "[]"),
        ("run_config.json", '{"args": 1}'),
        ("pass_at_k.json", "{"),
        ("pass_at_k.json", '{"label": "after"}'),
        ("pass_at_k.json", '[{"pass_at_k": {"1": 0.5}}]'),
        ("pass_at_k.json", '[{"label": "after", "pass_at_k": {"one": 0.5}}]'),
    ],
)
def test_a_broken_side_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    folder = write_run(tmp_path / "run", [{"step": 1, "reward": 0.1}])
    (folder / name).write_text(content)
    with pytest.raises(RunError, match=re.escape(str(folder / name)) + ".*mend or remove it"):
        load_run(folder)


def test_an_out_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", [{"step": 1, "reward": 0.1}])
    (tmp_path / "out").write_text("")
    assert main([str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "--out" in capsys.readouterr().err


# Figures


def test_every_figure_is_a_picture_with_something_in_it(report: Path) -> None:
    pictures = sorted(path.stem for path in (report / "png").iterdir())
    assert pictures == sorted(chart.key for chart in CHARTS)
    for path in (report / "png").iterdir():
        picture = path.read_bytes()
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert colors(picture) > 10, path.name


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_a_figure_without_its_metrics_is_left_out(tmp_path: Path, chart: Any) -> None:
    run = load_run(write_run(tmp_path / "run", [{"step": 1, "unrelated": 0.1}]))
    assert chart.draw([run]) is None
    assert chart.lacks(run)


@pytest.mark.parametrize("chart", [chart for chart in CHARTS if chart.metrics], ids=lambda chart: chart.key)
def test_every_figure_can_be_drawn_from_one_step(tmp_path: Path, chart: Any) -> None:
    run = load_run(write_run(tmp_path / "run", [full_row(1)]))
    assert not chart.lacks(run)
    assert colors(png(chart.draw([run]))) > 1


def test_an_absent_metric_is_a_gap_and_never_zero(tmp_path: Path) -> None:
    rows = [{"step": step, "policy_loss": 1.0} for step in range(1, 11)]
    rows = [row | ({} if 4 <= row["step"] <= 7 else {"reward": 0.5}) for row in rows]
    figure = figures.reward([load_run(write_run(tmp_path / "run", rows))])
    assert figure is not None
    (line,) = figure.axes[0].lines
    drawn = np.asarray(line.get_ydata(), dtype=float)
    assert np.isnan(drawn).any(), "the line breaks between steps 3 and 8"
    assert set(drawn[~np.isnan(drawn)]) == {0.5}


def test_entropy_is_relative_only_where_runs_started_apart(two_runs: list[Path]) -> None:
    runs = load_runs(two_runs)
    together, apart = figures.entropy(runs[:1]), figures.entropy(runs)
    assert together is not None and apart is not None
    assert len(together.axes) == 1
    assert [ax.get_ylabel() for ax in apart.axes] == [
        "policy entropy (nats per token)",
        "share of the initial entropy H₀",
    ]
    shares = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in apart.axes[1].lines])
    assert np.nanmax(shares) == pytest.approx(1.0)


def test_a_target_or_start_of_zero_divides_nothing(tmp_path: Path) -> None:
    rows = [
        {"step": step, "aer/entropy": 0.1, "aer/entropy_target": 0.0, "aer/entropy_initial": 0.0} for step in (1, 2)
    ]
    run = load_run(write_run(tmp_path / "run", rows))
    figure = figures.entropy([run])
    assert figure is not None
    assert png(figure)
    assert [row.label for row in result_rows([run])] == [
        "logged steps",
        "entropy",
        "target entropy H*",
        "initial entropy H₀",
    ]


def test_held_out_sets_are_told_apart(tmp_path: Path) -> None:
    rows = [{"step": step, "eval/eval_aime_pass1": 0.1, "eval/eval_math_pass1": 0.5} for step in (10, 20)]
    figure = figures.reward([load_run(write_run(tmp_path / "run", rows))])
    assert figure is not None
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["run", "aime", "math"]
    assert [line.get_marker() for line in figure.axes[0].lines] == ["o", "s"]


def test_evaluations_during_training_are_read_from_their_own_file_and_drawn_by_k(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [{"step": step, "reward": 0.1} for step in (1, 2, 3, 4)])
    evaluation = {f"eval/eval_aime_pass{k}": k / 100 for k in (1, 2, 4, 8, 16)}
    lines = [{"step": 2, "eval/eval_num_samples": 32, **evaluation}, {"step": 4, "eval/eval_num_samples": 32}]
    (folder / "eval.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = load_run(folder)
    assert run.metrics.index.tolist() == [1, 2, 3, 4]
    assert run.series("eval/eval_aime_pass16").to_dict() == {2: 0.16}
    figure = figures.held_out([run])
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == ["pass@1", "pass@2", "pass@4", "pass@16"]


def test_a_run_has_the_same_colour_in_every_figure(two_runs: list[Path]) -> None:
    runs = load_runs(two_runs)
    for draw in (figures.entropy, figures.reward, figures.health, figures.entropy_by_difficulty):
        figure = draw(runs)
        assert figure is not None
        shown = {line.get_label(): line.get_color() for line in figure.legends[0].get_lines()}
        assert (shown["aer"], shown["grpo"]) == ("#0072B2", "#D55E00")


def test_the_ceiling_of_alpha_is_drawn_only_when_near(tmp_path: Path) -> None:
    def ceilings(alpha_max: float) -> int:
        folder = write_run(
            tmp_path / str(alpha_max),
            [{"step": step, "aer/alpha": 0.001 * step} for step in (1, 2, 3)],
            {"method": "aer", "args": {"aer": {"alpha_max": alpha_max}}},
        )
        figure = figures.control([load_run(folder)])
        assert figure is not None
        return sum(line.get_linestyle() == ":" for line in figure.axes[0].lines)

    assert ceilings(0.004) == 1
    assert ceilings(0.1) == 0


def test_smoothing_starts_at_thirty_steps_and_is_odd(tmp_path: Path) -> None:
    def window(steps: int) -> int:
        folder = write_run(tmp_path / str(steps), [{"step": step, "reward": 0.5} for step in range(steps)])
        return smoothing_window([load_run(folder)])

    assert [window(steps) for steps in (29, 30, 300, 2000)] == [1, 5, 13, 51]


def test_a_mean_is_over_steps_however_rarely_a_metric_is_logged() -> None:
    smoothed = smooth(pd.Series({1: 0.0, 11: 1.0, 12: 3.0, 21: 8.0}), window=3)
    assert smoothed.to_dict() == {1: 0.0, 11: 2.0, 12: 2.0, 21: 8.0}
    assert smooth(pd.Series(dtype=float), window=3).empty


def test_matplotlib_settings_are_left_alone(report: Path) -> None:
    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]
    command = "import sys, aer_openrlhf.report; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], capture_output=True, text=True).stdout == "False\n"


# The page


def test_the_page_holds_all_it_needs(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'<img [^>]*src="([^"]{0,30})', page)
    assert len(sources) == len(CHARTS)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import', page)
    assert "<h1>AER &amp; GRPO</h1>" in page
    assert "centred means over 5 logged steps" in page
    assert "our reconstruction" in page


def test_only_several_evaluations_of_a_run_have_lines_of_their_own_in_the_legend(tmp_path: Path) -> None:
    after = PASS_AT_K[1]
    several = load_run(write_run(tmp_path / "aer", [full_row(1)], evaluations=PASS_AT_K))
    single = load_run(write_run(tmp_path / "grpo", [full_row(1)], evaluations=[{**after, "label": "seed-1"}]))
    for runs, told in (([several], ["before", "after"]), ([single], [])):
        figure = figures.pass_at_k(runs)
        assert figure is not None
        assert [text.get_text() for text in figure.legends[0].get_texts()] == [runs[0].name, *told]
        assert figure.axes[0].lines[-1].get_linestyle() == "-"


def test_evaluations_at_several_temperatures_can_be_told_apart(tmp_path: Path) -> None:
    """Two runs at three temperatures: a colour a run, a marker a temperature, each once in the legend."""
    labels = [f"T = {temperature}" for temperature in (0.3, 0.7, 1.0)]
    swept = [{**PASS_AT_K[1], "label": label} for label in labels]
    runs = load_runs([write_run(tmp_path / name, [full_row(1)], evaluations=swept) for name in ("aer", "grpo")])
    figure = figures.pass_at_k(runs)
    assert figure is not None
    markers = [line.get_marker() for line in figure.axes[0].lines]
    assert len(set(markers[:3])) == 3 and markers[:3] == markers[3:]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["aer", "grpo", *labels]
    assert not any("before" in row.label for row in result_rows(runs))  # there is no before, and no after


def test_a_damaged_table_of_samples_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [full_row(1)])
    (folder / "samples").mkdir()
    table = folder / "samples" / "step_000001.parquet"
    table.write_bytes(b"PAR1")
    with pytest.raises(RunError, match=re.escape(str(table)) + ": not a table of samples .*; mend or remove it"):
        load_run(folder)


def test_the_page_names_what_some_run_did_not_record(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    captions = dict(re.findall(r'<h2 id="(\w+)">.*?<figcaption>(.*?)</figcaption>', page, flags=re.DOTALL))
    assert captions["coefficient"].endswith("Not recorded by: grpo.")
    assert captions["pass_at_k"].endswith("Not recorded by: grpo.")
    assert "Not recorded" not in captions["entropy"]
    assert "Not recorded in any run" not in page


def test_the_page_names_what_no_run_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"step": step, "aer/entropy": 0.5 - 0.01 * step} for step in range(1, 5)]
    folder = write_run(tmp_path / "run", rows, tail='{"step": 5, "aer/en')
    (folder / "png").mkdir()
    (folder / "png" / "timing.png").write_text("left by an earlier report")
    assert main([str(folder)]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    left_out = re.search(r"Not recorded in any run:</strong> (.*)\.</p>", page)
    assert left_out is not None
    assert left_out[1].split("; ") == [chart.title for chart in CHARTS if chart.key != "entropy"]
    assert [path.name for path in (folder / "png").iterdir()] == ["entropy.png"]
    captured = capsys.readouterr()
    assert str(folder / "report.html") in captured.out
    for said in ("run_config.json is missing", "1 unreadable line in its logs"):
        assert said in captured.err
        assert said in page


def test_names_are_escaped_and_secrets_stay_out(tmp_path: Path) -> None:
    row = [{"step": step, "aer/entropy": 0.5} for step in (1, 2)]
    config = {"method": "<i>aer", "args": AER_ARGS, "versions": {"<u>": "1"}, "started": "<s>"}
    evaluations = [PASS_AT_K[0] | {"label": "<em>"}]
    folders = [write_run(tmp_path / "<b>x$y$", row, config, evaluations), write_run(tmp_path / "_hidden", row)]
    assert main([*map(str, folders), "--out", str(tmp_path / "out"), "--title", "<h6>"]) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for raw in ("<b>", "<i>", "<u>", "<s>", "<em>", "<h6>"):
        assert raw not in page
        assert raw.replace("<", "&lt;").replace(">", "&gt;") in page
    assert "very-secret" not in page
    assert "/somewhere" not in page


def test_settings_that_differ_are_marked(two_runs: list[Path]) -> None:
    rows = {row.label: row for row in setup_rows(load_runs(two_runs))}
    assert rows["method"].cells == ("aer", "grpo")
    assert rows["train.seed"].cells == ("1", "2")
    assert {label for label, row in rows.items() if row.differs} == {"method", "train.seed", "versions"}
    assert rows["algo.advantage.estimator"].cells == ("group_norm", "group_norm")
    assert rows["actor.entropy_coef"].cells == ("–", "–")
    assert "train.max_epochs" not in rows, "neither a main flag nor different"


def test_a_run_without_configuration_differs_from_nothing(two_runs: list[Path], tmp_path: Path) -> None:
    bare = write_run(tmp_path / "bare", [{"step": 1, "reward": 0.1}])
    rows = setup_rows(load_runs([two_runs[0], bare]))
    assert rows[0].cells == ("aer", "unknown")
    assert not any(row.differs for row in rows)


def test_results_are_means_over_the_last_twenty_steps(tmp_path: Path) -> None:
    rows = [{"step": step, "aer/entropy": 0.01 * step, "aer/entropy_target": 0.2} for step in range(1, 31)]
    rows = [row | {"aer/entropy_initial": 0.41} for row in rows]
    rows[0]["reward"] = 0.7
    run = load_run(write_run(tmp_path / "run", rows, evaluations=PASS_AT_K))
    cells = {row.label: row.cells[0] for row in result_rows([run])}
    assert cells["logged steps"] == "30 (1 to 30)"
    assert cells["entropy"] == "0.205"  # steps 11 to 30: 0.01 * (11 + 30) / 2
    assert cells["entropy / target"] == "1.025"  # 0.205 / 0.2
    assert cells["entropy / initial H₀"] == "0.500"  # 0.205 / 0.41
    assert "reward" not in cells  # logged at step 1 only, not among the last twenty
    assert cells["pass@1, before → after"] == "0.340 → 0.600"
    assert cells["pass@16, before → after"] == "0.940 → 0.900"


def test_evaluations_by_another_protocol_are_pointed_out(tmp_path: Path) -> None:
    def say(temperature: float) -> list[str]:
        evaluations = [PASS_AT_K[0], PASS_AT_K[1] | {"temperature": temperature}]
        row = [{"step": 1, "reward": 0.1}]
        folder = write_run(tmp_path / str(temperature), row, {"method": "aer"}, evaluations)
        return notes([load_run(folder)])

    assert say(1.0) == []
    assert "do not compare" in say(0.6)[0]


def test_standard_error_is_bounded_by_the_fewest_prompts(two_runs: list[Path]) -> None:
    runs = load_runs(two_runs)
    assert standard_error(runs) == pytest.approx(0.05)  # 0.5 / sqrt(100)
    assert standard_error(runs[1:]) is None
