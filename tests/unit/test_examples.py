"""Every example script through the real `aer-train --dry-run`, with a tiny model; its early checks; its last lines."""

import json
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest

from aer_eval.cli import main as aer_eval
from aer_openrlhf.cli import train_ppo_ray
from tests.tiny_model import save_tiny_model

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LAUNCH = sorted(EXAMPLES.glob("launch/train_*.sh"))
RECIPES = [path for path in sorted(EXAMPLES.glob("qwen3_*/*.sh")) if path.name != "common.sh"]
ALL = [*LAUNCH, *RECIPES, EXAMPLES / "smollm2_gsm8k/run.sh"]
GRPO = EXAMPLES / "launch/train_aer_grpo_ray_hybrid_engine.sh"
RECORDER = "#!/bin/sh\nprintf '%s\\0' \"$@\" >>{folder}/{name}.argv\nexit ${{{name}_status:-0}}\n"
ROWS = 512
# What acts on the drift from the rollout policy needs several; the others take one.
STEPS_A_ROLLOUT = {"kl_cov": 8, "clip_higher": 16, "train_aer_dapo_ray_hybrid_engine": 16}


def names(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    save_tiny_model(folder / "model")
    rows = [{"prompt": f"123 {number:03d}=", "label": str(number)} for number in range(ROWS)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"MODEL": str(folder / "model"), "DATA": str(folder / "data.jsonl")}


@pytest.fixture
def run(inputs, tmp_path):
    """run(script, *arguments, **environment): with `python` and `ray` that write their arguments down."""
    for name in ("python", "ray"):
        program(tmp_path, name, RECORDER.format(folder=tmp_path, name=name))

    def start(script: Path, *arguments: str, cwd: Path | None = None, **environment: str):
        names = {"SAVE": str(tmp_path / "run"), "RUN_DIR": str(tmp_path / "run"), "PYTHON": str(tmp_path / "python")}
        path = f"{tmp_path}:/usr/bin:/bin"
        return subprocess.run(
            [str(script), *arguments],
            env={**inputs, **names, "PATH": path, **environment},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def recorded(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.argv").read_text().split("\0")[:-1]


def machine_with(folder: Path, gpus: int) -> None:
    program(folder, "nvidia-smi", "#!/bin/sh\n" + "echo GPU\n" * gpus)


@pytest.mark.parametrize("script", ALL, ids=names)
def test_every_script_passes_its_dry_run(script, run, tmp_path, capsys):
    flags = ["--dry-run"] if script.parent.name == "smollm2_gsm8k" else []
    result = run(script, *flags, DRY_RUN="1")
    assert result.returncode == 0, result.stderr
    module, name, *argv = recorded(tmp_path, "python")
    assert (module, name, argv[-1]) == ("-m", "aer_openrlhf.cli.train_ppo_ray", "--dry-run")
    with (
        mock.patch.object(sys, "argv", ["aer-train", *argv]),
        mock.patch("ray.init", side_effect=AssertionError("started Ray")),
        mock.patch("torch.cuda.device_count", return_value=8),
    ):
        train_ppo_ray.main()
    printed = capsys.readouterr().out
    recipe = script.parent.name.startswith("qwen3")
    method = script.stem if recipe and script.stem not in ("grpo", "clip_higher") else "aer"
    assert f"method       {method}: " in printed
    samples = int(argv[argv.index("--rollout.n_samples_per_prompt") + 1])
    rollouts = (8 if script.parent.name == "smollm2_gsm8k" else ROWS) // int(
        argv[argv.index("--rollout.batch_size") + 1]
    )
    updates = rollouts * STEPS_A_ROLLOUT.get(script.stem, 1)
    assert f"{rollouts} rollouts" in printed and f"x {samples} responses, {updates} optimizer steps" in printed
    assert "1 for its label in a box" in printed and "0 for another row's label in a box" in printed
    assert "this machine has 8" in printed and "; about " in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("script", ALL, ids=names)
def test_every_script_says_what_it_needs_and_how_to_evaluate(script, run):
    assert "Needs " in "".join(script.read_text().splitlines(keepends=True)[:6])
    last = run(script, DRY_RUN="1").stdout.splitlines()[-1]
    name, *argv = shlex.split(last)
    assert name == "aer-eval"
    with (
        mock.patch.object(aer_eval, "import_module", wraps=aer_eval.import_module) as modules,
        mock.patch("aer_eval.cli.run.run", return_value=0) as started,
    ):
        assert aer_eval.main(argv) == 0
    assert modules.called and started.called


def test_the_lora_script_merges_before_it_evaluates(run):
    *_, merge, evaluate = run(EXAMPLES / "launch/train_aer_lora_24gb.sh", DRY_RUN="1").stdout.splitlines()
    assert "openrlhf.cli.lora_combiner" in merge
    merged = shlex.split(merge)[shlex.split(merge).index("--output_path") + 1]
    assert f"--model {merged} " in evaluate


@pytest.mark.parametrize(
    ("environment", "gpus", "line"),
    [
        ({"MODEL": "/none"}, 8, "MODEL=/none: there is no such file or folder"),
        ({"DATA": "none.jsonl"}, 8, "DATA=none.jsonl: there is no such file or folder"),
        ({}, 7, "needs 8 GPUs, this machine has 7"),
        ({}, None, "needs 8 GPUs, and finds no nvidia-smi"),
    ],
)
def test_what_is_missing_ends_in_one_line(environment, gpus, line, run, tmp_path):
    if gpus is not None:
        machine_with(tmp_path, gpus)
    result = run(GRPO, **environment)
    assert result.returncode == 2
    assert line in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "ray.argv").exists()


def test_a_script_submits_a_job_and_fails_with_it(run, tmp_path):
    machine_with(tmp_path, 8)
    result = run(GRPO, "--aer.tau", "0.6")
    assert result.returncode == 0, result.stderr
    argv = recorded(tmp_path, "ray")
    assert argv[:5] == ["job", "submit", "--address", "http://127.0.0.1:8265", "--"]
    assert argv[-2:] == ["--aer.tau", "0.6"] and "--dry-run" not in argv
    failed = run(GRPO, ray_status="1")
    assert failed.returncode == 1 and "aer-eval" not in failed.stdout


def test_a_job_finds_its_files_wherever_ray_was_started(run, inputs, tmp_path):
    """A job's current folder and PATH are those of `ray start`, not of the launch script."""
    machine_with(tmp_path, 8)
    folder = Path(inputs["DATA"]).parent
    result = run(GRPO, cwd=folder, MODEL="model", DATA="data.jsonl", SAVE="runs/one", PYTHON="python")
    assert result.returncode == 0, result.stderr
    argv = recorded(tmp_path, "ray")
    given = dict(pairwise(argv))
    assert argv[5] == str(tmp_path / "python")
    assert given["--actor.model_name_or_path"] == inputs["MODEL"]
    assert given["--data.prompt_dataset"] == inputs["DATA"]
    assert given["--ckpt.output_dir"] == str(folder / "runs/one")
    assert "--data-parallel 8" in result.stdout
    run(GRPO, MODEL="Qwen/Qwen3-4B-Base")
    assert "Qwen/Qwen3-4B-Base" in recorded(tmp_path, "ray")  # a hub id stays one


def test_resume_goes_on_while_checkpoints_appear(run, tmp_path):
    resume = EXAMPLES / "launch/resume.sh"
    assert "there is no checkpoint to resume from" in run(resume, str(GRPO)).stderr
    latest = tmp_path / "run/checkpoints/_actor/latest"
    latest.parent.mkdir(parents=True)
    latest.write_text("global_step20")
    launch = tmp_path / "launch.sh"  # fails after step 40, then without getting any further
    program(tmp_path, launch.name, f"#!/bin/sh\necho start\nprintf global_step40 >{latest}\nexit 1\n")
    result = run(resume, str(launch))
    assert result.returncode == 2
    assert result.stdout.count("start") == 2
    assert "the run failed twice after checkpoint global_step40" in result.stderr


def test_slurm_starts_a_node_each_and_trains_on_the_head(run, inputs, tmp_path):
    program(tmp_path, "scontrol", "#!/bin/sh\necho one\necho two\n")
    program(tmp_path, "srun", '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n')
    both_joined = f"[ $(tr '\\0' '\\n' <{tmp_path}/ray.argv | grep -cx start) = 2 ]"
    program(
        tmp_path, "python", f'#!/bin/sh\ncase "$1" in -c) until {both_joined}; do sleep 0.05; done; echo 16 ;; esac\n'
    )
    allocation = {"SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "x"}
    result = run(EXAMPLES / "launch/slurm.sh", **allocation)
    assert result.returncode == 0, result.stderr
    calls = recorded(tmp_path, "ray")
    assert calls.count("start") == 2 and "one:6379" in calls
    assert calls[calls.index("--actor.num_nodes") + 1] == "2"
    assert calls[calls.index("--vllm.num_engines") + 1] == "16"
    assert "aer-eval run" in result.stdout
