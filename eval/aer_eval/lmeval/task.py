"""A suite as a task of lm-eval. The task files name this class; their settings are in ``tasks/_shared.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from aer_eval.errors import UserError
from aer_eval.grading.grader import GRADER_ID
from aer_eval.lmeval.metrics import filter_list, metric_list
from aer_eval.records import Problem
from aer_eval.suites.load import load_suite
from aer_eval.suites.templates import Template, find_template, render


class SuiteTask(ConfigurableTask):
    """The problems, prompts, grader and metrics of aer-eval; lm-eval draws the responses.

    ``--metadata`` of lm-eval sets ``repeats`` (responses a problem), ``data`` (a local file or folder in place of
    the hub), ``allow_mismatch`` (accept other problems than the suite's) and ``template`` (a name or a file).
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Load the suite.

        Args:
            config: the task file's contents.

        Raises:
            UserError: a value of ``--metadata`` is none that it can have; bad data.
        """
        fields = {key: value for key, value in config.items() if key != "class"}
        repeats = fields["metadata"].get("repeats", fields["repeats"])
        if not isinstance(repeats, int) or repeats < 1:
            raise UserError(f"--metadata repeats={repeats}: give a whole number from 1")
        by_repeats = {"repeats": repeats, "filter_list": filter_list(repeats), "metric_list": metric_list(repeats)}
        super().__init__(config={**fields, **by_repeats})

    def download(self, dataset_kwargs: Mapping[str, str], **_: Any) -> None:
        """Load the suite: lm-eval's hook for it."""
        metadata = self.config.metadata
        data = Path(metadata["data"]) if "data" in metadata else None
        suite = load_suite(dataset_kwargs["suite"], data, metadata.get("allow_mismatch", False))
        template = find_template(metadata.get("template", suite.definition.template))
        self.fill(suite.identity(), template, [document(suite.name, problem, template) for problem in suite.problems])

    def fill(self, suite: Mapping[str, Any], template: Template, documents: list[dict[str, Any]]) -> None:
        """Take the documents as the test split; lm-eval's results will say what they and their grader were."""
        self.VERSION = suite["version"]
        self.config.metadata["aer_eval"] = {
            "suite": dict(suite),
            "template": template.identity(),
            "grader": GRADER_ID,
        }
        self.dataset = {"test": Dataset.from_list(documents)}


def document(suite: str, problem: Problem, template: Template) -> dict[str, Any]:
    """A problem as lm-eval takes it."""
    return {
        "suite": suite,
        "id": problem.id,
        "problem": problem.problem,
        "answer": problem.answer,
        "answer_type": problem.answer_type,
        "prompt": prompt_text(template, problem),
    }


def prompt_text(template: Template, problem: Problem) -> str:
    """The prompt's text; of a chat prompt what its one message says, which ``--apply_chat_template`` wraps."""
    prompt = render(template, problem)
    if prompt.messages is None:
        assert prompt.text is not None
        return prompt.text
    [message] = prompt.messages
    return message["content"]
