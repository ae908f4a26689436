"""Every launch script, run as DRY_RUN=1: its flags go through the real parser and the real checks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.openrlhf_args import parse
from tests.tiny_model import save_tiny_model

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    path
    for folder in ("launch", "qwen3_4b_base", "qwen3_8b_base")
    for path in sorted((ROOT / "examples" / folder).glob("*.sh"))
    if path.name != "common.sh" and "slurm" not in path.name and "node_" not in path.name
]
RECORDER = "#!{python}\nimport json, os, sys\nopen(os.environ['ARGV'], 'w').write(json.dumps(sys.argv[1:]))\n"


def dry_run(script: Path, folder: Path, data: Path) -> subprocess.CompletedProcess[str]:
    recorder = folder / "python"
    recorder.write_text(RECORDER.format(python=sys.executable))
    recorder.chmod(0o755)
    environment = {"DRY_RUN": "1", "PYTHON": str(recorder), "ARGV": str(folder / "argv.json")}
    paths = {"MODEL": str(folder / "model"), "DATA": str(data), "SAVE": str(folder / "run")}
    return subprocess.run(
        [str(script)], env={**os.environ, **environment, **paths}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_flags_pass_the_real_parser_and_checks(script: Path, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    data = tmp_path / "data.jsonl"
    data.write_text('{"prompt": "1", "label": "1"}\n')
    result = dry_run(script, tmp_path, data)
    assert result.returncode == 0, result.stderr
    module, name, *flags, last = json.loads((tmp_path / "argv.json").read_text())
    assert (module, name, last) == ("-m", "aer_openrlhf.cli.train_ppo_ray", "--dry-run")
    args = parse(*flags)
    assert args.aer.enable and args.ckpt.load_enable
    if script.parent.name != "launch" and script.stem not in ("grpo", "clip_higher"):
        assert args.aer.method == script.stem


def test_a_missing_dataset_ends_in_one_line(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    result = dry_run(SCRIPTS[0], tmp_path, tmp_path / "none.jsonl")
    assert result.returncode == 2
    assert "none.jsonl: there is no such file" in result.stderr
    assert not (tmp_path / "argv.json").exists()
