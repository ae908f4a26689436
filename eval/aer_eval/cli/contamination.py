"""`aer-eval contamination`: which problems of the suites are in the training data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from aer_eval.cli import output
from aer_eval.cli.table import text_table
from aer_eval.contamination import Overlap, TrainingText, find_overlaps, words
from aer_eval.errors import UserError
from aer_eval.suites.load import Suite, load_suites
from aer_eval.suites.rows import PROBLEM_FIELDS, find_field, read_file, text_of


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "contamination",
        help="find the suites' problems in training data",
        description="Compare the suites' problems with training data by their words: the same text, or the share of a "
        "problem's n-grams that are in the data. Minus signs and other signs are no words: look at the matches.",
    )
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="FILE", help="JSONL, JSON or Parquet")
    parser.add_argument("--train-field", help="field of the training files (default: found among the usual names)")
    parser.add_argument("--ngram", type=int, default=13, help="words of an n-gram (default: %(default)s)")
    parser.add_argument(
        "--min-share",
        type=float,
        default=0.5,
        help="share of its n-grams from which a problem counts as contaminated (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.jsonl", help="write every contaminated problem with its match"
    )
    parser.add_argument(
        "--suite",
        nargs="+",
        required=True,
        metavar="NAME",
        help="suites or groups, or files of your own with problems",
    )
    parser.add_argument("--data", type=Path, help="local file or folder in place of the hub")
    parser.add_argument("--allow-mismatch", action="store_true", help="accept another number of problems or checksum")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a line of totals for each suite; write the contaminated problems."""
    if args.ngram < 1:
        raise UserError(f"--ngram {args.ngram}: must be at least 1")
    if not 0 < args.min_share <= 1:
        raise UserError(f"--min-share {args.min_share:g}: must be above 0 and at most 1")
    output.check_folder("--out", args.out)
    suites = load_suites(args.suite, args.data, args.allow_mismatch)
    problems = {suite.name: suite.problems for suite in suites}
    overlaps = find_overlaps(problems, _training_texts(args.train, args.train_field), args.ngram)
    contaminated = [overlap for overlap in overlaps if overlap.share >= args.min_share]
    print(_totals(suites, overlaps, args))
    if args.out is not None:
        output.write_text("--out", args.out, _lines(contaminated, args.ngram))
        print(f"{len(contaminated)} contaminated problems in {args.out}")
    return 0


def _training_texts(files: Sequence[Path], field: str | None) -> Iterator[TrainingText]:
    """The problems of the training files."""
    for path in files:
        for row in read_file(path):
            name = find_field(row, (field,), ()) if field else find_field(row, (), PROBLEM_FIELDS)
            text = text_of(row.fields[name]) if name else None
            if text is None:
                wanted = repr(field) if field else f"any of {', '.join(PROBLEM_FIELDS)}"
                names = ", ".join(map(str, row.fields)) or "none"
                raise UserError(
                    f"{row.place}: no text in {wanted} (fields: {names}); name the right one with --train-field"
                )
            yield TrainingText(row.place, text)


def _totals(suites: Sequence[Suite], overlaps: Sequence[Overlap], args: argparse.Namespace) -> str:
    rows = []
    for suite in suites:
        found = [overlap for overlap in overlaps if overlap.suite == suite.name]
        exact = sum(overlap.kind == "exact" for overlap in found)
        enough = sum(overlap.share >= args.min_share for overlap in found)
        short = sum(len(words(problem.problem)) < args.ngram for problem in suite.problems)
        rows.append((suite.name, len(suite.problems), exact, enough - exact, len(found) - enough, short))
    header = ("suite", "problems", "exact", f"share >= {args.min_share:g}", "less", "short")
    return (
        f"{text_table(header, rows)}\n"
        f"share: of a problem's {args.ngram}-grams, in the training data, where the text is not the same. "
        f"short: has fewer than {args.ngram} words and is compared as a whole."
    )


def _lines(overlaps: Sequence[Overlap], ngram: int) -> str:
    """One JSON object a line."""
    lines = []
    for overlap in overlaps:
        note = {"note": f"fewer than {ngram} words: compared as a whole"} if overlap.ngram < ngram else {}
        lines.append(json.dumps({**asdict(overlap), **note}, ensure_ascii=False) + "\n")
    return "".join(lines)
