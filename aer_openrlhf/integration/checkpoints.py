"""Which checkpoint a run goes on from, and whether its flags allow it. Settled in the driver, before anything starts.

Every checkpoint folder holds `aer_state.json`, written when all ranks have finished theirs: the method, its settings
and its state. A folder without one was cut off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickletools
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aer_eval.whole_file import whole_file

from ..methods.base import EntropyMethod
from .faults import AGAIN, RunFault, first_line
from .flags import build_method, flag_name

STATE_FILE = "aer_state.json"
STATE_KEY = "aer"  # of the same state among the client states in DeepSpeed's files
ACTOR = "_actor"  # OpenRLHF's folder of the policy's checkpoints
LATEST = "latest"  # DeepSpeed's pointer
DAMAGED = "damaged"
FAILED_WRITES = ("inline_container", "os error")  # how torch and safetensors say that a file could not be written
TEMPERATURE = "temperature"


def state_of(method: EntropyMethod, args: SimpleNamespace) -> dict[str, Any]:
    """What a checkpoint says about the method: plain numbers and words."""
    return {
        "method": method.name,
        "settings": dataclasses.asdict(method.config),
        TEMPERATURE: args.rollout.temperature,
        **method.state_dict(),
    }


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write `aer_state.json`, whole or not at all."""
    with whole_file(folder / STATE_FILE) as file:
        file.write(json.dumps(state) + "\n")


@contextlib.contextmanager
def writing(flag: str, folder: str) -> Iterator[None]:
    """Around what writes weights: a write that fails raises RunFault, naming the folder and the mend."""
    try:
        yield
    except Exception as error:
        reason = first_line(error) or type(error).__name__
        if not isinstance(error, OSError) and not any(mark in reason for mark in FAILED_WRITES):
            raise
        free = free_space(folder) / 2**30
        raise RunFault(
            f"{flag} {folder}: the weights could not be written ({reason[:200]}; {free:.1f} GiB free): make room "
            f"there, or give another folder; checkpoints from before are whole. Then {AGAIN}"
        ) from error


def free_space(folder: str | Path) -> int:
    """Bytes free on the disk that a folder is on, or will be on once it is made."""
    path = Path(folder).absolute()
    # os.path.exists is false, where Path.exists raises, for what may not be looked at
    existing = next(parent for parent in (path, *path.parents) if os.path.exists(parent))
    return shutil.disk_usage(existing).free


def check_settings(state: dict[str, Any], args: SimpleNamespace) -> list[str]:
    """Raise ValueError, with the mend, if these flags cannot go on from a saved state; else say what has changed."""
    method = build_method(args)
    if state["method"] != method.name:
        raise ValueError(
            f"--aer.method {method.name}: the checkpoint in {args.ckpt.path} was written with {state['method']}, "
            f"whose state says nothing to it: give --aer.method {state['method']}, or start a new run from the "
            "checkpoint's Hugging Face folder without --ckpt.load_enable"
        )
    before, now = state["settings"], dataclasses.asdict(method.config)
    changed = {f"--{flag_name(method.name, name)}": name for name in now if before.get(name, now[name]) != now[name]}
    for flag, name in changed.items():
        if name in method.measured_with:
            raise ValueError(_refusal(flag, before[name], now[name], args))
    if method.measured_with and state[TEMPERATURE] != args.rollout.temperature:
        raise ValueError(_refusal("--rollout.temperature", state[TEMPERATURE], args.rollout.temperature, args))
    no_effect = dict.fromkeys(method.replaced_by_state, ", without effect: the checkpoint's coefficient goes on")
    return [f"{flag} is {now[name]}, was {before[name]}{no_effect.get(name, '')}" for flag, name in changed.items()]


def _refusal(flag: str, before: Any, now: Any, args: SimpleNamespace) -> str:
    return (
        f"{flag} is {now}: the initial entropy in the checkpoint in {args.ckpt.path} was measured with {before}: "
        f"give {flag} {before}, or start a new run without --ckpt.load_enable"
    )


