"""The demo under fire: a random kill -9 of one of its processes every minute or two, and a plain `until` loop.

python -m tests.e2e.chaos [--steps 300] [--every 60 120] [--seed 0] --out FOLDER

Trains COUNTDOWN-3 twice from the same start: undisturbed, and with a process killed every so often (the driver, the
controller, the policy rank, the vLLM engine, Ray's node process or its head). Prints every kill with the seconds until
all of the run's processes were gone, and both runs' reward and entropy over the last 20 steps; ends with code 0 if the
steps are complete and in order and H_0 is that of the first step.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean

import psutil

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "quickstart"))

from model import make_model
from settings import num_prompts, train_args
from tasks import TASKS, train_problems, write_jsonl
from tests.e2e.processes import TITLES, family, find

ROOT = Path(__file__).parents[2]
LAST, SAVE_STEPS = 20, 5
DRIVER = "the driver"


def command(run_dir: Path, data: Path, steps: int) -> list[str]:
    """`aer-train` on the demo, resuming by itself."""
    model = make_model(TASKS["countdown"], cache=run_dir.parent / "cache")
    resume = {"ckpt.save_steps": SAVE_STEPS, "ckpt.load_enable": True}
    arguments = train_args(TASKS["countdown"], model, data, run_dir, "aer", seed=1, steps=steps, **resume)
    return [sys.executable, "-m", "aer_openrlhf.cli.train_ppo_ray", *arguments]


def rows(run_dir: Path) -> list[dict]:
    path = run_dir / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def driver_of(loop: subprocess.Popen) -> psutil.Process | None:
    children = psutil.Process(loop.pid).children() if loop.poll() is None else []
    return children[0] if children else None


def kill_one(driver: psutil.Process, dice: random.Random) -> tuple[str, float]:
    """Kill a random process of the run; its kind, and the seconds until nothing of the run was left."""
    everyone = [driver, *family(driver.pid)]
    living = {kind: process for kind in TITLES if (process := find(driver.pid, kind)) is not None} | {DRIVER: driver}
    kind = dice.choice(sorted(living))
    began = time.monotonic()
    living[kind].kill()
    _, left = psutil.wait_procs(everyone, timeout=300)
    if left:
        raise SystemExit(f"after the kill of {kind} there are left after 300 s: {left}")
    return kind, time.monotonic() - began


def run_under_fire(run_dir: Path, training: list[str], every: tuple[float, float], dice: random.Random) -> None:
    """A plain `until` loop around the training, and kills until it has come to its end."""
    with (run_dir.parent / f"{run_dir.name}.log").open("w") as log:
        loop = subprocess.Popen(
            ["bash", "-c", 'until "$@"; do :; done', "until", *training],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'eval'}", "OMP_NUM_THREADS": "1"},
        )
        while loop.poll() is None:
            try:
                loop.wait(timeout=dice.uniform(*every))
            except subprocess.TimeoutExpired:
                driver = driver_of(loop)
                if driver is not None:
                    done = len(rows(run_dir))
                    kind, seconds = kill_one(driver, dice)
                    print(f"step {done:4d}: killed {kind}; all processes gone after {seconds:.1f} s", flush=True)
        if loop.returncode != 0:
            raise SystemExit(f"{run_dir.name}: something else has ended the loop, with code {loop.returncode}")


def summary(name: str, run_dir: Path, steps: int) -> bool:
    """Print a run's end; whether its steps are complete, in order and of one H_0."""
    found = rows(run_dir)
    in_order = [row["step"] for row in found] == list(range(1, steps + 1))
    one_anchor = len({row["aer/entropy_initial"] for row in found}) == 1
    reward, entropy = (fmean(row[key] for row in found[-LAST:]) for key in ("rollout/reward_mean", "aer/entropy"))
    print(
        f"{name}: {len(found)} rows, steps complete and in order: {in_order}, one H_0 "
        f"({found[0]['aer/entropy_initial']:.4f}): {one_anchor}, reward {reward:.3f}, entropy {entropy:.3f}"
    )
    return in_order and one_anchor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=float, nargs=2, default=(60, 120), help="least and most seconds between kills")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    out = args.out.resolve()
    data = out / "prompts.jsonl"
    write_jsonl(train_problems(TASKS["countdown"], num_prompts(args.steps), seed=0), data)
    never = (1e6, 1e6)
    good = []
    for name, every in (("undisturbed", never), ("killed", tuple(args.every))):
        began = time.monotonic()
        run_under_fire(out / name, command(out / name, data, args.steps), every, random.Random(args.seed))
        good.append(summary(name, out / name, args.steps))
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
