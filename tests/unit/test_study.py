"""`aer-study` with a fake training command: the grid, what is skipped, resumed and refused, and what stops it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest

from aer_eval.errors import UserError
from aer_openrlhf.cli.study import main
from aer_openrlhf.study.definition import Run, load
from aer_openrlhf.study.folder import state
from aer_openrlhf.study.runner import Runner

FAKE = """
import json, sys, time
from pathlib import Path
stage, folder, *words = sys.argv[1:]
folder = Path(folder)
if stage == "evaluate":
    records = [
        {"label": t, "temperature": float(t), "pass_at_k": {"1": 0.25, "4": 0.5}, "distinct_correct": 1.5}
        for t in words
    ]
    (folder / "pass_at_k.json").write_text(json.dumps(records))
    sys.exit()
(folder / "starts").open("a").write("start\\n")
if "--fail" in words:
    print("no such flag")
    sys.exit(3)
if "--slow" in words and len((folder / "starts").read_text().splitlines()) == 1:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        (folder / "interrupted").touch()
        raise
rows = [{"step": s, "aer/entropy": 1.0 / s, "aer/entropy_target": 0.4, "aer/alpha": 0.1} for s in (1, 2)]
(folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
"""
STUDY = """
train: python {fake} train {{run_dir}} {{flags}}
evaluate: python {fake} evaluate {{run_dir}} {{temperatures}}
values: {{temperatures: [0.5, 1.0]}}
tasks: {{sums: }}
arms:
  plain:
  other: {{method: plain, flags: {flags}}}
seeds: [1]
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "fake.py").write_text(FAKE)
    return write(tmp_path, "{aer.tau: 0.5}")


def write(folder: Path, flags: str) -> Path:
    path = folder / "grid.yaml"
    path.write_text(STUDY.format(fake=folder / "fake.py", flags=flags))
    return path


def command(study: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "aer_openrlhf.cli.study", "run", str(study), "--runs", str(study.parent), *words]


def run(study: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(study, *words), capture_output=True, text=True, timeout=300, check=False)


def folder(study: Path, arm: str) -> Path:
    return study.parent / "grid" / "sums" / arm / "seed-1"


def starts(study: Path, arm: str) -> int:
    return len((folder(study, arm) / "starts").read_text().splitlines())


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.05)


def test_finished_runs_are_skipped_and_the_table_has_a_row_a_temperature(study: Path) -> None:
    first = run(study, "--jobs", "2")
    assert first.returncode == 0, first.stderr
    again = run(study)
    assert again.returncode == 0 and "2 runs, 2 finished earlier" in again.stdout
    assert starts(study, "plain") == starts(study, "other") == 1
    rows = pd.read_csv(study.parent / "grid" / "table.csv")
    assert list(zip(rows["arm"], rows["temperature"], strict=True)) == [
        ("plain", 0.5),
        ("plain", 1.0),
        ("other", 0.5),
        ("other", 1.0),
    ]
    # Entropies 1 and 1/2: the last steps' mean is 0.75 of H_0 = 1, and 0.75 / 0.4 of the target.
    assert set(rows["entropy_over_initial"]) == {0.75} and set(rows["entropy_over_target"]) == {1.875}
    assert "## sums, temperature 0.5" in (study.parent / "grid" / "table.md").read_text()
    assert (study.parent / "grid" / "frontier-sums.png").exists()


def test_a_metric_that_no_run_has_logged_is_told_once(study: Path, capsys: pytest.CaptureFixture) -> None:
    study.write_text(f"{study.read_text()}metrics: [aer/alpha, aer/alfa]\n")
    assert main(command(study)[3:]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "has logged" in line]
    assert told == [f"{study}: no finished run has logged aer/alfa over its last steps"]
    assert "| aer/alpha |" in (study.parent / "grid" / "table.md").read_text()


