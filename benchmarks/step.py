"""What AER costs: seconds of a training step with AER on, against OpenRLHF with AER off, in interleaved runs.

python benchmarks/step.py [--steps 60] [--rounds 2] [--out results.json]

Every round runs the demo task on the real stack twice from the same start: stock (no `--aer.enable`: OpenRLHF's own
classes) and AER with a constant coefficient on every response, so that the entropy term is in every micro-batch: the
dearest case. Step times are OpenRLHF's own `timing/step_total`, read from TensorBoard for both. The first ten steps
of a run are left out. Reported are medians over all steps, and their ratio: run it on a machine that is otherwise
idle.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "quickstart"))

from model import make_model
from run import prepare_process, train
from settings import num_prompts, train_args
from tasks import TASKS, train_problems, write_jsonl

PHASES = ("step_total", "generation", "make_experience", "ppo_train", "broadcast")
WARM_UP_STEPS = 10
COEFFICIENT = 0.05
CASES = {
    "stock": {"aer." + name: None for name in ("enable", "rho", "tau", "eta", "alpha_max", "coef_max", "normalize")},
    "aer": {"aer.eta": 0, "aer.alpha_init": COEFFICIENT, "aer.alpha_max": COEFFICIENT, "aer.difficulty": "uniform"},
}


def run_case(case: str, model: Path, data: Path, run_dir: Path, steps: int) -> dict[str, list[float]]:
    """Train once and return the seconds of every phase, step by step."""
    arguments = train_args(TASKS["countdown"], model, data, run_dir, "aer", seed=1, steps=steps, **CASES[case])
    run_dir.mkdir()
    train(arguments, run_dir, steps)
    (events,) = (run_dir / "tensorboard").rglob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(events)).Reload()
    scalars = {phase: accumulator.Scalars(f"train/timing/{phase}") for phase in PHASES}
    return {phase: [event.value for event in values[WARM_UP_STEPS:]] for phase, values in scalars.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="rollout steps a run, the first ten are not counted")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each case, interleaved")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    prepare_process()
    seconds: dict[str, dict[str, list[float]]] = {case: {phase: [] for phase in PHASES} for case in CASES}
    model = make_model(TASKS["countdown"])
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "prompts.jsonl"
        write_jsonl(train_problems(TASKS["countdown"], num_prompts(args.steps), seed=1), data)
        for round_index in range(args.rounds):
            for case in CASES:
                measured = run_case(case, model, data, Path(folder) / f"{case}-{round_index}", args.steps)
                for phase, values in measured.items():
                    seconds[case][phase] += values
                median = statistics.median(measured["step_total"])
                print(f"round {round_index + 1}, {case}: median {median:.3f} s a step")
    medians = {case: {phase: statistics.median(values) for phase, values in seconds[case].items()} for case in CASES}
    print(f"\nmedian over {len(seconds['aer']['step_total'])} steps each")
    print("| phase | stock, s | AER, s | AER / stock |\n|---|---|---|---|")
    for phase in PHASES:
        stock, ours = medians["stock"][phase], medians["aer"][phase]
        print(f"| {phase} | {stock:.3f} | {ours:.3f} | {ours / stock:.3f} |")
    if args.out:
        figures = {"steps": args.steps, "rounds": args.rounds, "median_seconds": medians}
        args.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
