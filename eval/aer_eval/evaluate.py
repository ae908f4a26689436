"""One model on some suites: sampled into stores, graded, summarised. `aer-eval run` and `sweep` both do this."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aer_eval.engines.base import Engine
from aer_eval.errors import UserError
from aer_eval.metrics.summary import summarise
from aer_eval.metrics.types import SuiteSummary
from aer_eval.sampling.progress import Progress
from aer_eval.sampling.sampler import identical_share, manifest, sample_units
from aer_eval.sampling.store import SampleStore, read_samples
from aer_eval.sampling.units import Completion, SamplingParams, plan_units
from aer_eval.scoring import grade_completions, score_samples
from aer_eval.suites.load import Suite
from aer_eval.suites.templates import Template, render
from aer_eval.versions import installed_versions

ENOUGH_COPIES = 16
"""Samples from which on all-alike texts are no coincidence."""


@dataclass(frozen=True)
class Task:
    """What is to be sampled."""

    suite: Suite
    template: Template
    n: int
    """Samples a problem."""
    chunk: int
    """Most samples of one request."""
    limit: int | None = None
    """Only the suite's first problems; None is all."""


def evaluate(
    engine: Engine, tasks: Sequence[Task], params: SamplingParams, out: Path, label: str | None = None
) -> list[SuiteSummary]:
    """``evaluate_each`` with one way of sampling."""
    return evaluate_each(engine, tasks, {out: params}, label)[out]


def evaluate_each(
    engine: Engine, tasks: Sequence[Task], params: Mapping[Path, SamplingParams], label: str | None = None
) -> dict[Path, list[SuiteSummary]]:
    """Bring every suite's store ``OUT/SUITE`` to the wanted samples, grade them all, and summarise.

    The engine is started once for all; it is closed before grading, which needs the memory and the cores.

    Args:
        engine: holds the model.
        tasks: the suites.
        params: how each run folder ``OUT`` is sampled.
        label: name for tables and plots; None for the model's.

    Returns:
        The summaries by run folder, in the order of the tasks.

    Raises:
        UserError: from suites, store, engine or grading; finished samples are kept.
    """
    label = label or Path(engine.identity.name).name
    try:
        for out, sampling in params.items():
            for task in tasks:
                _sample(engine, task, sampling, out / task.suite.name, label)
    finally:
        engine.close()
    return {
        out: [_grade(out / task.suite.name, sampling, label) for task in tasks] for out, sampling in params.items()
    }


def _grade(store: Path, params: SamplingParams, label: str) -> SuiteSummary:
    samples = read_samples(store)
    _check_copies(store, samples, params)
    return summarise(score_samples(store, samples, label))


def pass_at_k_record(summary: SuiteSummary, model: str, temperature: float) -> dict[str, Any]:
    """One entry of a ``pass_at_k.json``, as `aer-report` and `aer-study` read it; what is not known is absent."""
    passes = {name.removeprefix("pass@"): e.value for name, e in summary.estimates.items() if name.startswith("pass@")}
    diversity = {
        name: summary.diversity[name] for name in ("distinct_correct", "entropy") if name in summary.diversity
    }
    return {
        "label": f"{summary.label} {summary.suite}, T = {temperature:g}",
        "checkpoint": model,
        "num_prompts": summary.num_problems,
        "num_samples": summary.min_samples,
        "temperature": temperature,
        "pass_at_k": passes,
        **diversity,
    }


def _sample(engine: Engine, task: Task, params: SamplingParams, path: Path, label: str) -> None:
    problems = {problem.id: problem for problem in task.suite.problems[: task.limit]}
    prompts = {name: render(task.template, problem) for name, problem in problems.items()}
    contents = manifest(
        suite=task.suite.identity(),
        template=task.template.identity(),
        engine=engine,
        params=params,
        problems=[{**vars(problem), "metadata": dict(problem.metadata)} for problem in task.suite.problems],
        label=label,
        versions=installed_versions(),
    )

    def right(samples: Sequence[Completion]) -> list[bool]:
        return grade_completions(problems, samples)

    with SampleStore(path, contents) as store:
        units = plan_units(prompts, task.n, task.chunk, params.run_seed, store.done())
        total = len(problems) * task.n
        there = total - sum(unit.count for unit in units)
        with Progress(task.suite.name, total, there, right) as progress:
            sample_units(store, units, engine, params, progress.add)


def _check_copies(store: Path, samples: pd.DataFrame, params: SamplingParams) -> None:
    """All-alike samples at a temperature: of a server, it may ignore or pin the seed; else the model has collapsed."""
    share = identical_share({str(name): list(group) for name, group in samples.groupby("problem_id")["text"]})
    if params.temperature == 0 or share != 1 or len(samples) < ENOUGH_COPIES:
        return
    found = f"{store}: all samples of every problem are the same text at temperature {params.temperature:g}"
    if "openai" in set(samples["engine"]):
        raise UserError(
            f"{found}: a server that gives one answer whatever the seed makes pass@k mean nothing; "
            "use a server that honours seeds, or --engine vllm, ray or hf, which do"
        )
    print(f"aer-eval: {found}: the model has collapsed", file=sys.stderr)
