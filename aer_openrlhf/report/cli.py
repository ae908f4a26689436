"""`aer-report RUN_DIR [RUN_DIR ...]`: one self-contained HTML page and PNG figures from training logs."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from aer_eval.report.page import write_page
from aer_openrlhf.report.follow import follow
from aer_openrlhf.report.html import CHARTS, draw_all, notes, render_page
from aer_openrlhf.report.runs import RunError, load_runs

INTERVAL = 30
"""Seconds between two reports while following, unless told otherwise: drawing one takes seconds of a core."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; return 2, with nothing written, where a run folder cannot be read, 130 for Ctrl-C before."""
    args = _parser().parse_args(argv)
    try:
        if args.follow is None:
            _write(args, refresh=None)
        else:
            follow(args.run_dirs, lambda refresh: _write(args, refresh), args.follow)
    except RunError as problem:
        return _fail(str(problem))
    except OSError as problem:
        return _fail(f"{problem}; choose another folder with --out")
    except KeyboardInterrupt:
        print("aer-report: stopped; no report was written", file=sys.stderr)
        return 130
    return 0


def _write(args: argparse.Namespace, refresh: float | None) -> None:
    """Write the report once. refresh: seconds after which the page loads itself anew, None for never."""
    runs = load_runs(args.run_dirs)
    if refresh is None:  # else the next report says the same again
        for note in notes(runs):
            print(f"aer-report: {note}", file=sys.stderr)
    drawings = draw_all(runs)
    page = render_page(runs, drawings, args.title, refresh)
    report = write_page(args.out or runs[0].path, page, drawings, keys=[chart.key for chart in CHARTS])
    print(f"{report} (runs: {len(runs)}, figures: {len(drawings)})", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aer-report", description=__doc__)
    parser.add_argument(
        "run_dirs",
        metavar="RUN_DIR",
        nargs="+",
        type=Path,
        help="folder with metrics.jsonl (and run_config.json, pass_at_k.json); several are drawn over each other",
    )
    parser.add_argument(
        "--out", type=Path, help="folder for report.html and png/*.png, made if missing (default: the first RUN_DIR)"
    )
    parser.add_argument("--title", default="AER training report", help="heading of the page (default: %(default)s)")
    parser.add_argument(
        "--follow",
        metavar="SECONDS",
        nargs="?",
        type=_seconds,
        const=INTERVAL,
        help=f"write it anew whenever the runs have logged, at most every SECONDS (default {INTERVAL}), until all of "
        "them have ended or Ctrl-C; the page loads itself anew meanwhile",
    )
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} is not a number of seconds; run folders go before --follow"
        ) from None
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds


def _fail(message: str) -> int:
    print(f"aer-report: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
