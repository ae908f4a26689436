"""`aer-study`: a grid of training runs from one file, evaluated, in one table."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aer_eval import watchdog
from aer_eval.cli.outcome import exit_code
from aer_eval.errors import UserError
from aer_eval.whole_file import whole_file
from aer_openrlhf.data.files import positive
from aer_openrlhf.study import folder
from aer_openrlhf.study.definition import START, Run, Study, load
from aer_openrlhf.study.runner import Runner

PROGRAM = "aer-study"
RUNS = Path("runs")
"""The folder of all studies where --runs is left out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0, 1 where a run failed, 2 for bad input; 130 after Ctrl-C or SIGTERM."""
    args = _parser().parse_args(argv)
    return exit_code(
        lambda: _perform(args),
        f"{PROGRAM}: error",
        f"{PROGRAM}: stopped; finished runs are kept, the same command goes on from here",
    )


def _perform(args: argparse.Namespace) -> int:
    study = load(args.study)
    if args.reference is not None:
        _require_known("--reference", [args.reference], study.arms, args.study)
        study = replace(study, reference=args.reference)
    runs = study.runs(args.runs)
    if args.command == "table":
        _write_results(args, study, runs)
        _tell_what_nobody_logs(args, study)
        print((args.runs / study.name / "table.md").read_text(encoding="utf-8"))
        return 0
    return _run(args, study, runs)


def _run(args: argparse.Namespace, study: Study, runs: Sequence[Run]) -> int:
    chosen = _chosen(args, study, runs)
    states = {run.name: folder.state(run) for run in chosen}  # whatever is refused is refused before the first start
    todo = [run for run in chosen if states[run.name] != "finished"]
    if args.dry_run:
        _describe(chosen, states)
        return 0
    _write_results(args, study, runs)  # a CSV that cannot be merged is refused here too
    print(f"{study.name}: {len(chosen)} runs, {len(chosen) - len(todo)} finished earlier", flush=True)
    _take_signals()
    watchdog.start()
    failures = Runner(args.jobs).perform(todo, lambda _: _write_results(args, study, runs))
    _tell_what_nobody_logs(args, study)
    print(f"table  {args.runs / study.name / 'table.md'}")
    for failure in failures:
        print(f"{PROGRAM}: failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _describe(runs: Sequence[Run], states: Mapping[str, folder.State]) -> None:
    shown: dict[str, str] = {}
    for run in runs:
        state = states[run.name]
        shown[run.name] = "running" if state in ("interrupted", "trained") and folder.in_use(run) else state
        print(f"{shown[run.name]:11}  {run.name}")
        begin = run.train or run.evaluate
        if command := {"new": begin, "interrupted": begin, "trained": run.evaluate}.get(shown[run.name]):
            print(f"             {shlex.join(command)}")
    print(", ".join(f"{count} {name}" for name, count in Counter(shown.values()).items()))


def _take_signals() -> None:
    """Let SIGTERM and a closed terminal stop the study as Ctrl-C does, in a background job too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # under nohup a closed terminal stops nothing
            signal.signal(number, signal.default_int_handler)
    if (
        signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    ):  # the children would ignore it too, and so could not be stopped
        signal.signal(signal.SIGINT, lambda *_: None)


def _chosen(args: argparse.Namespace, study: Study, runs: Sequence[Run]) -> list[Run]:
    for flag, wanted, there in (
        ("--tasks", args.tasks, study.tasks),
        ("--arms", args.arms, study.arms),
        ("--seeds", args.seeds, study.seeds),
    ):
        _require_known(flag, wanted or (), there, args.study)
    return [
        run
        for run in runs
        if run.task in (args.tasks or study.tasks)
        and (not run.train or (run.arm in (args.arms or study.arms) and run.seed in (args.seeds or study.seeds)))
    ]


def _require_known(flag: str, wanted: Iterable[object], there: Iterable[object], study: Path) -> None:
    """UserError where the study has not all that a flag asks for."""
    names = list(there)
    if unknown := [str(name) for name in wanted if name not in names]:
        raise UserError(f"{flag} {' '.join(unknown)}: {study} has {', '.join(map(str, names))}")


def _write_results(args: argparse.Namespace, study: Study, runs: Sequence[Run]) -> None:
    """The tables and plots of what is finished; raises UserError where they cannot be made or written."""
    out = args.runs / study.name
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_tables_and_plots(args, study, runs, out)
    except OSError as problem:
        raise UserError(f"{out}: cannot be written ({problem}); make room, or give another --runs") from problem


def _tell_what_nobody_logs(args: argparse.Namespace, study: Study) -> None:
    """A line for each of the study's metrics that is in no row of the table: its name may be wrong."""
    from aer_openrlhf.study import results

    rows = results.read_csv(args.runs / study.name / "table.csv")
    trained = rows[rows["arm"] != START]
    for name in study.metrics:
        if len(trained) and (name not in trained or trained[name].isna().all()):
            print(f"{args.study}: no finished run has logged {name} over its last steps", flush=True)


def _write_tables_and_plots(args: argparse.Namespace, study: Study, runs: Sequence[Run], out: Path) -> None:
    from aer_eval.report.canvas import png, styled
    from aer_openrlhf.study import figures, results, tables

    finished = [run for run in runs if folder.state(run) == "finished"]  # asked once: the others go on meanwhile
    trained = [run for run in finished if run.train]
    rows = results.merge(results.collect(finished, study.metrics), args.merge)
    rows = results.in_order(rows, list(study.tasks), [START, *study.arms])
    results.write_csv(rows, out / "table.csv")
    options = [
        *([f"--runs={args.runs}"] if args.runs != RUNS else []),
        *(f"--merge={path}" for path in args.merge),
        *([f"--reference={args.reference}"] if args.reference is not None else []),
        *(["--each-seed"] if args.each_seed else []),
    ]
    command = shlex.join([PROGRAM, "table", str(args.study), *options])
    with whole_file(out / "table.md") as file:
        file.write(tables.markdown(rows, command, study.reference, args.each_seed))
    for task in study.tasks:
        of_task = rows[rows["task"] == task]
        with styled():
            drawings = {
                "frontier": figures.frontier(of_task),
                "entropy": figures.entropy(
                    [run for run in trained if run.task == task], list(of_task["arm"].unique())
                ),
            }
            for name, figure in drawings.items():
                if figure is not None:
                    (out / f"{name}-{task}.png").write_bytes(png(figure))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train and evaluate what is not finished, then write tables and plots")
    tab = commands.add_parser("table", help="write tables and plots of what is finished")
    for command in (run, tab):
        command.add_argument("study", metavar="STUDY.yaml", type=Path)
        command.add_argument(
            "--runs", type=Path, default=RUNS, help="folder that gets STUDY/TASK/ARM/seed-N (default: %(default)s)"
        )
        command.add_argument(
            "--merge",
            type=Path,
            nargs="+",
            default=[],
            metavar="CSV",
            help="table.csv of another machine, to be merged",
        )
        command.add_argument(
            "--reference", metavar="ARM", help="compare the others with this arm (default: the study's reference)"
        )
        command.add_argument("--each-seed", action="store_true", help="in table.md, a line for every seed too")
    run.add_argument("--tasks", nargs="+", help="only these")
    run.add_argument("--arms", nargs="+", help="only these")
    run.add_argument("--seeds", type=int, nargs="+", help="only these")
    run.add_argument("--jobs", type=positive, default=1, help="runs at a time (default: 1)")
    run.add_argument(
        "--dry-run", action="store_true", help="print the runs, how far each is, and what would be started"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
