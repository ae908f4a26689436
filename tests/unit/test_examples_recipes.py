"""The flags of every recipe's methods, as they are handed to aer-train, against a snapshot.

After a wanted change: REFRESH_RECIPES=1 python -m pytest tests/unit/test_examples_recipes.py, and read the diff.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def flags(script: Path, folder: Path) -> str:
    """One line: the flags, with the places of the repository and of the current folder taken out."""
    echo = folder / "python"
    echo.write_text('#!/bin/sh\necho "$@"\n')
    echo.chmod(0o755)
    names = {"DRY_RUN": "1", "PYTHON": str(echo), "MODEL": "MODEL", "DATA": "DATA", "SAVE": "SAVE"}
    output = subprocess.run(
        [str(script)], env={**os.environ, **names}, cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    line = output.stdout.splitlines()[0]
    return line.replace(str(script.parents[2].resolve()), "ROOT").replace(str(folder.resolve()), "HERE")


@pytest.mark.parametrize("recipe", ["qwen3_4b_base", "qwen3_8b_base"])
def test_flags_are_those_of_the_snapshot(recipe: str, tmp_path: Path) -> None:
    scripts = sorted((ROOT / "examples" / recipe).glob("*.sh"))
    now = {path.stem: flags(path, tmp_path) for path in scripts if path.name != "common.sh"}
    assert len(now) == 11
    snapshot = ROOT / "tests/unit/recipes" / f"{recipe}.json"
    if os.environ.get("REFRESH_RECIPES"):
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(json.dumps(now, indent=1) + "\n")
    assert now == json.loads(snapshot.read_text())
