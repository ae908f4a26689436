"""The studies under examples/: every run's flags go through the real parser and the real checks."""

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from aer_openrlhf.study.definition import Run, load, to_arguments
from tests.stack.openrlhf_args import parse
from tests.tiny_model import save_tiny_model

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "examples" / "studies").glob("countdown*.yaml"))
RECORDER = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_flags_pass_the_real_parser_and_are_different_in_every_arm(path: Path, tmp_path: Path) -> None:
    model = str(save_tiny_model(tmp_path / "model"))
    study = load(path)
    first_seed = [run for run in study.runs(tmp_path) if run.seed == study.seeds[0]]
    settings = {run.arm: aer_settings(run, model) for run in first_seed}
    assert len(set(map(str, settings.values()))) == len(study.arms) == len(first_seed)


def aer_settings(run: Run, model: str) -> dict[str, object]:
    places = {"actor.model_name_or_path": model, "data.prompt_dataset": "hub/none", "reward.remote_url": "http://x:9"}
    args = parse(*to_arguments({**run.flags, **places}))
    return {**vars(args.aer), "clip": args.actor.eps_clip_low_high}


def test_the_recipe_study_hands_its_seed_folder_and_flags_to_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text(RECORDER)
    (tmp_path / "python").chmod(0o755)
    for name, value in {"DRY_RUN": "1", "PYTHON": str(tmp_path / "python"), "MODEL": "MODEL", "DATA": "DATA"}.items():
        monkeypatch.setenv(name, value)
    last = load(ROOT / "examples" / "studies" / "qwen3_4b_base.yaml").runs(tmp_path)[-1]
    words = subprocess.run(last.train, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    given = {flag: value for flag, value in pairwise(words) if flag.startswith("--")}  # argparse lets the last one win
    assert (given["--ckpt.output_dir"], given["--train.seed"], given["--aer.tau"]) == (str(last.folder), "3", "0.6")


def test_the_recipe_study_has_an_arm_for_every_script() -> None:
    scripts = {path.stem for path in (ROOT / "examples" / "qwen3_4b_base").glob("*.sh")} - {"common"}
    study = load(ROOT / "examples" / "studies" / "qwen3_4b_base.yaml")
    assert {arm.method for arm in study.arms.values()} == scripts
