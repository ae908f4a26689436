"""One model on some suites: sampled into stores, graded, summarised. `aer-eval run` and `sweep` both do this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aer_eval.engines.base import Engine
from aer_eval.errors import UserError
from aer_eval.metrics.summary import summarise
from aer_eval.metrics.types import SuiteSummary
from aer_eval.sampling.progress import Progress
from aer_eval.sampling.sampler import identical_share, manifest, sample_missing
from aer_eval.sampling.store import SampleStore, load_scored, read_samples
from aer_eval.sampling.units import Completion, SamplingParams
from aer_eval.scoring import grade_completions, score_store
from aer_eval.suites.load import Suite
from aer_eval.suites.templates import Template, render
from aer_eval.versions import installed_versions, short_hash

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
    """Bring every suite's store ``out/SUITE`` to the wanted samples, grade them all, and summarise.

    Closes the engine before grading, which needs the memory and the cores.

    Raises:
        UserError: from suites, store, engine or grading; finished samples are kept.
    """
    label = label or Path(engine.identity.name).name
    try:
        for task in tasks:
            _sample(engine, task, params, out / task.suite.name, label)
    finally:
        engine.close()
    stores = [out / task.suite.name for task in tasks]
    for store in stores:
        _refuse_copies(store, params)
        score_store(store)
    return [summarise(load_scored(store, label)) for store in stores]


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
        there = sum(sum(index < task.n for index in done) for name, done in store.done().items() if name in problems)
        with Progress(task.suite.name, len(problems) * task.n, there, right) as progress:
            params_id = short_hash(params.to_dict())
            sample_missing(store, prompts, task.n, task.chunk, engine, params, params_id, progress.add)


def _refuse_copies(store: Path, params: SamplingParams) -> None:
    """Samples at a temperature that are all alike come from a server that ignores or pins the seed."""
    frame = read_samples(store)
    share = identical_share({str(name): list(group) for name, group in frame.groupby("problem_id")["text"]})
    if params.temperature > 0 and share == 1 and len(frame) >= ENOUGH_COPIES:
        raise UserError(
            f"{store}: all samples of every problem are the same text at temperature {params.temperature:g}: the "
            "server gives one answer whatever the seed, so pass@k would mean nothing; use a server that honours seeds"
        )
