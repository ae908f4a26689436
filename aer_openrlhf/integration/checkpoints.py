"""Which checkpoint a run goes on from, and whether its flags allow it. Settled in the driver, before anything starts.

Every checkpoint folder holds `aer_state.json`, written when all ranks have finished theirs: the method, its settings
and its state. A folder without one was cut off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aer_eval.whole_file import whole_file

from ..methods.base import EntropyMethod
from .faults import RunFault
from .flags import build_method, flag_name

STATE_FILE = "aer_state.json"
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
        reason = str(error).strip().splitlines()[0]
        if not isinstance(error, OSError) and not any(mark in reason for mark in FAILED_WRITES):
            raise
        free = shutil.disk_usage(folder).free / 2**30
        raise RunFault(
            f"{flag} {folder}: the weights could not be written ({reason[:200]}; {free:.1f} GiB free): make room "
            f"there; checkpoints from before are whole, and with --ckpt.load_enable the same command goes on from them"
        ) from error


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
    return [f"{flag} is {now[name]}, was {before[name]}" for flag, name in changed.items()]


def _refusal(flag: str, before: Any, now: Any, args: SimpleNamespace) -> str:
    return (
        f"{flag} is {now}: the initial entropy in the checkpoint in {args.ckpt.path} was measured with {before}: "
        f"give {flag} {before}, or start a new run without --ckpt.load_enable"
    )


def prepare_resume(args: SimpleNamespace) -> None:
    """Point DeepSpeed at the newest whole checkpoint, and hold this run's flags against it.

    Raises ValueError, one line with the mend, where there is none left or the flags do not go with it. A damaged
    checkpoint is moved aside, so that the rotation by --ckpt.max_num never counts it as one of the good ones.
    """
    folder = Path(args.ckpt.path) / "_actor"
    if not args.ckpt.load_enable or not folder.is_dir():
        return
    written = sorted(folder.glob(f"*/{STATE_FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    if not written:
        return  # nothing yet, or checkpoints of stock OpenRLHF, which the controller refuses
    latest = folder / LATEST
    chosen = folder / (latest.read_text().strip() if latest.exists() else "")
    reason = damage(chosen)
    if reason is not None:
        whole = next((path.parent for path in written if damage(path.parent) is None), None)
        if whole is None:
            raise ValueError(
                f"--ckpt.path {args.ckpt.path}: no checkpoint can be read ({reason}): "
                "give another folder, or leave --ckpt.load_enable out"
            )
        print(f"[aer-train] the newest checkpoint is damaged: {reason}; going on from {whole.name}", flush=True)
        if chosen != folder and chosen.is_dir():
            _set_aside(chosen)
        with whole_file(latest) as file:
            file.write(whole.name)
        chosen = whole
    changes = check_settings(json.loads((chosen / STATE_FILE).read_text()), args)
    if changes:
        print(f"[aer-train] {chosen.name} goes on with other settings: {'; '.join(changes)}", flush=True)


def damage(folder: Path) -> str | None:
    """What is wrong with the files of a checkpoint, None if they are whole. Reads the end of each only."""
    if not (folder / STATE_FILE).exists():
        return f"not all ranks have finished {folder}"
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
