"""Checkpoints of a run: found in order, one picked by one suite."""

import json

import pandas as pd
import pytest

from aer_eval.errors import UserError
from aer_eval.metrics.types import Estimate, Interval, SuiteSummary
from aer_eval.report.sweep_figure import write_figure
from aer_eval.sweep import find_checkpoints, markdown, select, write_table


def save(folder, weights="model.safetensors"):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / weights).write_bytes(b"")


def summary(suite, **estimates):
    return SuiteSummary(
        label="x",
        suite=suite,
        num_problems=2,
        missing_problems=0,
        min_samples=4,
        max_samples=4,
        estimates={
            name.replace("_", "@"): Estimate(value, Interval(max(0, value - 0.1), min(1, value + 0.1)), None)
            for name, value in estimates.items()
        },
        verdicts={},
        rates={},
        lengths={},
        diversity={},
        per_problem=pd.DataFrame(),
    )


RESULTS = {
    20: {"aime24": summary("aime24", pass_1=0.1, pass_4=0.3), "math500": summary("math500", pass_1=0.5, pass_4=0.7)},
    40: {"aime24": summary("aime24", pass_1=0.3, pass_4=0.4), "math500": summary("math500", pass_1=0.6, pass_4=0.6)},
    60: {"aime24": summary("aime24", pass_1=0.3, pass_4=0.2), "math500": summary("math500", pass_1=0.7, pass_4=0.5)},
}


def test_checkpoints_are_found_by_the_number_in_their_name_in_order_of_steps(tmp_path):
    for name in ("global_step100_hf", "global_step20_hf", "nested/global_step40_hf"):
        save(tmp_path / name)
    save(tmp_path / "global_step60", weights="mp_rank_00_model_states.pt")  # DeepSpeed's own: not for an engine
    save(tmp_path / "final")
    assert [checkpoint.step for checkpoint in find_checkpoints(tmp_path)] == [20, 40, 100]
    assert find_checkpoints(tmp_path)[0].label == "step-20"


def test_a_folder_without_checkpoints_or_with_two_of_one_step_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--ckpt\.save_hf"):
        find_checkpoints(tmp_path)
    for run in ("a", "b"):
        save(tmp_path / run / "global_step20_hf")
    with pytest.raises(UserError, match="step 20 is in"):
        find_checkpoints(tmp_path)


def test_the_highest_step_is_picked_and_of_equal_ones_the_earliest():
    assert (select(RESULTS, "aime24", "pass@1").step, select(RESULTS, "math500", "pass@1").step) == (40, 60)
    picked = select(RESULTS, "math500", "pass@4")
    assert (picked.step, picked.value) == (20, 0.7)


def test_an_unknown_suite_or_metric_is_named():
    with pytest.raises(UserError, match=r"--select-on gsm8k.*aime24, math500"):
        select(RESULTS, "gsm8k", "pass@1")
    with pytest.raises(UserError, match=r"--select-metric pass@8.*pass@1, pass@4"):
        select(RESULTS, "aime24", "pass@8")


def test_the_table_marks_the_pick_and_says_that_its_own_suite_flatters_it(tmp_path):
    selection = select(RESULTS, "aime24", "pass@1")
    text = markdown(RESULTS, ["pass@1"], selection)
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()[2:5]]
    rows = {step: [aime24, math500] for _, step, aime24, math500, _ in cells}
    assert rows == {"20": ["0.100", "0.500"], "40 (picked)": ["0.300", "0.600"], "60": ["0.300", "0.700"]}
    assert "highest of 3 and therefore flattered" in text and "its row on math500" in text
    write_table(RESULTS, selection, tmp_path / "sweep.json")
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert written["selected"] == {"step": 40, "suite": "aime24", "metric": "pass@1", "value": 0.3}
    assert written["steps"]["60"]["math500"] == {"pass@1": 0.7, "pass@4": 0.5}


def test_the_figure_is_a_png(tmp_path):
    write_figure(RESULTS, ["pass@1", "pass@4"], select(RESULTS, "aime24", "pass@1"), tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
