"""From the responses to one problem to lm-eval's metrics of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from aer_eval.grading.grader import grade_samples
from aer_eval.metrics.pass_at_k import pass_at_k_table, powers_of_two
from aer_eval.metrics.voting import count_votes, maj_at_k
from aer_eval.records import Grade, Problem

FILTER = "graded"
"""Name of the tasks' one filter: lm-eval's results call a metric ``pass@1,graded``."""
IDENTICAL = "identical"
"""Metric: the share of problems whose responses are all the same text."""

logger = logging.getLogger(__name__)


def metric_names(n: int) -> list[str]:
    """The metrics of ``n`` responses a problem, under the names that `summarise` gives them."""
    return [*(f"pass@{k}" for k in powers_of_two(n)), "mean@n", f"maj@{n}"]


def filter_list(n: int) -> list[dict[str, Any]]:
    """The tasks' filters: exactly the first ``n`` responses, graded all at once.

    In data-parallel runs lm-eval asks for the last problem once more to even out the ranks; its extra responses
    would give it another n than the others.
    """
    first_n = {"function": "take_first_k", "k": n}
    return [{"name": FILTER, "filter": [first_n, {"function": "custom", "filter_fn": grade_responses}]}]


def metric_list(n: int) -> list[dict[str, Any]]:
    """The tasks' metrics and how each becomes one number of the suite."""
    means = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in metric_names(n)]
    return [*means, {"metric": IDENTICAL, "aggregation": identical_share, "higher_is_better": False}]


def grade_responses(
    responses: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]
) -> list[list[dict[str, Any]]]:
    """Filter of lm-eval: the verdicts in place of the texts, for all problems in one go.

    Args:
        responses: the texts of each problem.
        docs: the problems' documents, in the same order. Why the responses ended is known where one has
            ``finish_reasons``: lm-eval's own models do not tell.

    Returns:
        For every response its ``verdict``, ``extracted``, ``answer_class``, and whether its text is
        ``same_as_first`` of the problem. lm-eval writes them into its sample files.
    """
    texts = [list(group) for group in responses]
    rows = [
        (_as_problem(doc), text, reason)
        for doc, group in zip(docs, texts, strict=True)
        for text, reason in zip(group, doc.get("finish_reasons") or [None] * len(group), strict=True)
    ]
    grades = iter(grade_samples(rows))
    return [[_as_dict(next(grades), same_as_first=text == group[0]) for text in group] for group in texts]


def _as_dict(grade: Grade, same_as_first: bool) -> dict[str, Any]:
    return {**vars(grade), "verdict": grade.verdict.value, "same_as_first": same_as_first}


def _as_problem(doc: Mapping[str, Any]) -> Problem:
    """The problem that a document was made of."""
    return Problem(doc["id"], doc["problem"], doc["answer"], doc["answer_type"])


def problem_metrics(doc: Mapping[str, Any], results: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """``process_results`` of lm-eval: the metrics of one problem.

    Args:
        doc: the problem's document.
        results: one list: what `grade_responses` made of the problem's responses.
    """
    [responses] = results
    n = len(responses)
    votes = count_votes(pd.DataFrame(responses))
    values = {f"pass@{k}": float(pass_at_k_table(n, k)[votes.right]) for k in powers_of_two(n)}
    values |= {"mean@n": votes.right / n, f"maj@{n}": maj_at_k(votes, n)}
    if n > 1:
        values[IDENTICAL] = float(all(response["same_as_first"] for response in responses))
    return values


def identical_share(values: Sequence[float]) -> float:
    """Aggregation of lm-eval: the mean, with a warning where it is 1.

    It does not raise: lm-eval would end without having written any response.
    """
    share = sum(values) / len(values)
    if share == 1:
        logger.warning(
            "All responses to every problem are the same text, so pass@k is pass@1. Either decoding was greedy, or "
            "the server got one seed for all: lm-eval's API models send 1234 unless you add --gen_kwargs seed=None"
        )
    return share
