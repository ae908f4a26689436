"""The report as a whole: computed once, then written as a page, as Markdown and as JSON with the same numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from aer_eval import __version__
from aer_eval.metrics.markdown import ABSENT, table
from aer_eval.metrics.summary import known, to_json
from aer_eval.report import figures, provenance, tables
from aer_eval.report.gates import Outcome
from aer_eval.report.page import PICTURES, Drawing, environment, number, write_page
from aer_eval.report.results import Result, by_suite, choose_k
from aer_eval.report.samples import choose_samples


@dataclass(frozen=True, eq=False)
class Report:
    """All that the three files say."""

    title: str
    results: Sequence[Result]
    ks: Mapping[str, int]
    """By suite: the k of the second pass@k column."""
    notes: Sequence[str]
    outcomes: Sequence[Outcome]
    drawings: Sequence[Drawing]
    samples_of_each_kind: int
    seed: int
    """Draws the samples that are shown."""


def make_report(
    results: Sequence[Result], outcomes: Sequence[Outcome], title: str, k: int | None, shown: int, seed: int
) -> Report:
    """Draw the figures and gather the notes.

    Args:
        results: the runs on the suites.
        outcomes: of the gates.
        title: heading of the page.
        k: of the second pass@k column; None for the largest reliable one of each suite.
        shown: samples of each kind that the page shows for a run on a suite.
        seed: draws them.
    """
    return Report(
        title=title,
        results=results,
        ks={suite: choose_k(group, k) for suite, group in by_suite(results).items()},
        notes=provenance.notes(results),
        outcomes=outcomes,
        drawings=figures.draw_all(results),
        samples_of_each_kind=shown,
        seed=seed,
    )


def write_report(report: Report, folder: Path) -> Path:
    """Write report.html, report.md, report.json and the pictures; return the page's file."""
    path = write_page(folder, _html(report), report.drawings, [chart.key for chart in figures.CHARTS])
    (folder / "report.md").write_text(_markdown(report), encoding="utf-8")
    content = json.dumps(_json(report), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(content + "\n", encoding="utf-8")
    return path


def _html(report: Report) -> str:
    return (
        environment(Path(__file__).parent)
        .get_template("report.html.j2")
        .render(
            title=report.title,
            notes=report.notes,
            outcomes=report.outcomes,
            suites=[_suite(report, group) for group in by_suite(report.results).values()],
            drawings=report.drawings,
            seed=report.seed,
            over_problems=tables.OVER_PROBLEMS,
            this_set=tables.THIS_SET,
            number=number,
            absent=ABSENT,
            version=__version__,
        )
    )


def _suite(report: Report, group: Sequence[Result]) -> dict[str, Any]:
    """What the page shows of one suite."""
    first = group[0]
    k = report.ks[first.suite]
    return {
        "name": first.suite,
        "version": first.scored.suite_version,
        "num_problems": len(first.scored.problems),
        "headings": tables.main_headings(k),
        "lines": tables.main_lines(group, k),
        "cautions": tables.cautions(group, k),
        "measures": tables.measures(group),
        "other": tables.other_rows(group),
        "runs": [(result.label, result.color) for result in group],
        "samples": [
            (result.label, result.color, choose_samples(result.scored, report.samples_of_each_kind, report.seed))
            for result in group
        ],
        "settings": provenance.setting_rows(group),
    }


def _markdown(report: Report) -> str:
    parts = [f"# {_plain(report.title)}"]
    if report.notes:
        parts.append("\n".join(f"> - {_plain(note)}" for note in report.notes))
    if report.outcomes:
        parts.append("## Gates\n\n" + "\n".join(f"- {_plain(str(outcome))}" for outcome in report.outcomes))
    for group in by_suite(report.results).values():
        parts += _suite_markdown(group, report.ks[group[0].suite])
    parts += [f"## {drawing.title}\n\n![{drawing.title}]({PICTURES}/{drawing.key}.png)" for drawing in report.drawings]
    return "\n\n".join(parts) + "\n"


def _suite_markdown(group: Sequence[Result], k: int) -> list[str]:
    scored = group[0].scored
    main = [[line.label, *line.cells] for line in tables.main_lines(group, k)]
    parts = [
        f"## {_plain(scored.suite)}, version {scored.suite_version}, {len(scored.problems)} problems",
        _table(["run", *tables.main_headings(k)], main),
    ]
    if cautions := tables.cautions(group, k):
        parts.append(f"\\* To be read with care: {_plain('; '.join(cautions))}.")
    measures = [[m.metric, m.label, m.value, m.over_problems, m.this_set, m.note] for m in tables.measures(group)]
    parts.append(_table(["metric", "run", "value", tables.OVER_PROBLEMS, tables.THIS_SET, ""], measures))
    runs = [result.label for result in group]
    for heading, rows in [*tables.other_rows(group), ("What was run", provenance.setting_rows(group))]:
        parts.append(_table([heading, *runs], [[row.label, *row.cells] for row in rows]))
    return parts


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return table([_plain(heading) for heading in headings], [[_plain(cell) for cell in line] for line in lines])


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return escape(" ".join(text.split()), quote=False).replace("*", "\\*")


def _json(report: Report) -> dict[str, Any]:
    return {
        "title": report.title,
        "aer_eval": __version__,
        "notes": list(report.notes),
        "gates": [known(asdict(outcome)) for outcome in report.outcomes],
        "suites": {
            suite: {
                "version": group[0].scored.suite_version,
                "problems": len(group[0].scored.problems),
                "chosen_k": report.ks[suite],
                "runs": {result.label: _numbers(result) for result in group},
            }
            for suite, group in by_suite(report.results).items()
        },
    }


def _numbers(result: Result) -> dict[str, Any]:
    manifest = {name: value for name, value in result.scored.manifest.items() if name != "problems"}
    return {**to_json(result.summary), "what_was_run": manifest}
