"""The quickstart: train the demo model with AER on the real stack, evaluate before and after, write a report.

python examples/quickstart/run.py [--task countdown] [--steps 150] [--seed 0] [--run-dir runs/quickstart]
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from aer_eval.metrics.markdown import table
from aer_openrlhf.runlog import METRICS_FILE, describe_step, read_lines
from held_out import evaluate_folder, write_json
from model import make_model
from settings import EVAL_PROMPTS, EVAL_SAMPLES, QUICKSTART_STEPS, THREADS, num_prompts, train_args
from tasks import TASKS, Task, held_out_problems, train_problems, write_jsonl

TRAINER = "aer_openrlhf.cli.train_ppo_ray"
REPORT = "aer_openrlhf.report.cli"
EVALUATION_FILE, LOG_FILE = "pass_at_k.json", "train.log"
PROGRESS_SECONDS = 10.0
STOP_SECONDS = 60.0
TAIL_BYTES, TAIL_LINES = 64 * 1024, 30
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
RAY_PREFIX = re.compile(r"^\([^)]*pid=[^)]*\)")


class TrainingFailed(Exception):
    """The trainer ended with an error; the message holds the end of its log and the log's path."""


def set_aside(folder: Path) -> None:
    """Rename a folder that is in the way to ``NAME.old-N``: a new run starts fresh and nothing is lost."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    number = 1
    while (old := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    folder.rename(old)
    print(f"moved an earlier {folder} to {old}", flush=True)


def train_and_evaluate(task: Task, start: Path, run_dir: Path, seed: int, steps: int) -> list[dict[str, Any]]:
    """Train AER from the model in ``start``, evaluate both, and return the records of ``pass_at_k.json``."""
    set_aside(run_dir)
    prompts = run_dir / "prompts.jsonl"
    write_jsonl(train_problems(task, num_prompts(steps), seed), prompts)
    write_jsonl(held_out_problems(task, EVAL_PROMPTS, 0), run_dir / "held_out.jsonl")  # for aer-eval
    before = evaluate(task, start, "before")
    train(train_args(task, start, prompts, run_dir, "aer", seed, steps), run_dir, steps)
    records = [before, evaluate(task, run_dir, "after")]
    write_json(records, run_dir / EVALUATION_FILE)
    return records


def evaluate(task: Task, folder: Path, label: str) -> dict[str, Any]:
    """Measure a saved model on the same held-out prompts for every run of the task."""
    samples = EVAL_SAMPLES[task.name]
    print(f"evaluating {label}: {samples} samples of held-out prompts at temperature 1", flush=True)
    return evaluate_folder(folder, label, task, EVAL_PROMPTS, samples)[0]


def train(arguments: Sequence[str], run_dir: Path, steps: int) -> None:
    """Run ``aer-train`` with its output in ``train.log`` and show progress; raise TrainingFailed if it fails.

    The trainer is detached from the terminal, so that Ctrl-C reaches it once and from here.
    """
    log = run_dir / LOG_FILE
    print(f"training {steps} steps, log in {log}", flush=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", TRAINER, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        watch(process, run_dir, steps)
    except BaseException:
        stop(process)
        raise
    if process.returncode != 0:
        tail = "\n".join(log_tail(log))
        raise TrainingFailed(f"{tail}\n\naer-train ended with exit code {process.returncode}; its log is {log}")


def watch(process: subprocess.Popen[bytes], run_dir: Path, steps: int) -> None:
    """Print a line of progress every ten seconds until the process ends."""
    started = shown = time.monotonic()
    while process.poll() is None:
        time.sleep(0.5)
        now = time.monotonic()
        if now - shown >= PROGRESS_SECONDS:
            shown = now
            print(f"{now - started:5.0f} s  {progress(run_dir, steps)}", flush=True)


def progress(run_dir: Path, steps: int) -> str:
    """What the newest row of the metrics says, or the log's last line while there is none (start-up) or no more."""
    rows = read_lines(run_dir / METRICS_FILE)
    if not rows or rows[-1]["step"] >= steps:
        lines = log_tail(run_dir / LOG_FILE)
        return f"{'saving the weights' if rows else 'starting'}: {lines[-1][:100] if lines else 'no output yet'}"
    return describe_step(rows[-1], steps)


def log_tail(log: Path) -> list[str]:
    """The last 30 lines of a log that say something, without colours and Ray's prefixes."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        text = file.read().decode(errors="replace")
    lines = (RAY_PREFIX.sub("", COLOUR.sub("", line)).strip() for line in text.splitlines())
    return [line for line in lines if line][-TAIL_LINES:]


def stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt the trainer and wait; kill its process group if it takes too long or Ctrl-C comes again."""
    if process.poll() is not None:
        return
    print(f"stopping the trainer, up to {STOP_SECONDS:.0f} s (Ctrl-C again kills it)", flush=True)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def make_report(run_dirs: Sequence[Path], out: Path) -> Path:
    """Draw one report over all runs with ``aer-report`` and return the page's path; SystemExit if that fails."""
    report = subprocess.run([sys.executable, "-m", REPORT, *map(str, run_dirs), "--out", str(out)])
    if report.returncode != 0:
        sys.exit(report.returncode)
    return out / "report.html"


def evaluation_header(record: dict[str, Any]) -> list[str]:
    """Column names for ``evaluation_cells``."""
    passes = [f"pass@{k}" for k in record["pass_at_k"]]
    return [*passes, f"distinct right of {record['num_samples']}", "entropy (nats)"]


def evaluation_cells(record: dict[str, Any]) -> list[str]:
    """The figures of one evaluation as table cells."""
    passes = [f"{share:.3f}" for share in record["pass_at_k"].values()]
    return [*passes, f"{record['distinct_correct']:.2f}", f"{record['entropy']:.3f}"]


def prepare_process() -> None:
    """Let termination and a closed terminal stop the trainer the way Ctrl-C does; keep libraries quiet."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # under nohup a closed terminal stops nothing
            signal.signal(number, signal.default_int_handler)
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed would warn that it found no GPU
    os.environ.setdefault("OMP_NUM_THREADS", THREADS)
    disable_progress_bar()


def main() -> None:
    """Run the quickstart from the command line."""
    parser = argparse.ArgumentParser(description="train and evaluate the demo model with AER, on this machine")
    parser.add_argument("--task", choices=sorted(TASKS), default="countdown", help="demo task")
    parser.add_argument("--steps", type=int, default=QUICKSTART_STEPS, help="training steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training prompts and of the trainer")
    parser.add_argument("--run-dir", type=Path, default=Path("runs/quickstart"), help="folder for all results")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    started = time.monotonic()
    prepare_process()
    task = TASKS[args.task]
    try:
        start = make_model(task)
        records = train_and_evaluate(task, start, args.run_dir, args.seed, args.steps)
        report = make_report([args.run_dir], args.run_dir)
    except TrainingFailed as failure:
        sys.exit(f"\n{failure}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    print()
    rows = [[record["label"], *evaluation_cells(record)] for record in records]
    print(table(["", *evaluation_header(records[0])], rows))
    print(f"\n{task.name}, {records[0]['num_prompts']} held-out prompts, {time.monotonic() - started:.0f} s in all")
    print(f"report   {report}\nmetrics  {args.run_dir / METRICS_FILE}\nlog      {args.run_dir / LOG_FILE}")
    print(f"models   {start} (before), {args.run_dir} (after)")


if __name__ == "__main__":
    main()
