"""What a probe shows: a table, the targets as sentences, a CSV file and a plot."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aer_eval.cli.table import text_table
from aer_eval.metrics.markdown import ABSENT
from aer_eval.report.canvas import color_of, legend, panels, png, styled
from aer_eval.whole_file import whole_file

from ..report.runs import short_names
from .measure import Measurement

HEADER = ("model", "dataset", "T", "H_0", "+-", "top 10 %", "prompts", "samples", "tokens", "truncated")


def table(measurements: Sequence[Measurement]) -> str:
    """One row a measurement; H_0 in nats a token with its standard error over prompts."""
    rows = []
    for cell in measurements:
        result = cell.result
        error = ABSENT if result.standard_error is None else f"{result.standard_error:.4f}"
        share = ABSENT if result.top10_share is None else f"{result.top10_share:.2f}"
        numbers = (result.prompts, result.samples, result.tokens, f"{result.truncated_share:.2f}")
        rows.append(
            (cell.model, cell.dataset, f"{cell.temperature:g}", f"{result.entropy:.4f}", error, share, *numbers)
        )
    return text_table(HEADER, rows)


def targets(measurements: Sequence[Measurement], taus: Sequence[float]) -> Iterator[str]:
    """What every tau would hold each model at."""
    for cell in measurements:
        aims = ", ".join(f"tau {tau:g} means a target of {tau * cell.result.entropy:.3f} nats a token" for tau in taus)
        yield f"{cell.model} on {cell.dataset} at temperature {cell.temperature:g}: {aims}"


def write_csv(measurements: Sequence[Measurement], path: Path) -> None:
    """All fields, a row a measurement; a number that is not known is an empty field."""
    rows = [cell.to_dict() for cell in measurements]
    with whole_file(path) as file:
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)


def write_plot(measurements: Sequence[Measurement], path: Path) -> None:
    """Entropy, with two standard errors, and its concentration against the temperature; a line a model and dataset."""
    lines: dict[str, list[Measurement]] = {}
    for cell, model in zip(measurements, short_names([Path(cell.model) for cell in measurements]), strict=True):
        lines.setdefault(f"{model}, {cell.dataset}", []).append(cell)
    with styled():
        figure, (entropy, share) = panels(2, height=3.0, xlabel="temperature")
        for place, cells in enumerate(lines.values()):
            cells = sorted(cells, key=lambda cell: cell.temperature)
            look: dict[str, Any] = {"color": color_of(place), "marker": "o", "markersize": 4}
            steps = [cell.temperature for cell in cells]
            known = [cell.result.standard_error for cell in cells]
            errors = [math.nan if error is None else 2 * error for error in known]  # NaN: no bar
            entropy.errorbar(steps, [cell.result.entropy for cell in cells], errors, capsize=2, **look)
            shares = {cell.temperature: top for cell in cells if (top := cell.result.top10_share) is not None}
            share.plot(list(shares), list(shares.values()), **look)
        entropy.set_ylabel("initial entropy H_0 (nats a token)")
        share.set_ylabel("share held by the top 10 % of tokens")
        for ax in (entropy, share):
            ax.set_ylim(bottom=0)
        legend(figure, [(name, color_of(place)) for place, name in enumerate(lines)])
        with whole_file(path, "wb") as file:
            file.write(png(figure))