def test_the_start_model_is_evaluated_once_and_has_a_row(study: Path) -> None:
    evaluate = f"python {study.parent / 'fake.py'} evaluate {{run_dir}} {{temperatures}}"
    study.write_text(f"{study.read_text()}start: {evaluate}\n")
    assert "new          sums/start" in run(study, "--dry-run").stdout
    assert run(study, "--arms", "plain").returncode == 0
    again = run(study, "--arms", "plain", "--each-seed")
    assert again.returncode == 0 and "2 runs, 2 finished earlier" in again.stdout
    rows = pd.read_csv(study.parent / "grid" / "table.csv")
    assert list(rows["arm"]) == ["start", "start", "plain", "plain"] and rows["steps"].isna().sum() == 2
    told = (study.parent / "grid" / "table.md").read_text()
    assert "| start | – | 0.250 | 0.500 | 1.50 | – | – |" in told
    assert "| plain | 1 | 0.250 | 0.500 | 1.50 | 0.750 | 0.400 |" in told  # 0.75 of H_0, the target 0.4 of H_0
    assert "above the frontier" not in told  # the start model is no arm to compare


def test_the_resolved_command_is_recorded_before_the_start(study: Path) -> None:
    run(study, "--arms", "other")
    made = json.loads((folder(study, "other") / "run.json").read_text())
    assert made["train"][2:] == ["train", str(folder(study, "other")), "--aer.tau", "0.5"]
    assert not folder(study, "plain").exists()


def test_a_dry_run_starts_nothing_and_says_what_is_finished(study: Path) -> None:
    run(study, "--arms", "plain")
    told = run(study, "--dry-run").stdout
    assert "finished     sums/plain/seed-1" in told and "new          sums/other/seed-1" in told
    assert "1 finished, 1 new" in told and not folder(study, "other").exists()


