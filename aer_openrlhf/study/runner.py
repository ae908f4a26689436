"""Brings runs to their end, some at a time: training, then evaluation, each a child process with a log."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from aer_eval.errors import UserError
from aer_openrlhf.report.runs import EVALUATIONS_FILE, RunError, load_run, read_evaluations
from aer_openrlhf.runlog import METRICS_FILE, describe_step, read_lines

from . import folder
from .definition import Run

PROGRESS_SECONDS = 30.0
STOP_SECONDS = 60.0
"""What an interrupted child has before it is killed."""


class RunFailed(Exception):
    """A run's command ended badly; the message holds its log's path."""


class Stopped(Exception):
    """The study is being stopped: nothing new is started."""


class Runner:
    """Runs at most ``jobs`` at a time. Children are sessions of their own: Ctrl-C reaches them once, from here."""

    def __init__(self, jobs: int = 1) -> None:
        self.jobs = jobs
        self._stopping = False
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def perform(self, runs: Sequence[Run], finished: Callable[[Run], None]) -> list[str]:
        """Bring every run to its end; call ``finished`` after each; return a line for each that failed.

        A UserError of ``finished`` is a line too: it stops no other run.

        Raises:
            KeyboardInterrupt: on Ctrl-C, after all children have ended.
        """
        failures: list[str] = []
        with ThreadPoolExecutor(self.jobs) as pool:
            futures: dict[Future[None], Run] = {pool.submit(self._complete, run): run for run in runs}
            try:
                for number, future in enumerate(as_completed(futures), 1):
                    run = futures[future]
                    try:
                        future.result()
                        print(f"{run.name}: finished ({number} of {len(runs)})", flush=True)
                        finished(run)
                    except (RunFailed, UserError) as problem:
                        failures.append(f"{run.name}: {problem}")
                        print(f"FAILED {failures[-1]}", flush=True)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._stop()
                raise
        return failures

    def _complete(self, run: Run) -> None:
        try:
            with folder.locked(run) as lock:
                self._perform_stages(run, lock)
        except OSError as problem:
            raise RunFailed(
                f"{run.folder}: {problem}; make room or mend it, and give the same command again"
            ) from problem

    def _perform_stages(self, run: Run, lock: int) -> None:
        if folder.state(run) in ("new", "interrupted"):
            folder.start(run)
            if run.train:
                seconds = self._execute(run, "train", run.train, lock)
                folder.write(run.folder / folder.TRAINED_FILE, {"seconds": seconds})
        if run.evaluate:
            folder.forget_evaluation(run)
            self._execute(run, "evaluate", run.evaluate, lock)
        _check_results(run)
        folder.write(run.folder / folder.DONE_FILE, {"evaluate": run.portable(run.evaluate)})

    def _execute(self, run: Run, stage: str, command: Sequence[str], lock: int) -> float:
        """Run a command with its output appended to the stage's log; return its wall-clock seconds."""
        log = run.folder / f"{stage}.log"
        print(f"{run.name}: {stage}, log in {log}", flush=True)
        started = time.monotonic()
        with log.open("ab") as output:
            output.write(f"$ {shlex.join(command)}\n".encode())
            output.flush()
            process = self._spawn(command, output.fileno(), lock)
        try:
            code = _wait(process, run, stage)
        finally:
            with self._lock:
                self._children.discard(process)
        if self._stopping:
            raise Stopped
        if code != 0:
            raise RunFailed(f"{stage} ended with exit code {code}; its log is {log}{_last_line(log)}")
        return time.monotonic() - started

    def _spawn(self, command: Sequence[str], output: int, lock: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, *command[1:]] if command[0] == "python" else list(command)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
        with self._lock:
            if self._stopping:
                raise Stopped
            try:
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                    pass_fds=[lock],
                )
            except OSError as problem:
                raise RunFailed(f"cannot start: {problem}") from problem
            self._children.add(process)
        return process

    def _stop(self) -> None:
        """Interrupt the children and wait for them; kill what takes too long, or all of it on a second Ctrl-C."""
        with self._lock:
            self._stopping = True
            children = list(self._children)
        if children:
            print(f"stopping, up to {STOP_SECONDS:.0f} s (Ctrl-C again kills)", flush=True)
        _signal(children, signal.SIGINT)
        try:
            deadline = time.monotonic() + STOP_SECONDS
            while any(child.poll() is None for child in children) and time.monotonic() < deadline:
                time.sleep(0.1)
        except KeyboardInterrupt:
            print("killing what still runs", flush=True)
        _signal([child for child in children if child.poll() is None], signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], run: Run, stage: str) -> int:
    """The exit code of a child; while it trains, a line now and then says how far it is."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(PROGRESS_SECONDS)
        if stage == "train" and (rows := read_lines(run.folder / METRICS_FILE)):
            print(f"{run.name}: {describe_step(rows[-1])}", flush=True)


def _check_results(run: Run) -> None:
    """A run counts as finished once its table row can be made."""
    try:
        evaluations = load_run(run.folder).evaluations if run.train else read_evaluations(run.folder)
    except RunError as problem:
        raise RunFailed(str(problem)) from problem
    if run.evaluate and not evaluations:
        raise RunFailed(f"the evaluation wrote no {run.folder / EVALUATIONS_FILE}")
    temperatures = [evaluation.temperature for evaluation in evaluations]
    if len(set(temperatures)) < len(temperatures):
        raise RunFailed(f"{run.folder / EVALUATIONS_FILE}: two evaluations at one temperature; evaluate one suite")


def _signal(children: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f" ({lines[-1][:200]})" if len(lines) > 1 else ""
