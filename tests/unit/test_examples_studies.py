"""The studies under examples/: every run's flags go through the real parser and the real checks."""

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from aer_openrlhf.cli.study import main as aer_study
from aer_openrlhf.study.definition import Run, load, to_arguments
from tests.stack.openrlhf_args import parse
from tests.tiny_model import save_tiny_model

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "studies"
STUDIES = sorted(path for path in FOLDER.glob("*.yaml") if path.stem not in ("demo", "qwen3_4b_base"))
RECORDER = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_flags_pass_the_real_parser_and_are_different_in_every_arm(path: Path, tmp_path: Path) -> None:
    model = str(save_tiny_model(tmp_path / "model"))
    study = load(path)
    for task in study.tasks:
        runs = [run for run in study.runs(tmp_path) if run.task == task and run.train and run.seed == study.seeds[0]]
        settings = {run.arm: aer_settings(run, model) for run in runs}
        assert len(set(map(str, settings.values()))) == len(study.arms) == len(runs)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_dry_run_of_every_study_lists_its_runs(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert aer_study(["run", str(path), "--runs", str(tmp_path), "--dry-run"]) == 0
    study = load(path)
    runs = len(study.tasks) * (1 + len(study.arms) * len(study.seeds))  # and the start model of each task
    assert capsys.readouterr().out.endswith(f"\n{runs} new\n")


def test_the_sweep_trains_countdown_on_the_two_splits(tmp_path: Path) -> None:
    runs = [run for run in load(FOLDER / "coefficient_sweep.yaml").runs(tmp_path) if run.train]
    words = {run.task: [run.train[3], run.train[5]] for run in runs}
    assert words == {name: ["countdown", f"runs/countdown-split/{name}.jsonl"] for name in ("easy", "hard")}
    assert {run.flags["aer.fixed.coef"] for run in runs} == {0, 0.01, 0.03, 0.1, 0.3}


def aer_settings(run: Run, model: str) -> dict[str, object]:
    places = {"actor.model_name_or_path": model, "data.prompt_dataset": "hub/none", "reward.remote_url": "http://x:9"}
    args = parse(*to_arguments({**run.flags, **places}))
    return {
        **vars(args.aer),
        "clip": args.actor.eps_clip_low_high,
        "filter": args.algo.dynamic_filtering_enable,
        "reward": run.flags.get("reward.remote_url"),
    }


def test_the_recipe_study_hands_its_seed_folder_and_flags_to_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text(RECORDER)
    (tmp_path / "python").chmod(0o755)
    for name, value in {"DRY_RUN": "1", "PYTHON": str(tmp_path / "python"), "MODEL": "MODEL", "DATA": "DATA"}.items():
        monkeypatch.setenv(name, value)
    last = load(FOLDER / "qwen3_4b_base.yaml").runs(tmp_path)[-1]
    words = subprocess.run(last.train, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    given = {flag: value for flag, value in pairwise(words) if flag.startswith("--")}  # argparse lets the last one win
    assert (given["--ckpt.output_dir"], given["--train.seed"], given["--aer.tau"]) == (str(last.folder), "3", "0.6")


def test_the_recipe_study_has_an_arm_for_every_script() -> None:
    scripts = {path.stem for path in (ROOT / "examples" / "qwen3_4b_base").glob("*.sh")} - {"common"}
    study = load(FOLDER / "qwen3_4b_base.yaml")
    assert {arm.method for arm in study.arms.values()} == scripts