def prepare_resume(args: SimpleNamespace) -> None:
    """Point DeepSpeed at the newest whole checkpoint, once this run's flags have been held against it.

    Raises ValueError as `plan_resume` does. A damaged checkpoint is moved aside, so that the rotation by
    --ckpt.max_num never counts it as one of the good ones.
    """
    chosen, broken = plan_resume(args)
    if broken is not None:
        _set_aside(broken)
    if chosen is not None and pointed_at(chosen.parent) != chosen:
        with whole_file(chosen.parent / LATEST) as file:
            file.write(chosen.name)


def plan_resume(args: SimpleNamespace) -> tuple[Path | None, Path | None]:
    """The checkpoint to go on from and the damaged one that stands before it, None where there is none of a kind.

    Says what it finds and changes nothing. Raises ValueError, one line with the mend, where no checkpoint can be read,
    the newest is of a run without --aer.enable, or the flags do not go with it.
    """
    folder = Path(args.ckpt.path) / ACTOR
    if not args.ckpt.load_enable or not folder.is_dir():
        return None, None
    written = sorted(folder.glob(f"*/{STATE_FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    chosen, broken = pointed_at(folder) or folder, None
    if _is_stock(chosen):
        raise ValueError(stock_refusal(chosen, [path.parent.name for path in written]))
    if not written:
        return None, None  # no checkpoint has been finished yet
    reason = damage(chosen)
    if reason is not None:
        whole = next((path.parent for path in written if damage(path.parent) is None), None)
        if whole is None:
            raise ValueError(
                f"--ckpt.path {args.ckpt.path}: no checkpoint can be read ({reason}): "
                "give another folder, or leave --ckpt.load_enable out"
            )
        print(f"[aer-train] the newest checkpoint is damaged: {reason}; going on from {whole.name}", flush=True)
        broken = chosen if chosen != folder and chosen.is_dir() else None
        chosen = whole
    changes = check_settings(json.loads((chosen / STATE_FILE).read_text()), args)
    if changes:
        print(f"[aer-train] {chosen.name} goes on with other settings: {'; '.join(changes)}", flush=True)
    return chosen, broken


def pointed_at(folder: Path) -> Path | None:
    """The checkpoint that DeepSpeed's pointer in a folder names, None where there is none."""
    latest = folder / LATEST
    return folder / latest.read_text().strip() if latest.is_file() else None


def _is_stock(folder: Path) -> bool:
    """Whether a checkpoint is whole, but for our state: that of a run without --aer.enable.

    A kill between DeepSpeed's last file and ours leaves the same files behind, with our state among DeepSpeed's.
    """
    models = list(folder.glob("*model_states.pt"))
    if not models or (folder / STATE_FILE).exists() or _cut_off(folder) is not None:
        return False
    return not any(map(_holds_state, models))


def _holds_state(path: Path) -> bool:
    """Whether DeepSpeed's file has our key in its client state. Reads its pickle, which holds no tensor's data, and
    executes nothing of it."""
    with zipfile.ZipFile(path) as archive:
        pickles = [archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl")]
    return any(value == STATE_KEY for data in pickles for _, value, _ in pickletools.genops(data))


def stock_refusal(folder: Path, written: list[str]) -> str:
    """Why there is no going on from a checkpoint without our state. written: those that have it, the newest first."""
    older = f"write {written[0]}, which has it, into {folder.parent / LATEST}, " if written else ""
    return (
        f"the checkpoint {folder} was written without --aer.enable, the initial entropy is not in it: leave "
        f"--aer.enable out, {older}or start a new run from its Hugging Face folder without --ckpt.load_enable"
    )


def damage(folder: Path) -> str | None:
    """What is wrong with the files of a checkpoint, None if they are whole. Reads the end of each only."""
    if not (folder / STATE_FILE).exists():
        return f"not all ranks have finished {folder}"
    return _cut_off(folder)


def _cut_off(folder: Path) -> str | None:
    files = sorted(folder.glob("*.pt"))
    for path in files:
        if not zipfile.is_zipfile(path):  # torch writes zip archives, whose directory stands at the end
            return f"{path} is cut off at {path.stat().st_size} bytes"
    return None if files else f"{folder} holds no weights"


def _set_aside(broken: Path) -> None:
    aside = broken.parents[1] / DAMAGED / broken.name
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(exist_ok=True)
    broken.rename(aside)
    print(f"[aer-train] the damaged checkpoint is now {aside}", flush=True)
