"""Problem suites as rows for OpenRLHF's `--eval.dataset`: evaluated during training by the training reward.

The references are aer-eval's, normalised as it grades against them; the reward is its grader. So the two agree on
every response.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aer_eval.cli import suite_flags
from aer_eval.errors import UserError
from aer_eval.suites.load import Suite
from aer_eval.suites.templates import PLACE, Template, find_template
from aer_openrlhf.data.files import write_jsonl

REWARDS = {
    "integer": "math.py",
    "math": "math.py",
    "countdown3": "countdown.py",
    "make_n": "make_n.py",
    "swap_sort": "swap_sort.py",
}
"""The reward file, in `aer_openrlhf/rewards/`, that grades each answer type."""


def add_parser(commands: Any) -> None:
    """Add `aer-data eval`."""
    parser = commands.add_parser(
        "eval",
        help="evaluation suites as rows for --eval.dataset",
        description="Write evaluation suites as a dataset for aer-train's --eval.dataset; OpenRLHF reports each suite "
        "under its name.",
    )
    parser.add_argument("out", metavar="OUT.jsonl", type=Path, help="file to write")
    suite_flags.add(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file and say how to use it; raises UserError, with nothing written, for bad input."""
    suites = suite_flags.chosen_suites(args)
    reward = _reward(suites)
    templates = [find_template(args.template or suite.definition.template) for suite in suites]
    rows = list(_distinct(suites, templates, args.limit))
    count = write_jsonl(rows, args.out)
    sizes = ", ".join(f"{suite.name} {len(suite.problems[: args.limit])}" for suite in suites)
    chat = " --data.apply_chat_template" if any(template.messages for template in templates) else ""
    print(
        f"wrote {count} rows to {args.out} ({sizes}); for aer-train: --eval.dataset {args.out} --eval.steps 50 "
        "--eval.n_samples_per_prompt 16 --eval.temperature 1.0 --data.input_key prompt --data.label_key label"
        f"{chat} --reward.remote_url aer_openrlhf/rewards/{reward}"
    )
    return 0


def _reward(suites: Sequence[Suite]) -> str:
    """The reward that grades them all: a run has one. Raises UserError where there is none."""
    rewards = {suite.name: REWARDS[suite.definition.answer_type] for suite in suites}
    if len(set(rewards.values())) > 1:
        which = ", ".join(f"{name} by {reward}" for name, reward in rewards.items())
        raise UserError(f"--suite: one run has one reward, and these are graded {which}; give suites of one reward")
    return next(iter(rewards.values()))


def _distinct(suites: Sequence[Suite], templates: Sequence[Template], limit: int | None) -> Iterator[dict[str, str]]:
    """The rows of all suites; OpenRLHF tells suites apart by the prompt alone."""
    places: dict[str, str] = {}
    for suite, template in zip(suites, templates, strict=True):
        for row in to_rows(suite, template, limit):
            other = places.setdefault(row["prompt"], suite.name)
            if other != suite.name:
                raise UserError(
                    f"--suite: {other} and {suite.name} have a problem in common ({row['id']} of the latter), and "
                    "OpenRLHF tells them apart by the prompt alone; leave one of them out"
                )
            yield row


def to_rows(suite: Suite, template: Template, limit: int | None = None) -> Iterator[dict[str, str]]:
    """OpenRLHF's records of a suite's problems. A chat template's user message stands as it is: OpenRLHF puts it
    through the model's template itself."""
    text = template.text if template.messages is None else template.messages[-1]["content"]
    assert text is not None
    for problem in suite.problems[:limit]:
        yield {
            "prompt": text.replace(PLACE, problem.problem),
            "label": problem.answer,
            "datasource": suite.name,
            "id": problem.id,
        }
