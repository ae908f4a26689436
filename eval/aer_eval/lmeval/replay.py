"""A run's stores through lm-eval: its result files for what aer-eval has sampled, and a check of one by the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from lm_eval import simple_evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from aer_eval.errors import UserError
from aer_eval.lmeval.metrics import FILTER, metric_names
from aer_eval.lmeval.store_lm import StoreLM
from aer_eval.lmeval.task import SuiteTask, document
from aer_eval.metrics.summary import summarise
from aer_eval.sampling.store import SAMPLE_KEY, load_scored, read_manifest, read_problems, read_samples
from aer_eval.suites.templates import TEMPLATES, Template, find_template
from aer_eval.tasks import FOLDER, task_name


@dataclass(frozen=True)
class Replay:
    """What lm-eval made of the stores."""

    results: Mapping[str, Any]
    """As ``simple_evaluate`` returns them, without the samples."""
    file: Path
    """The result file; the sample files are beside it."""
    differences: Mapping[str, float]
    """Largest difference of a metric between lm-eval and `summarise`, by store."""


class StoreTask(SuiteTask):
    """The problems of a store that have samples."""

    def download(self, dataset_kwargs: Mapping[str, str], **_: Any) -> None:
        """Load the problems from the store alone: neither the hub nor a data file is needed."""
        store = Path(dataset_kwargs["store"])
        manifest, samples = read_manifest(store), read_samples(store, (*SAMPLE_KEY, "finish_reason"))
        template = _template(manifest, dataset_kwargs["template"])
        known = samples["finish_reason"].astype(object).where(samples["finish_reason"].notna(), None)
        reasons = known.groupby(samples["problem_id"]).agg(list)
        documents = [
            {**document(manifest["suite"]["name"], problem, template), "finish_reasons": reasons[problem.id]}
            for problem in read_problems(store).values()
            if problem.id in reasons
        ]
        self.fill(manifest["suite"], template, documents)


def store_task(store: Path, template: str | None = None) -> StoreTask:
    """The task that asks for exactly what a store holds, with as many repeats as it has samples a problem.

    Args:
        store: the store's folder.
        template: the text file of its prompt template, where that is not one of the package.

    Raises:
        UserError: the problems do not have one number of samples, or the template is another one.
    """
    manifest = read_manifest(store)
    sampling = manifest["sampling"]
    return StoreTask(
        {
            **load_yaml(FOLDER / "_shared.yaml"),
            "task": task_name(manifest["suite"]["name"]),
            "dataset_kwargs": {"store": str(store), "template": template or manifest["template"]["name"]},
            "repeats": _samples_per_problem(read_samples(store, SAMPLE_KEY), store),
            "generation_kwargs": {
                "until": sampling["stop"],
                "do_sample": sampling["temperature"] > 0,
                **{name: sampling[name] for name in ("temperature", "top_p", "top_k", "min_p")},
                "max_gen_toks": sampling["max_tokens"],
            },
            "metadata": {},
        }
    )


def replay(stores: Sequence[Path], out: Path, template: str | None = None) -> Replay:
    """Evaluate stores with lm-eval, write its result files and compare its numbers with ours.

    Args:
        stores: graded stores of one model.
        out: folder of the result files.
        template: see `store_task`.

    Raises:
        UserError: a store is not graded or not full, or the files cannot be written.
    """
    scored = {store: load_scored(store) for store in stores}
    tasks = {store: store_task(store, template) for store in stores}
    # Without a manager lm-eval reads its own thousands of task files, which takes longer than all the rest.
    nothing_else = TaskManager(include_defaults=False)
    results = simple_evaluate(model=StoreLM(*stores), tasks=list(tasks.values()), task_manager=nothing_else)
    assert results is not None  # it is None on the further ranks of a distributed run
    file = _write(results, next(iter(scored.values())).label, out)
    differences = {}
    for store, task in tasks.items():
        ours = summarise(scored[store]).estimates
        theirs = results["results"][task.config.task]
        names = metric_names(task.config.repeats)
        differences[store.name] = max(abs(theirs[f"{name},{FILTER}"] - ours[name].value) for name in names)
    return Replay(results, file, differences)


def _samples_per_problem(samples: pd.DataFrame, store: Path) -> int:
    counts = samples.groupby("problem_id").size()
    if counts.nunique() != 1:
        raise UserError(
            f"{store}: problems have {counts.min()} to {counts.max()} samples, lm-eval knows one number of repeats; "
            "run the `aer-eval run` that made the store again, it draws what is missing"
        )
    return int(counts.iloc[0])


def _template(manifest: Mapping[str, Any], choice: str) -> Template:
    """The template that the store's prompts were made with."""
    name = manifest["template"]["name"]
    template = TEMPLATES[name] if name in TEMPLATES else find_template(choice)
    if template.identity() != manifest["template"]:
        raise UserError(f"--template {choice}: not the wording that the samples were drawn with; give the file {name}")
    return template


def _write(results: dict[str, Any], model: str, out: Path) -> Path:
    """Write lm-eval's result file and sample files; return the former. Takes the samples out of ``results``."""
    samples = results.pop("samples")
    tracker = EvaluationTracker(output_path=str(out))
    tracker.general_config_tracker.log_experiment_args(
        model_source="aer-eval store",
        model_args={"model": model},
        system_instruction=None,
        chat_template=None,
        fewshot_as_multiturn=False,
    )
    tracker.save_results_aggregated(results=results, samples=samples)
    for name in samples:
        tracker.save_results_samples(task_name=name, samples=samples[name])
    written = list(out.glob(f"*/*_{tracker.date_id}.json*"))
    if len(written) != 1 + len(samples):  # lm-eval itself only logs that it could not write
        raise UserError(f"--out {out}: lm-eval could not write its files; make room or give another folder")
    return next(path for path in written if path.suffix == ".json")
