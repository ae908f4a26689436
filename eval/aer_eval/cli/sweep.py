"""`aer-eval sweep`: evaluate the checkpoints of a run, plot them against the step, pick one without peeking."""

from __future__ import annotations

import argparse
from pathlib import Path

from aer_eval.cli import engine_flags, sampling_flags, suite_flags
from aer_eval.errors import UserError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "sweep",
        help="evaluate a run's checkpoints; pick the best on one suite, report the others",
        description="Evaluate every Hugging Face checkpoint below a run's folder into OUT/step-N/SUITE, write "
        "sweep.md, sweep.json and sweep.png. With --select-on one suite picks the checkpoint and the others judge it.",
    )
    parser.add_argument("checkpoints", type=Path, metavar="CKPT_DIR", help="--ckpt.path of a run with --ckpt.save_hf")
    suite_flags.add(parser)
    engine_flags.add(parser)
    sampling_flags.add(parser)
    parser.add_argument("--out", type=Path, required=True, help="gets one run folder a checkpoint, and the plot")
    parser.add_argument("--select-on", metavar="SUITE", help="the suite that picks the best checkpoint")
    parser.add_argument("--select-metric", default="pass@1", help="what it picks by (default %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate checkpoint after checkpoint; what an earlier sweep has finished is not sampled again."""
    from aer_eval.evaluate import evaluate
    from aer_eval.metrics.summary import metric_names
    from aer_eval.report.sweep_figure import write_figure
    from aer_eval.sweep import find_checkpoints, markdown, select, write_table

    if args.model or args.engine == "openai":
        raise UserError("sweep loads the checkpoints of CKPT_DIR itself: leave --model and --engine openai out")
    params = sampling_flags.parse(args)
    tasks = suite_flags.load_tasks(args)
    names = [task.suite.name for task in tasks]
    if args.select_on and args.select_on not in names:
        raise UserError(f"--select-on {args.select_on}: not among the suites ({', '.join(names)})")
    if args.select_on and args.select_metric not in (there := metric_names(args.n)):
        raise UserError(f"--select-metric {args.select_metric}: with --n {args.n} there are {', '.join(there)}")
    results = {}
    for checkpoint in find_checkpoints(args.checkpoints):
        engine = engine_flags.choose(args, str(checkpoint.path))
        summaries = evaluate(engine, tasks, params, args.out / checkpoint.label, checkpoint.label)
        results[checkpoint.step] = {summary.suite: summary for summary in summaries}
    selection = select(results, args.select_on, args.select_metric) if args.select_on else None
    metrics = list(dict.fromkeys(("pass@1", f"pass@{args.n}")))
    write_table(results, selection, args.out / "sweep.json")
    text = markdown(results, metrics, selection)
    (args.out / "sweep.md").write_text(text + "\n")
    write_figure(results, metrics, selection, args.out / "sweep.png")
    print(f"{text}\n\nplot {args.out / 'sweep.png'}")
    return 0
