"""The studies under examples/: every run's flags go through the real parser and the real checks."""

from pathlib import Path

import pytest

from aer_openrlhf.study.definition import Run, load, to_arguments
from tests.stack.openrlhf_args import parse
from tests.tiny_model import save_tiny_model

STUDIES = sorted((Path(__file__).parents[2] / "examples" / "studies").glob("countdown*.yaml"))


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
