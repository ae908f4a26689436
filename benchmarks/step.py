"""What AER costs: seconds of a training step and memory of the policy process, against OpenRLHF, in interleaved runs.

python benchmarks/step.py [--model demo|smollm2] [--steps 60] [--rounds 2] [--cases stock aer ...] [--out results.json]

Every round runs the demo task on the real stack once per case, from the same start:

    stock           OpenRLHF's own classes, no --aer.enable
    stock_entropy   the same with --actor.entropy_coef
    aer             AER, --aer.fused_head off
    aer_fused       AER, --aer.fused_head on

AER's coefficient is constant and on every response, so that the entropy term is in every micro-batch: the dearest
case. The learning rate is 0, so that all cases sample the same answers. `--model demo` is the demo's model of 133
thousand parameters, where a step is bookkeeping; `--model smollm2` is SmolLM2-135M-Instruct with its vocabulary of 49
thousand. Step times are OpenRLHF's own `timing/*`, read from TensorBoard; the first steps of a run are left out.
Memory is the largest resident size of the policy process. Reported are medians over all steps and ratios to the first
case: run it on a machine that is otherwise idle.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "quickstart"))

from model import make_model
from run import prepare_process, train
from settings import BASE_FLAGS, train_args
from tasks import TASKS, train_problems, write_jsonl

PHASES = ("step_total", "generation", "make_experience", "ppo_train", "broadcast")
COEFFICIENT = 0.05
CONSTANT = {"aer.eta": 0, "aer.alpha_init": COEFFICIENT, "aer.alpha_max": COEFFICIENT, "aer.difficulty": "uniform"}
CASES: dict[str, dict[str, Any]] = {
    "stock": {},
    "stock_entropy": {"actor.entropy_coef": COEFFICIENT},
    "aer": {"aer.enable": True, **CONSTANT, "aer.fused_head": "off"},
    "aer_fused": {"aer.enable": True, **CONSTANT, "aer.fused_head": "on"},
}
WITHOUT_AER = {f"aer.{name}": None for name in ("enable", "method", "rho", "tau", "coef_max", "normalize")} | {
    "aer.eta": None,
    "aer.alpha_max": None,
}
SMOLLM2 = {
    "rollout.batch_size": 4,
    "rollout.n_samples_per_prompt": 4,
    "rollout.max_new_tokens": 96,
    "rollout.micro_batch_size": 8,
    "train.batch_size": 16,
    "train.micro_batch_size": 8,
    "data.max_len": 256,
}
WARM_UP_STEPS = {"demo": 10, "smollm2": 1}


class PolicyMemory(threading.Thread):
    """Watches this process's descendants for OpenRLHF's policy rank; `peak_mb` is its largest resident size."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "PolicyModelActor" in " ".join(process.cmdline()):
                        self.peak_mb = max(self.peak_mb, _high_water_mb(process.pid))
                except (psutil.Error, OSError):  # it ended in between
                    continue


def _high_water_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def make_smollm2() -> Path:
    """The model's folder, made by its own program: transformers looks for gguf only once, when it is imported."""
    program = Path(__file__).parents[1] / "examples" / "smollm2_gsm8k" / "model.py"
    made = subprocess.run([sys.executable, str(program)], stdout=subprocess.PIPE, text=True, check=True)
    return Path(made.stdout.splitlines()[-1])


def run_case(case: str, size: str, model: Path, data: Path, run_dir: Path, steps: int) -> dict[str, Any]:
    """Train once; seconds of every phase, step by step, and the policy process's peak memory in MiB."""
    sized = SMOLLM2 if size == "smollm2" else {}
    prompts = sized.get("rollout.batch_size", BASE_FLAGS["rollout.batch_size"]) * steps
    flags = {**sized, "actor.adam.lr": 0, "data.max_samples": prompts, **WITHOUT_AER, **CASES[case]}
    run_dir.mkdir()
    memory = PolicyMemory()
    memory.start()
    train(train_args(TASKS["countdown"], model, data, run_dir, "aer", seed=1, steps=steps, **flags), run_dir, steps)
    memory.ended.set()
    (events,) = (run_dir / "tensorboard").rglob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(events)).Reload()
    scalars = {phase: accumulator.Scalars(f"train/timing/{phase}") for phase in PHASES}
    seconds = {phase: [event.value for event in values[WARM_UP_STEPS[size] :]] for phase, values in scalars.items()}
    return {"seconds": seconds, "peak_mb": memory.peak_mb}


def table(figures: dict[str, dict[str, float]]) -> str:
    """Markdown: a row per figure, a column per case and its ratio to the first case's."""
    first, *others = figures
    header = ["", first, *(cell for case in others for cell in (case, f"{case} / {first}"))]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for name, reference in figures[first].items():
        cells = [f"{reference:.3f}"]
        for case in others:
            cells += [f"{figures[case][name]:.3f}", f"{figures[case][name] / reference:.3f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(WARM_UP_STEPS), default="demo")
    parser.add_argument(
        "--steps", type=int, default=60, help="rollout steps a run, the first ten (smollm2: one) apart"
    )
    parser.add_argument("--rounds", type=int, default=2, help="runs of each case, interleaved")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    if args.model == "smollm2":
        os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    prepare_process()
    model = make_model(TASKS["countdown"]) if args.model == "demo" else make_smollm2()
    runs: dict[str, list[dict[str, Any]]] = {case: [] for case in args.cases}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "prompts.jsonl"
        write_jsonl(train_problems(TASKS["countdown"], BASE_FLAGS["rollout.batch_size"] * args.steps, seed=1), data)
        for round_index in range(args.rounds):
            for case in args.cases:
                measured = run_case(case, args.model, model, data, Path(folder) / f"{case}-{round_index}", args.steps)
                runs[case].append(measured)
                median = statistics.median(measured["seconds"]["step_total"])
                print(f"round {round_index + 1}, {case}: median {median:.3f} s a step", flush=True)
    figures = {case: summary(measured) for case, measured in runs.items()}
    counted = sum(len(measured["seconds"]["step_total"]) for measured in runs[args.cases[0]])
    print(f"\n{args.model}, median over {counted} steps each; seconds, memory in MiB\n\n{table(figures)}")
    if args.out:
        args.out.write_text(
            json.dumps({"model": args.model, "steps": args.steps, "rounds": args.rounds, **figures}, indent=2) + "\n"
        )


def summary(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Medians over the steps of all runs of a case, and the largest peak of memory."""
    medians = {phase: statistics.median(value for run in runs for value in run["seconds"][phase]) for phase in PHASES}
    return {**medians, "peak_memory": max(run["peak_mb"] for run in runs)}


if __name__ == "__main__":
    main()