def test_the_tables_compare_with_the_arm_that_is_asked_for(study: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(study, "--arms", "plain", "other").returncode == 0
    words = ["table", str(study), "--runs", str(study.parent)]
    assert main([*words, "--reference", "other"]) == 0
    told = capsys.readouterr().out
    assert "--reference=other" in told and "Difference from other of the same seed" in told
    assert main([*words, "--reference", "third"]) == 2
    assert "--reference third" in capsys.readouterr().err


def test_other_flags_are_refused_before_anything_starts(study: Path) -> None:
    run(study, "--arms", "other")
    changed = run(write(study.parent, "{aer.tau: 0.7}"))
    assert changed.returncode == 2
    assert "made with --aer.tau 0.5, now 0.7" in changed.stderr and len(changed.stderr.splitlines()) == 1
    assert not folder(study, "plain").exists()


def test_of_another_command_line_only_what_differs_is_told(study: Path) -> None:
    run(study, "--arms", "other")
    study.write_text(study.read_text().replace("{run_dir} {flags}", "{run_dir} --quick {flags}"))
    changed = run(study, "--arms", "other")
    assert changed.returncode == 2
    place = folder(study, "other")
    assert f"made with `{place}`, now `{place} --quick`; give the arm another name" in changed.stderr


def test_a_changed_evaluation_is_done_again_without_training(study: Path) -> None:
    run(study)
    study.write_text(study.read_text().replace("[0.5, 1.0]", "[0.7]"))
    assert run(study).returncode == 0
    assert starts(study, "plain") == 1
    assert set(pd.read_csv(study.parent / "grid" / "table.csv")["temperature"]) == {0.7}


def test_a_failed_run_is_reported_with_its_log_and_the_others_go_on(study: Path) -> None:
    failed = run(write(study.parent, "{fail: true}"), "--jobs", "2")
    assert failed.returncode == 1
    assert f"its log is {folder(study, 'other') / 'train.log'} (no such flag)" in failed.stderr
    assert (folder(study, "plain") / "done.json").exists() and not (folder(study, "other") / "trained.json").exists()


def test_two_evaluations_at_one_temperature_are_refused(study: Path) -> None:
    study.write_text(study.read_text().replace("[0.5, 1.0]", "[0.5, 0.5]"))
    failed = run(study, "--arms", "plain")
    assert failed.returncode == 1 and "two evaluations at one temperature" in failed.stderr
    assert not (folder(study, "plain") / "done.json").exists()


@pytest.mark.parametrize(("number", "ignoring"), [(signal.SIGINT, ""), (signal.SIGTERM, ""), (signal.SIGTERM, "INT")])
def test_a_stop_reaches_the_child_and_the_same_command_goes_on(
    study: Path, number: signal.Signals, ignoring: str
) -> None:
    """A shell lets the background jobs of a script ignore SIGINT."""
    write(study.parent, "{slow: true}")
    ignorant = ["sh", "-c", f"trap '' {ignoring}; exec \"$@\"", "sh"] if ignoring else []
    process = subprocess.Popen([*ignorant, *command(study)])
    wait_for(folder(study, "other") / "starts")
    children = psutil.Process(process.pid).children(recursive=True)
    assert "running      sums/other/seed-1" in run(study, "--dry-run").stdout
    process.send_signal(number)
    assert process.wait(30) == 130
    assert (folder(study, "other") / "interrupted").exists()
    psutil.wait_procs(children, timeout=10)
    assert not any(child.is_running() for child in children)
    assert "interrupted  sums/other/seed-1" in run(study, "--dry-run").stdout
    assert run(study).returncode == 0
    assert starts(study, "plain") == 1 and starts(study, "other") == 2
    assert pd.read_csv(study.parent / "grid" / "table.csv")["train_seconds"].isna().sum() == 2  # not known in full


def test_after_kill_9_no_child_is_left_and_the_same_command_goes_on(study: Path) -> None:
    write(study.parent, "{slow: true}")
    process = subprocess.Popen(command(study))
    wait_for(folder(study, "other") / "starts")
    time.sleep(1)  # the watchdog looks twice a second
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(children, timeout=20)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert run(study).returncode == 0
    assert starts(study, "other") == 2


def test_an_evaluation_that_writes_nothing_does_not_keep_the_numbers_of_the_one_before(study: Path) -> None:
    (run,) = [run for run in load(study).runs(study.parent) if run.arm == "plain"]
    assert Runner().perform([run], lambda _: None) == []
    (failure,) = Runner().perform([replace(run, evaluate=("true",))], lambda _: None)
    assert failure.endswith(f"the evaluation wrote no {run.folder / 'pass_at_k.json'}")
    assert state(run) == "trained"  # the first evaluation's figures are gone, so it is not finished either


def test_a_run_whose_folder_fails_and_tables_that_fail_stop_no_other_run(study: Path) -> None:
    (folder(study, "plain") / "train.log").mkdir(parents=True)

    def no_room(run: Run) -> None:
        raise UserError("no room for the table")

    plain, other = load(study).runs(study.parent)
    failures = Runner().perform([plain, other], no_room)
    assert failures[0].startswith(f"sums/plain/seed-1: {plain.folder}: [Errno 21] Is a directory")
    assert failures[1:] == ["sums/other/seed-1: no room for the table"]
    assert state(other) == "finished"


def test_results_that_cannot_be_written_are_one_line(study: Path, capsys: pytest.CaptureFixture) -> None:
    (study.parent / "taken").touch()
    assert main(["table", str(study), "--runs", str(study.parent / "taken")]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "taken" in told and told.endswith("or give another --runs")


def test_a_folder_is_the_same_from_elsewhere_and_under_another_name(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(study.parent)
    runs = load(study).runs(Path("."))
    assert Runner().perform(runs, lambda _: None) == []
    assert [state(run) for run in load(study).runs(study.parent)] == ["finished", "finished"]
    (study.parent / "grid").rename(study.parent / "moved")
    (study.parent / "elsewhere").mkdir()
    (study.parent / "moved").rename(study.parent / "elsewhere" / "grid")
    assert [state(run) for run in load(study).runs(study.parent / "elsewhere")] == ["finished", "finished"]
    assert main(["table", str(study), "--runs", "elsewhere"]) == 0
    assert f"Made by `aer-study table {study} --runs=elsewhere`." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: [1]", "seeds: [1, 2]", "sums/plain/seed-1 and sums/plain/seed-2; put {seed} into it"),
        (" {flags}", "", "sums/plain/seed-1 and sums/other/seed-1; put {flags} or {method} into it"),
        ("{sums: }", "{sums: , more: }", "sums/plain/seed-1 and more/plain/seed-1; put {task} into it"),
    ],
)
def test_runs_that_nothing_sets_apart_are_refused(
    study: Path, capsys: pytest.CaptureFixture, old: str, new: str, message: str
) -> None:
    study.write_text(study.read_text().replace(old, new))
    assert main(["table", str(study), "--runs", str(study.parent)]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert f"train is the same command line for {message}" in told


def test_the_dry_run_tells_the_evaluation_that_is_still_to_come(study: Path, capsys: pytest.CaptureFixture) -> None:
    plain, _ = load(study).runs(study.parent)
    assert Runner().perform([plain], lambda _: None) == []
    (plain.folder / "done.json").unlink()
    assert main(["run", str(study), "--runs", str(study.parent), "--dry-run"]) == 0
    assert f"trained      sums/plain/seed-1\n             {shlex.join(plain.evaluate)}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{flags}", "{flagz}", "train: {flagz}: unknown placeholder"),
        ("{flags}", "--set={flags}", "train: --set={flags}: flags is a list, several words; let {flags} stand alone"),
        ("{flags}", "{method.name}", "train: {method.name}: unknown placeholder"),
        ("seeds: [1]", "seeds: 1", "seeds is 1: give a list"),
        ("tasks:", "task:", "task: unknown"),
        ("  other:", "  start:", "start: the name of the start model's row"),
        ("seeds:", "reference: third\nseeds:", "reference: third: no such arm"),
        ("{aer.tau: 0.5}", "{--aer.tau: 0.5}", "a flag is without dashes"),
        ("method: plain", "metod: plain", "metod: an arm has method and flags"),
    ],
)
def test_a_bad_study_is_refused_in_one_line(study: Path, old: str, new: str, message: str) -> None:
    study.write_text(study.read_text().replace(old, new))
    with pytest.raises(UserError) as refused:
        load(study).runs(study.parent)
    assert message in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_a_base_is_completed_by_the_study(study: Path) -> None:
    (study.parent / "derived.yaml").write_text("base: grid.yaml\nvalues: {steps: 5}\nflags: {x: 1}\nseeds: [4]")
    derived = load(study.parent / "derived.yaml")
    assert derived.values == {"temperatures": [0.5, 1.0], "steps": 5}
    plain, other = derived.runs(study.parent)
    assert (plain.seed, plain.flags, other.flags) == (4, {"x": 1}, {"x": 1, "aer.tau": 0.5})


