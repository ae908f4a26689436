"""What ends a run: one line for the user, whatever died and however many processes the error came through."""

from __future__ import annotations

import re
from collections.abc import Iterator

AGAIN = "start the same command again: with --ckpt.load_enable it goes on from the newest checkpoint"
ANEW = (  # the same with --ckpt.disable_ds
    "start again: with --ckpt.disable_ds training starts anew, from --actor.model_name_or_path, which may be the "
    "newest folder of --ckpt.save_hf"
)
FAILED_START = "raised in its creation task"  # in Ray's report of an actor whose constructor has raised
ACTORS = {  # part of an actor's class name -> what a user knows it as
    "PolicyModelActor": "a policy rank",
    "ReferenceModelActor": "a rank of the reference model",
    "RolloutRayActor": "a vLLM engine",
    "GenerateSamplesActor": "the sampling process",
    "Trainer": "the controller process",
    "TrainingActor": "the controller process",
}


class RunFault(RuntimeError):
    """Ends the run; its message is the one line that a user needs: what happened, where, and the mend."""


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from, Ray's wrappers included, the outermost first."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        # Ray hands an error on as an instance of its own class and of the original's, with the original as `cause`.
        waiting += [getattr(found, "cause", None), found.__cause__, found.__context__]


def original(error: BaseException) -> BaseException:
    """The error as it was raised, without what Ray has wrapped around it."""
    return getattr(error, "cause", None) or error


def is_death(error: BaseException) -> bool:
    """Whether a process of the run has died, or cannot be reached."""
    from ray.exceptions import ActorDiedError, RayActorError

    return any(isinstance(link, RayActorError) or ActorDiedError.BASE_ERROR_MSG in str(link) for link in chain(error))


def explain(error: BaseException) -> str:
    """One line for what ended a run."""
    from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

    links = list(chain(error))
    plain = [link for link in links if not isinstance(link, RayTaskError)]
    for link in plain:
        if isinstance(link, RunFault):
            return str(link)
    # Ray cannot pickle its own report of a death: what has come through a second process is its text.
    for report in map(str, links):
        if ActorDiedError.BASE_ERROR_MSG in report:
            return _death(report)
        if FAILED_START in report:
            return _failed_start(report)
    unreachable = next((link for link in links if isinstance(link, ActorUnavailableError)), None)
    if unreachable is not None:  # where an actor alone has died, the Ray process of its node says so
        return f"the Ray node process of a node died or cannot be reached ({first_line(unreachable)}); {AGAIN}"
    first = plain[0] if plain else error
    return f"{type(first).__name__}: {first_line(first)} (traceback above)"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, empty where it has none."""
    return next(iter(str(error).strip().splitlines()), "")


def _death(report: str) -> str:
    """What died, from Ray's report of it."""
    found = {name: re.search(rf"\b{name}: (\S+)", report) for name in ("class_name", "pid", "ip")}
    class_name, pid, node = (match.group(1) if match else "" for match in found.values())
    who = _named(class_name)
    if "its node has died" in report:
        who, pid = "the Ray node process", ""
    return (
        f"{who}{_place(pid, node)} died: killed, out of memory (dmesg tells) or crashed (its last lines are above); "
        f"mend that, then {AGAIN}"
    )


def _failed_start(report: str) -> str:
    """What an actor's constructor has raised, from Ray's report of it: a traceback under the name of the actor."""
    found = re.search(r"ray::(\S+?)\.__init__\(\)\S* \(pid=(\d+), ip=([^,)]+)", report)
    class_name, pid, node = found.groups() if found else ("", "", "")
    lines = report.splitlines()
    last_frame = max((number for number, line in enumerate(lines) if line.startswith("  File ")), default=0)
    raised = next((line for line in lines[last_frame + 1 :] if line and not line.startswith(" ")), "")
    fault = raised.removeprefix(f"{RunFault.__module__}.{RunFault.__qualname__}: ")
    if fault != raised:
        return fault
    return f"{_named(class_name)}{_place(pid, node)} could not start: {raised} (traceback above)"


def _named(class_name: str) -> str:
    return next(
        (name for part, name in ACTORS.items() if part in class_name), f"a process of Ray {class_name}".strip()
    )


def _place(pid: str, node: str) -> str:
    parts = [f"{name} {value}" for name, value in (("process", pid), ("node", node)) if value]
    return f" ({', '.join(parts)})" if parts else ""
