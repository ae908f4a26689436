"""One training run of the demo: the start model and the prompts are made, then this process becomes `aer-train`.

    python examples/quickstart/train.py --task countdown --seed 1 --steps 300 --run-dir runs/one \
        --aer.enable ... (any flags of aer-train)

Called again with the same words it goes on from the newest checkpoint in the run folder.
"""

import argparse
import os
import sys
from pathlib import Path

from aer_eval.errors import first_line
from aer_openrlhf.study.definition import to_arguments
from model import make_model
from run import TRAINER, prepare_process
from settings import EVAL_PROMPTS, num_prompts, run_flags
from tasks import TASKS, held_out_problems, train_problems, train_problems_from, write_jsonl


def main() -> None:
    """Prepare the run and replace this process by the trainer's."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--task", choices=sorted(TASKS), default="countdown", help="demo task")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training prompts and of the trainer")
    parser.add_argument("--steps", type=int, required=True, help="training steps")
    parser.add_argument("--run-dir", type=Path, required=True, help="folder for metrics, checkpoints, final weights")
    parser.add_argument(
        "--prompts",
        type=Path,
        help="train on this file, as `aer-data difficulty` writes it, not on newly drawn problems",
    )
    args, method_flags = parser.parse_known_args()
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    prepare_process()
    task, prompts = TASKS[args.task], args.run_dir / "prompts.jsonl"
    if args.prompts is None:
        problems = train_problems(task, num_prompts(args.steps), args.seed)
    else:
        try:
            problems = train_problems_from(args.prompts, num_prompts(args.steps), args.seed)
        except (OSError, ValueError, KeyError) as problem:
            parser.error(
                f"--prompts {args.prompts}: {first_line(problem)}; give JSONL with prompt and label in every line"
            )
    start = make_model(task)
    write_jsonl(problems, prompts)
    write_jsonl(held_out_problems(task, EVAL_PROMPTS, 0), args.run_dir / "held_out.jsonl")  # for aer-eval
    run = run_flags(task, start, prompts, args.run_dir, args.seed, args.steps)
    resume = {"ckpt.load_enable": True}
    words = ["-m", TRAINER, *to_arguments({**run, **resume}), *method_flags]  # of a flag given twice the last counts
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *words])


if __name__ == "__main__":
    main()
