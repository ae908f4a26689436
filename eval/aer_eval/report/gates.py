"""Gates: bounds on metrics that a build or a training script can fail on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aer_eval.errors import UserError
from aer_eval.report.page import number
from aer_eval.report.results import Result

GATE = re.compile(
    r"(?:(?P<label>.+)/)?(?P<suite>[^/:]+):(?P<metric>.+?)\s*(?P<sign>>=|<=)\s*(?P<bound>[-+.\deE]+)", re.DOTALL
)
ROUNDING = 1e-9
"""A mean of shares may miss its decimal by this much: 0.3 meets `>=0.3`."""
FORM = "SUITE:METRIC>=VALUE, SUITE:METRIC<=VALUE, or RUN/ before either"


@dataclass(frozen=True)
class Gate:
    """A bound on one metric of one suite, for one run or for each."""

    text: str
    """As it was given."""
    label: str | None
    suite: str
    metric: str
    sign: str
    bound: float


@dataclass(frozen=True)
class Outcome:
    """What a gate found in one run."""

    gate: str
    label: str
    value: float
    missing_problems: int
    passed: bool

    def __str__(self) -> str:
        missing = f", {self.missing_problems} problems missing" if self.missing_problems else ""
        return f"{'pass' if self.passed else 'FAIL'}  {self.gate}  ({self.label}: {number(self.value)}{missing})"


def parse_gate(text: str) -> Gate:
    """A gate from its text. Raises UserError where it has another form than `FORM`."""
    found = GATE.fullmatch(text.strip())
    try:
        bound = float(found["bound"]) if found else math.nan
    except ValueError:
        bound = math.nan
    if found is None or not math.isfinite(bound):
        raise UserError(f"--fail-below {text!r}: not a gate; write {FORM}")
    return Gate(text, found["label"], found["suite"], found["metric"], found["sign"], bound)


def check(gates: Sequence[Gate], results: Sequence[Result]) -> list[Outcome]:
    """Hold every gate against every run that it is about.

    Raises:
        UserError: a run, a suite or a metric that is not there.
    """
    return [_outcome(gate, result) for gate in gates for result in _meant(gate, results)]


def _meant(gate: Gate, results: Sequence[Result]) -> list[Result]:
    """The gate's suite in its run, or in every run: a run without the suite would pass unseen."""
    labels = list(dict.fromkeys(result.label for result in results))
    if gate.label is not None and gate.label not in labels:
        raise UserError(f"--fail-below {gate.text!r}: no run {gate.label!r}; there are: {', '.join(labels)}")
    there = {(result.label, result.suite): result for result in results}
    meant = []
    for label in labels if gate.label is None else [gate.label]:
        if (label, gate.suite) not in there:
            suites = ", ".join(suite for run, suite in there if run == label)
            raise UserError(f"--fail-below {gate.text!r}: run {label!r} has no suite {gate.suite!r}; it has: {suites}")
        meant.append(there[label, gate.suite])
    return meant


def _outcome(gate: Gate, result: Result) -> Outcome:
    """A suite that is not complete fails: its numbers are not about the suite that the gate names."""
    metrics = _metrics(result)
    if gate.metric not in metrics:
        raise UserError(
            f"--fail-below {gate.text!r}: {result.label}/{result.suite} has no metric {gate.metric!r}; "
            f"it has: {', '.join(metrics)}"
        )
    value, missing = metrics[gate.metric], result.summary.missing_problems
    above = value - gate.bound if gate.sign == ">=" else gate.bound - value
    return Outcome(gate.text, result.label, value, missing, above >= -ROUNDING and not missing)


def _metrics(result: Result) -> Mapping[str, float]:
    return {name: estimate.value for name, estimate in result.summary.estimates.items()} | dict(result.summary.rates)