def test_an_arm_is_added_to_those_of_the_base_or_replaces_its_own(study: Path) -> None:
    arms = "{other: {method: plain, flags: {aer.tau: 0.7}}, third: {flags: {aer.rho: 1}}}"
    (study.parent / "derived.yaml").write_text(f"base: grid.yaml\narms: {arms}")
    runs = load(study.parent / "derived.yaml").runs(study.parent)
    assert {run.arm: run.flags for run in runs} == {"plain": {}, "other": {"aer.tau": 0.7}, "third": {"aer.rho": 1}}


def test_two_tasks_may_be_one_with_different_data(study: Path) -> None:
    (study.parent / "settings.py").write_text("def flags(task, method):\n    return {'of': task}\n")
    given = study.read_text().replace("tasks: {sums: }", "tasks: {easy: {task: sums, data: e}, sums: {data: s}}")
    given = given.replace("train {run_dir}", "train {run_dir} {task} {data}")
    study.write_text(f"{given}settings: {study.parent / 'settings.py'}\narms: {{plain: }}\n")
    easy, sums = load(study).runs(study.parent)
    assert [easy.name, sums.name] == ["easy/plain/seed-1", "sums/plain/seed-1"]
    assert [run.train[4:] for run in (easy, sums)] == [("sums", "e", "--of", "sums"), ("sums", "s", "--of", "sums")]
