"""GRPO against AER from the same start, for several seeds: trained, evaluated and overlaid in one report.

    python examples/quickstart/demo.py --task countdown --seeds 0 1

Finished runs are kept, so an interrupted demo goes on where it stopped. The table in ``runs/demo-TASK/table.md`` is
written after every run.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from model import make_model
from run import (
    EVALUATION_FILE,
    TrainingFailed,
    evaluation_cells,
    evaluation_header,
    make_report,
    markdown_table,
    prepare_process,
    read_metrics,
    run_method,
)
from settings import METHOD_FLAGS, STEPS
from tasks import TASKS, Task

LAST_STEPS = 20  # over which the final entropy is averaged


@dataclass(frozen=True)
class Arm:
    """One method of the comparison."""

    name: str
    method: str
    overrides: dict[str, Any] = field(default_factory=dict)


ARMS = {
    "countdown": tuple(Arm(name, name) for name in ("grpo", *(name for name in METHOD_FLAGS if name != "grpo"))),
    "make_n": (
        Arm("grpo", "grpo"),
        Arm("aer-tau0.5", "aer"),
        Arm("aer-tau0.7", "aer", {"aer.tau": 0.7}),
    ),
}


@dataclass(frozen=True)
class Result:
    """A finished run."""

    arm: str
    seed: str
    entropy_ratio: float
    """Mean entropy of the last 20 steps over the initial entropy H_0."""
    target_ratio: float | None
    """Target entropy over H_0, None for a method without one."""
    before: dict[str, Any]
    after: dict[str, Any]


def is_finished(run_dir: Path, start: Path, steps: int) -> bool:
    """Whether a run was evaluated, the last thing done, and had the same start and number of steps."""
    evaluations = run_dir / EVALUATION_FILE
    if not evaluations.exists():
        return False
    before = json.loads(evaluations.read_text())[0]
    rows = read_metrics(run_dir)
    return Path(before["checkpoint"]).name == start.name and bool(rows) and rows[-1]["step"] == steps


def load_result(arm: Arm, seed: int, run_dir: Path) -> Result:
    """Read a finished run's metrics and evaluations."""
    rows = read_metrics(run_dir)
    before, after = json.loads((run_dir / EVALUATION_FILE).read_text())
    initial, target = rows[0]["aer/entropy"], rows[-1].get("aer/entropy_target")
    if arm.method in ("grpo", "clip_higher"):  # run as AER with a coefficient of 0
        target = None
    return Result(
        arm=arm.name,
        seed=str(seed),
        entropy_ratio=fmean(row["aer/entropy"] for row in rows[-LAST_STEPS:]) / initial,
        target_ratio=None if target is None else target / initial,
        before=before,
        after=after,
    )


def mean_result(results: Sequence[Result]) -> Result:
    """The mean over the seeds of one arm."""
    records = [result.after for result in results]
    after = {
        **records[0],
        "pass_at_k": {k: fmean(record["pass_at_k"][k] for record in records) for k in records[0]["pass_at_k"]},
        "distinct_correct": fmean(record["distinct_correct"] for record in records),
        "entropy": fmean(record["entropy"] for record in records),
    }
    return Result(
        arm=results[0].arm,
        seed=f"mean of {len(results)}",
        entropy_ratio=fmean(result.entropy_ratio for result in results),
        target_ratio=results[0].target_ratio,
        before=results[0].before,
        after=after,
    )


def result_cells(result: Result) -> list[str]:
    """One row of the table."""
    target = "-" if result.target_ratio is None else f"{result.target_ratio:.2f}"
    return [result.arm, result.seed, f"{result.entropy_ratio:.2f}", target, *evaluation_cells(result.after)]


def table(results: Sequence[Result], command: str) -> str:
    """The comparison as Markdown, the command that makes it in the first line."""
    start = results[0].before
    by_arm = {name: [result for result in results if result.arm == name] for name in {r.arm: None for r in results}}
    rows = [["start", "", "1.00", "-", *evaluation_cells(start)]]
    rows += [result_cells(result) for result in results]
    rows += [result_cells(mean_result(group)) for group in by_arm.values() if len(group) > 1]
    header = ["method", "seed", f"entropy / H_0, last {LAST_STEPS} steps", "target / H_0", *evaluation_header(start)]
    return (
        f"Made by `{command}`.\n\n{markdown_table(header, rows)}\n\n"
        f"Evaluation: {start['num_prompts']} held-out prompts, {start['num_samples']} samples each, "
        f"temperature {start['temperature']:g}, unbiased pass@k.\n"
    )


def compare(
    task: Task, arms: Sequence[Arm], start: Path, seeds: Sequence[int], steps: int, folder: Path, command: str
) -> list[Path]:
    """Train and evaluate what is not finished yet, rewriting the table after every run; return the run folders."""
    results: list[Result] = []
    run_dirs: list[Path] = []
    for seed in seeds:
        for arm in arms:
            run_dir = folder / f"{arm.name}-seed{seed}"
            if is_finished(run_dir, start, steps):
                print(f"== {run_dir}: finished earlier", flush=True)
            else:
                print(f"== {run_dir}", flush=True)
                run_method(task, start, run_dir, arm.method, seed, steps, **arm.overrides)
            run_dirs.append(run_dir)
            results.append(load_result(arm, seed, run_dir))
            (folder / "table.md").write_text(table(results, command))
    return run_dirs


def main() -> None:
    """Run the comparison from the command line."""
    parser = argparse.ArgumentParser(description="GRPO against AER on a demo task, several seeds")
    parser.add_argument("--task", choices=sorted(TASKS), default="countdown", help="demo task")
    parser.add_argument("--arms", nargs="+", help="methods to compare (default: grpo and AER's arms)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="one pair of runs for each")
    parser.add_argument("--steps", type=int, help="training steps (default: 300 for countdown, 120 for make_n)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that gets demo-TASK")
    args = parser.parse_args()
    if args.steps is not None and args.steps < 1:
        parser.error("--steps must be at least 1")
    arms = {arm.name: arm for arm in ARMS[args.task]}
    chosen = args.arms or [name for name, arm in arms.items() if arm.method in ("grpo", "aer")]
    if unknown := set(chosen) - arms.keys():
        parser.error(f"--arms {' '.join(sorted(unknown))}: {args.task} has {', '.join(arms)}")
    prepare_process()
    task, folder = TASKS[args.task], args.runs / f"demo-{args.task}"
    command = shlex.join(["python", *sys.argv])
    try:
        start = make_model(task, cache=args.runs / "cache")
        run_dirs = compare(
            task, [arms[name] for name in chosen], start, args.seeds, args.steps or STEPS[task.name], folder, command
        )
        report = make_report(run_dirs, folder)
    except TrainingFailed as failure:
        sys.exit(f"\n{failure}")
    except KeyboardInterrupt:
        sys.exit("interrupted; finished runs are kept, the same command goes on from here")
    print(f"\n{(folder / 'table.md').read_text()}\ntable   {folder / 'table.md'}\nreport  {report}")


if __name__ == "__main__":
    main()
