"""The checkpoints of a training run: the best is picked on one suite and judged on the others.

The best of many checkpoints on 30 problems looks better than it is: part of its lead is luck. So one suite picks,
and only the suites that had no say are reported as the result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from aer_eval.errors import UserError
from aer_eval.metrics.markdown import ABSENT, table
from aer_eval.metrics.types import SuiteSummary


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A saved model of a run."""

    step: int
    path: Path

    @property
    def label(self) -> str:
        """Its name in tables and as a folder of results."""
        return f"step-{self.step}"


def find_checkpoints(folder: Path) -> list[Checkpoint]:
    """The Hugging Face folders below a run's folder, by the last number in their name, in order.

    OpenRLHF saves ``global_step20_hf`` and the like with ``--ckpt.save_hf``.

    Raises:
        UserError: there are none, or two of one step.
    """
    found = sorted(
        Checkpoint(int(numbers[-1]), config.parent)
        for config in folder.rglob("config.json")
        if (numbers := re.findall(r"\d+", config.parent.name)) and any(config.parent.glob("*.safetensors"))
    )
    if not found:
        raise UserError(
            f"{folder}: no Hugging Face folder with a step in its name; train with --ckpt.save_hf, or give its folder"
        )
    for earlier, later in pairwise(found):
        if earlier.step == later.step:
            raise UserError(
                f"{folder}: step {later.step} is in {earlier.path} and {later.path}; give one run's folder"
            )
    return found


@dataclass(frozen=True)
class Selection:
    """The chosen checkpoint, and what it was chosen by."""

    step: int
    suite: str
    metric: str
    value: float
    """On the suite that picked: biased upwards, since it is the highest of several."""


def select(results: Mapping[int, Mapping[str, SuiteSummary]], suite: str, metric: str) -> Selection:
    """The step with the highest value of a metric on a suite; the earliest of equal ones.

    Args:
        results: summaries by step and suite.
        suite: the one that picks.
        metric: a key of ``SuiteSummary.estimates``.

    Raises:
        UserError: the suite or the metric was not computed.
    """
    values: dict[int, float] = {}
    for step, summaries in results.items():
        if suite not in summaries:
            raise UserError(f"--select-on {suite}: not among the suites ({', '.join(summaries)})")
        estimates = summaries[suite].estimates
        if metric not in estimates:
            raise UserError(f"--select-metric {metric}: there are {', '.join(estimates)}")
        values[step] = estimates[metric].value
    best = min(values, key=lambda step: (-values[step], step))
    return Selection(best, suite, metric, values[best])


def write_table(results: Mapping[int, Mapping[str, SuiteSummary]], selection: Selection | None, path: Path) -> None:
    """All numbers of a sweep as JSON: estimates by step and suite, and the selection."""
    steps = {
        str(step): {
            suite: {name: estimate.value for name, estimate in summary.estimates.items()}
            for suite, summary in summaries.items()
        }
        for step, summaries in results.items()
    }
    contents = {"selected": vars(selection) if selection else None, "steps": steps}
    path.write_text(json.dumps(contents, indent=2))


def markdown(
    results: Mapping[int, Mapping[str, SuiteSummary]], metrics: Sequence[str], selection: Selection | None
) -> str:
    """One row a checkpoint, one column a suite and metric; the picked row is marked."""
    suites = list(next(iter(results.values())))
    columns = [(suite, metric) for suite in suites for metric in metrics]
    rows = []
    for step, summaries in results.items():
        cells = [summaries[suite].estimates.get(metric) for suite, metric in columns]
        picked = " (picked)" if selection and step == selection.step else ""
        rows.append([f"{step}{picked}", *(f"{cell.value:.3f}" if cell else ABSENT for cell in cells)])
    text = table(["step", *(f"{suite} {metric}" for suite, metric in columns)], rows)
    if selection is None:
        return text
    others = [suite for suite in suites if suite != selection.suite]
    told = (
        f"the unbiased result is its row on {', '.join(others)}"
        if others
        else "no other suite judges it: give a second"
    )
    return (
        f"{text}\n\nStep {selection.step} is picked by {selection.metric} on {selection.suite}, "
        f"where it is the highest of {len(results)} and therefore flattered; {told}."
    )
