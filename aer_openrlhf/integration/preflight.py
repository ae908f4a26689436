"""Checks on files that the command line names, before any process starts."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DATA_SUFFIXES = (".json", ".jsonl", ".csv", ".parquet", ".arrow")


def check_paths(flat: argparse.Namespace) -> None:
    """Raise ValueError, one line with the flag and the mend, for a model, dataset, reward or agent that is not there.

    flat: the parser's own namespace, whose names hold dots. Hub ids are left to the hub.
    """
    given = vars(flat)
    model = given["actor.model_name_or_path"]
    if not model:
        raise ValueError("--actor.model_name_or_path is missing: give a Hugging Face id or a model folder")
    if _is_path(model) and not Path(model).is_dir():
        raise ValueError(f"--actor.model_name_or_path {model}: there is no such folder")
    if not given["data.prompt_dataset"]:
        raise ValueError("--data.prompt_dataset is missing: give a Hugging Face id or a .jsonl file of prompts")
    for flag in ("data.prompt_dataset", "eval.dataset"):
        for dataset in (given[flag] or "").split(","):
            _check_dataset(f"--{flag}", dataset.split("@")[0].strip(), given)
    for flag in ("reward.remote_url", "train.agent_func_path"):
        file = given[flag]
        if file and file.endswith(".py") and not Path(file).is_file():
            raise ValueError(f"--{flag} {file}: there is no such file")


def _check_dataset(flag: str, path: str, given: Mapping[str, Any]) -> None:
    if (_is_path(path) or path.endswith(DATA_SUFFIXES)) and not os.path.exists(path):
        raise ValueError(f"{flag} {path}: there is no such file or folder")
    if path.endswith(".jsonl"):
        chat = given["data.apply_chat_template"]
        check_rows(Path(path), given["data.input_key"], given["data.label_key"], chat, flag)


def check_rows(
    path: Path, input_key: str, label_key: str | None, chat: bool, flag: str = "--data.prompt_dataset"
) -> None:
    """Raise ValueError, one line with file, line number and mend, for a row that OpenRLHF cannot train on.

    chat: with --data.apply_chat_template a prompt may also be a list of messages. flag: names the file.
    """
    rows = 0
    with path.open(errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue  # `datasets` passes over empty lines too
            rows += 1
            fault = _row_fault(line, input_key, label_key, chat)
            if fault:
                raise ValueError(f"{flag} {path}, line {number}: {fault}")
    if rows == 0:
        raise ValueError(f"{flag} {path}: the file holds no row: give one JSON object a line")


def _row_fault(line: str, input_key: str, label_key: str | None, chat: bool) -> str | None:
    try:
        row = json.loads(line)
    except ValueError as error:
        return f"not JSON ({error}): mend or remove the line"
    if not isinstance(row, dict):
        return 'not a JSON object: write {"' + input_key + '": "..."} or remove the line'
    if input_key not in row:
        return f"there is no key {input_key!r}: name the prompt's key with --data.input_key"
    if label_key is not None and label_key not in row:
        return f"there is no key {label_key!r}: name the answer's key with --data.label_key"
    prompt = row[input_key]
    allowed: tuple[type, ...] = (str, list) if chat else (str,)
    if not isinstance(prompt, allowed):
        return f"{input_key!r} is {type(prompt).__name__}, not a string: mend or remove the line"
    if not prompt or (isinstance(prompt, str) and not prompt.strip()):
        return f"{input_key!r} is empty: mend or remove the line"
    return None


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~"))
