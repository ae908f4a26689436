"""The guards of a run: what they leave in the run folder, and what a resume makes of it."""

import json
from types import SimpleNamespace

import pytest

from aer_openrlhf import runlog
from aer_openrlhf.guards import GuardConfig, Guards
from aer_openrlhf.integration.guarding import RunGuards, refuse_stopped

EXPLODED = {"aer/entropy": 0.9, "aer/entropy_initial": 0.5, "generated_samples": ["text", 1.0]}


def run_guards(folder, stop_on=(), tensorboard=None):
    return RunGuards(Guards(GuardConfig(patience=3), "aer", None), folder, stop_on, tensorboard)


def train(guards, folder, steps):
    """The first way out that a guard asks for, after the steps up to it."""
    for step in steps:
        said, leave = guards.check(step, EXPLODED)
        runlog.append_metrics(folder, step, EXPLODED | said)
        if leave:
            return leave
    return None


def warnings(folder):
    return runlog.read_lines(folder / "warnings.jsonl")


def test_a_warning_is_heard_everywhere_and_once(tmp_path, capsys):
    texts = []
    writer = SimpleNamespace(add_text=lambda *arguments: texts.append(arguments))
    assert train(run_guards(tmp_path, tensorboard=SimpleNamespace(writer=writer)), tmp_path, range(1, 7)) is None
    (warning,) = warnings(tmp_path)
    assert (warning["step"], warning["guard"], warning["stopped"]) == (3, "entropy_high", False)
    assert texts == [("warnings/entropy_high", warning["message"], 3)]
    assert f"WARNING, step 3, entropy_high: {warning['message']}" in capsys.readouterr().out
    rows = runlog.read_lines(tmp_path / "metrics.jsonl")
    assert [row["aer/warnings"] for row in rows] == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]


def test_stop_on_names_the_step_and_the_reason_and_leaves_with_a_code_of_its_own(tmp_path):
    leave = train(run_guards(tmp_path, stop_on=("all_wrong", "entropy_high")), tmp_path, range(1, 7))
    assert leave.exit_code == 3
    assert leave.reason.startswith("stopped at step 3 by the guard entropy_high: entropy is 0.9 nats")
    assert warnings(tmp_path)[-1]["stopped"]


def test_a_resume_does_not_warn_again_of_what_its_checkpoint_knew(tmp_path):
    train(run_guards(tmp_path), tmp_path, range(1, 7))
    runlog.rewind(tmp_path, 4)
    resumed = run_guards(tmp_path)
    resumed.resume(4)
    assert train(resumed, tmp_path, range(5, 9)) is None
    assert [warning["step"] for warning in warnings(tmp_path)] == [3]


def test_a_resume_from_before_the_warning_counts_on_and_warns_at_the_same_step(tmp_path):
    train(run_guards(tmp_path), tmp_path, range(1, 7))
    runlog.rewind(tmp_path, 2)
    resumed = run_guards(tmp_path)
    resumed.resume(2)
    train(resumed, tmp_path, range(3, 7))
    assert [warning["step"] for warning in warnings(tmp_path)] == [3]
    (aside,) = tmp_path.glob("warnings-rewound-*.jsonl")
    assert json.loads(aside.read_text())["step"] == 3


def test_a_stopped_run_goes_on_only_without_that_stop(tmp_path):
    train(run_guards(tmp_path, stop_on=("entropy_high",)), tmp_path, range(1, 7))
    with pytest.raises(ValueError, match=r"stopped at step 3 .*leave entropy_high out of --aer\.stop_on"):
        refuse_stopped(tmp_path, ("entropy_high", "all_wrong"))
    refuse_stopped(tmp_path, ("all_wrong",))
    refuse_stopped(tmp_path / "fresh", ("entropy_high",))


def test_a_guard_that_has_only_warned_stops_the_run_where_a_resume_asks_for_it(tmp_path):
    train(run_guards(tmp_path), tmp_path, range(1, 7))
    resumed = run_guards(tmp_path, stop_on=("entropy_high",))
    resumed.resume(6)
    leave = train(resumed, tmp_path, range(7, 12))
    assert leave.reason.startswith("stopped at step 9 by the guard entropy_high")  # after its patience, anew


def test_a_resume_with_another_bound_warns_of_what_it_now_sees(tmp_path):
    """alpha was below its bound then and is above the one that the resume has lowered."""
    for step in range(1, 7):
        runlog.append_metrics(tmp_path, step, {"aer/alpha": 0.1, "aer/entropy": 0.3, "aer/entropy_target": 0.4})
    resumed = RunGuards(Guards(GuardConfig(alpha_at_max=3), "aer", 0.05), tmp_path, (), None)
    resumed.resume(6)
    assert warnings(tmp_path) == []
    resumed.check(7, {"aer/alpha": 0.05, "aer/entropy": 0.3, "aer/entropy_target": 0.4})
    assert [(warning["step"], warning["guard"]) for warning in warnings(tmp_path)] == [(7, "alpha_at_max")]
