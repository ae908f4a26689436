"""Sample held-out problems from saved demo models: exact pass@k, distinct right answers, exact entropy.

    python examples/quickstart/held_out.py --task countdown --model BEFORE --label before --model AFTER --label after \
        --prompts 300 --samples 64 --temperature 1.0 --seed 0 --out runs/quickstart/pass_at_k.json

Everything is measured on the saved Hugging Face folder with transformers in float32, apart from the sampler that
trained it: what is reported is what anyone who loads the folder gets.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from aer_eval.whole_file import whole_file
from model import make_model
from sampling import KS, measure
from tasks import TASKS, Task, held_out_problems, without_end


def evaluate_folder(
    folder: Path,
    label: str,
    task: Task,
    prompts: int,
    samples: int,
    temperatures: Sequence[float] = (1.0,),
    seed: int = 0,
    ks: Sequence[int] = KS,
) -> list[dict[str, Any]]:
    """Load a saved Hugging Face folder in float32; one record a temperature, on the same held-out problems."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    problems = held_out_problems(task, prompts, seed)
    return [
        {
            "label": label if len(temperatures) == 1 else f"{label}, T = {temperature:g}",
            "checkpoint": str(folder),
            **measure(model, tokenizer, task, problems, samples, temperature, seed, ks),
        }
        for temperature in temperatures
    ]


def write_json(records: list[dict[str, Any]], path: Path) -> None:
    """Write the records at once, so that a reader never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(json.dumps(records, indent=2) + "\n")


def main() -> None:
    """Evaluate every --model and write one JSON list."""
    parser = argparse.ArgumentParser(description="pass@k, distinct right answers and entropy of saved demo models")
    parser.add_argument(
        "--model", type=Path, action="append", help="saved folder; may be repeated (default: the task's start model)"
    )
    parser.add_argument("--label", action="append", help="name of each --model, in order (default: the folder's)")
    parser.add_argument("--task", choices=sorted(TASKS), default="countdown", help="demo task")
    parser.add_argument(
        "--without-end",
        action="store_true",
        help="judge the answer alone, whatever follows it (countdown and make_n, whose answers have one length)",
    )
    parser.add_argument("--prompts", type=int, default=300, help="held-out prompts; fewer if the task has fewer")
    parser.add_argument("--samples", type=int, default=64, help="samples per prompt")
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0], help="sampling temperatures, above 0")
    parser.add_argument(
        "--k", type=int, nargs="+", default=list(KS), help="k of pass@k; those above --samples are left out"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the prompts drawn and of the sampling")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    folders = args.model or [make_model(TASKS[args.task])]
    labels = args.label or [folder.name for folder in folders]
    if len(labels) != len(folders):
        parser.error(f"{len(folders)} --model but {len(labels)} --label: give one label for each, or none")
    if min(args.temperature) <= 0 or min(args.prompts, args.samples, *args.k) < 1:
        parser.error("--temperature must be above 0, --prompts, --samples and --k at least 1")
    if args.without_end and args.task == "swap_sort":
        parser.error("--without-end: swap_sort's answers have no fixed length; use countdown or make_n")
    task = without_end(TASKS[args.task]) if args.without_end else TASKS[args.task]
    disable_progress_bar()
    records: list[dict[str, Any]] = []
    for folder, label in zip(folders, labels, strict=True):
        found = evaluate_folder(folder, label, task, args.prompts, args.samples, args.temperature, args.seed, args.k)
        for record in found:
            print(record["label"], {key: record[key] for key in ("pass_at_k", "distinct_correct", "entropy")})
        records += found
    write_json(records, args.out)


if __name__ == "__main__":
    main()
