"""The page around the figures: its templates, how it shows numbers, and the way to the disk.

A page is one file: pictures are embedded, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from aer_eval.metrics.markdown import ABSENT
from aer_eval.whole_file import whole_file

UNBREAKABLE = re.compile(r"([^\s/]{0,32}/|\S{32})")
"""A part of a path or of a long word, behind which a line may be broken."""
PICTURES = "png"
"""The folder beside the page that holds the figures as files."""


@dataclass(frozen=True)
class Drawing:
    """A figure that was drawn."""

    key: str
    """Its file's name and its anchor on the page."""
    title: str
    caption: str
    png: bytes

    @property
    def source(self) -> str:
        """The picture as the page embeds it."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


@dataclass(frozen=True)
class Row:
    """A line of a table of settings or results, one cell a run."""

    label: str
    cells: tuple[str, ...]
    differs: bool = False
    """Whether the runs differ in this setting."""


def number(value: float | None) -> str:
    """Three decimals, or two significant digits for what would vanish so; a dash for what is not known."""
    if value is None or pd.isna(value):
        return ABSENT
    if value == 0 or abs(value) >= 0.01:
        return f"{value:.3f}"
    return f"{value:.4f}" if abs(value) >= 0.001 else f"{value:.1e}"


def environment(folder: Path) -> jinja2.Environment:
    """The templates in `folder`, which may extend and import those that lie here."""
    result = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    result.filters["breakable"] = breakable
    return result


def breakable(text: str) -> Markup:
    """`text` escaped, with leave to break paths behind a slash and hashes anywhere: they shall not set a width."""
    return Markup("<wbr>").join(filter(None, UNBREAKABLE.split(text)))


def write_page(folder: Path, page: str, drawings: Sequence[Drawing], keys: Iterable[str]) -> Path:
    """Write the page and its pictures; a picture of an earlier report that is not drawn any more is removed.

    Args:
        folder: made if missing.
        page: the HTML.
        drawings: what is on the page.
        keys: of every figure that such a page can have.

    Returns:
        The page's file.
    """
    pictures = folder / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for key in keys:
        (pictures / f"{key}.png").unlink(missing_ok=True)
    for drawing in drawings:
        (pictures / f"{drawing.key}.png").write_bytes(drawing.png)
    report = folder / "report.html"
    with whole_file(report) as file:  # a browser may be loading it
        file.write(page)
    return report
