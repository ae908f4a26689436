"""Checks on files that the command line names, before any process starts."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

DATA_SUFFIXES = (".json", ".jsonl", ".csv", ".parquet", ".arrow")


def check_paths(flat: argparse.Namespace) -> None:
    """Raise ValueError, one line with the flag and the mend, for a model, dataset or reward that is not there.

    flat: the parser's own namespace, whose names hold dots. Hub ids are left to the hub.
    """
    given = vars(flat)
    model = given["actor.model_name_or_path"]
    if not model:
        raise ValueError("--actor.model_name_or_path is missing: give a Hugging Face id or a model folder")
    if _is_path(model) and not Path(model).is_dir():
        raise ValueError(f"--actor.model_name_or_path {model}: there is no such folder")
    datasets = given["data.prompt_dataset"]
    if not datasets:
        raise ValueError("--data.prompt_dataset is missing: give a Hugging Face id or a .jsonl file of prompts")
    for dataset in datasets.split(","):
        path = dataset.split("@")[0].strip()
        if (_is_path(path) or path.endswith(DATA_SUFFIXES)) and not os.path.exists(path):
            raise ValueError(f"--data.prompt_dataset {path}: there is no such file or folder")
    reward = given["reward.remote_url"]
    if reward and reward.endswith(".py") and not Path(reward).is_file():
        raise ValueError(f"--reward.remote_url {reward}: there is no such file")


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~"))
