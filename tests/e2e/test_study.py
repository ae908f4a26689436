"""`aer-study` on the real stack: stopped in the middle, resumed from the checkpoint, evaluated, in one table."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.e2e.conftest import EXIT_TIMEOUT, REPOSITORY, Training

STEPS = 12


def write_study(folder: Path) -> Path:
    path = folder / "short.yaml"
    path.write_text(
        f"base: {REPOSITORY / 'examples' / 'studies' / 'demo.yaml'}\n"
        f"values: {{steps: {STEPS}, prompts: 20, samples: 8, temperatures: [0.5, 1.0]}}\n"
        "flags: {ckpt.save_steps: 2}\n"
        "tasks: {countdown: }\narms: {grpo: , aer: }\nseeds: [1]\n"
    )
    return path


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[[], Training]]:
    """Start the study in the repository; whatever is left of it in the end is killed."""
    words = [
        sys.executable,
        "-m",
        "aer_openrlhf.cli.study",
        "run",
        str(write_study(tmp_path)),
        "--runs",
        str(tmp_path),
    ]
    first_run = tmp_path / "short" / "countdown" / "grpo" / "seed-1"
    first_run.parent.mkdir(parents=True)
    started: list[Training] = []

    def start() -> Training:
        started.append(Training(first_run, ["env", "-C", str(REPOSITORY), *words]).start())
        return started[-1]

    yield start
    for study in started:
        study.kill_all()
        study.log.close()


def test_a_study_goes_on_from_the_checkpoint_of_the_stopped_run(
    launch: Callable[[], Training], tmp_path: Path
) -> None:
    stopped = launch()
    stopped.wait_for_step(4)
    stopped.process.send_signal(signal.SIGINT)
    assert stopped.process.wait(timeout=2 * EXIT_TIMEOUT) == 130
    stopped.assert_nothing_is_left()
    grpo = stopped.run_dir
    before = stopped.rows()
    assert 4 <= len(before) < STEPS and not (grpo / "trained.json").exists()

    resumed = launch().finish()
    assert [row["step"] for row in resumed.rows()] == list(range(1, STEPS + 1))
    assert resumed.rows()[:2] == before[:2]  # times included: these two steps were not made again
    assert json.loads((grpo / "run.json").read_text())["attempts"] == 2
    table = pd.read_csv(tmp_path / "short" / "table.csv")
    assert list(table["arm"]) == ["start", "start", "grpo", "grpo", "aer", "aer"]
    assert list(table["temperature"]) == [0.5, 1.0] * 3
    assert table["pass@1"].between(0, 1).all() and table["entropy"][2:].gt(0).all()
    assert (tmp_path / "short" / "frontier-countdown.png").exists()
    assert "3 finished earlier" in launch().finish().output()
