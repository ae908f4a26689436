"""`aer-eval run`: sample a model on suites into a store, grade the samples, print the table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from aer_eval.cli import engine_flags, sampling_flags, suite_flags
from aer_eval.engines.base import Engine
from aer_eval.errors import UserError
from aer_eval.grading.grader import GRADER_ID
from aer_eval.metrics.summary import markdown_table, summarise
from aer_eval.sampling.progress import Progress
from aer_eval.sampling.sampler import identical_share, manifest, sample_missing
from aer_eval.sampling.store import SampleStore, load_scored, read_samples
from aer_eval.sampling.units import Completion, SamplingParams
from aer_eval.scoring import grade_completions, score_store
from aer_eval.suites.load import Suite
from aer_eval.suites.templates import Template, render
from aer_eval.versions import installed_versions, short_hash


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "run",
        help="sample a model on suites, grade, print pass@k",
        description="Sample a model on suites into OUT/SUITE, grade the samples and print pass@k. Killed at any "
        "moment, the same command goes on where it was; with a larger --n it draws the difference.",
    )
    suite_flags.add(parser)
    parser.add_argument(
        "--template", help="prompt template: a name, or a text file with {problem} (default: the suite's)"
    )
    engine_flags.add(parser)
    sampling_flags.add(parser)
    parser.add_argument("--out", type=Path, required=True, help="run folder; gets one store a suite")
    parser.add_argument("--label", help="name for tables and plots (default: the model's name)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sample, grade, print. Everything that can be checked is checked before the engine starts."""
    params = sampling_flags.parse(args)
    loaded = suite_flags.load(args)
    templates = [suite_flags.template_for(suite, args.template) for suite in loaded]
    engine = engine_flags.start(args)
    try:
        for suite, template in zip(loaded, templates, strict=True):
            _sample(args, suite, template, engine, params)
    finally:
        engine.close()
    stores = [args.out / suite.name for suite in loaded]
    for store in stores:
        score_store(store)
    summaries = [summarise(load_scored(store)) for store in stores]
    print(markdown_table(summaries))
    print(f"stores in {args.out}, graded by {GRADER_ID}; `aer-eval report {args.out}` draws the report")
    return 0


def _sample(
    args: argparse.Namespace, suite: Suite, template: Template, engine: Engine, params: SamplingParams
) -> None:
    problems = suite.problems[: args.limit]
    prompts = {problem.id: render(template, problem) for problem in problems}
    contents = manifest(
        suite=suite.identity(),
        template=template.identity(),
        engine=engine,
        params=params,
        problems=[{**vars(problem), "metadata": dict(problem.metadata)} for problem in suite.problems],
        label=args.label or Path(engine.identity.name).name,
        versions=installed_versions(),
    )
    by_id = {problem.id: problem for problem in problems}
    with SampleStore(args.out / suite.name, contents) as store:
        there = sum(sum(index < args.n for index in done) for name, done in store.done().items() if name in by_id)

        def right(samples: Sequence[Completion]) -> list[bool]:
            return grade_completions(by_id, samples)

        with Progress(suite.name, len(problems) * args.n, there, right) as progress:
            sample_missing(
                store, prompts, args.n, args.chunk, engine, params, short_hash(params.to_dict()), progress.add
            )
    _refuse_copies(args.out / suite.name, params)


def _refuse_copies(store: Path, params: SamplingParams) -> None:
    """Samples at a temperature that are all alike come from a server that ignores or pins the seed."""
    frame = read_samples(store)
    share = identical_share({str(name): list(group) for name, group in frame.groupby("problem_id")["text"]})
    if params.temperature > 0 and share == 1 and frame.groupby("problem_id").size().max() >= 4 and len(frame) >= 16:
        raise UserError(
            f"{store}: all samples of every problem are the same text at temperature {params.temperature:g}; "
            "the server gives one answer whatever the seed: pass@k would be meaningless"
        )
