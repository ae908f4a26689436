"""What every page shares: numbers, breaks, templates and files."""

import jinja2
import pytest
from matplotlib.figure import Figure

from aer_eval.report.canvas import color_of, scale_over_k, text
from aer_eval.report.page import Drawing, breakable, environment, number, write_page


def test_numbers_keep_small_values_in_sight():
    shown = [number(value) for value in (0.3456, 0.0, 0.0012, 0.00012, -2.0, None, float("nan"))]
    assert shown == ["0.346", "0.000", "0.0012", "1.2e-04", "-2.000", "–", "–"]


def test_paths_and_hashes_may_break_and_nothing_is_lost():
    assert breakable("/a/<b>/c d") == "/<wbr>a/<wbr>&lt;b&gt;/<wbr>c d"
    assert breakable("f" * 70) == "f" * 32 + "<wbr>" + "f" * 32 + "<wbr>" + "f" * 6
    assert breakable("plain words, 0.5") == "plain words, 0.5"


def test_a_template_that_lacks_a_value_is_an_error(tmp_path):
    (tmp_path / "page.html.j2").write_text("{{ absent_from_the_call }}")
    with pytest.raises(jinja2.UndefinedError):
        environment(tmp_path).get_template("page.html.j2").render()


def test_the_layout_escapes_its_title(tmp_path):
    (tmp_path / "page.html.j2").write_text('{% extends "layout.html.j2" %}')
    page = environment(tmp_path).get_template("page.html.j2").render(title="<b>&")
    assert "<h1>&lt;b&gt;&amp;</h1>" in page
    assert "<b>" not in page


def test_pictures_of_an_earlier_report_go_and_other_files_stay(tmp_path):
    folder = tmp_path / "new" / "out"
    (folder / "png").mkdir(parents=True)
    for name in ("gone.png", "mine.png"):
        (folder / "png" / name).write_bytes(b"old")
    drawing = Drawing("kept", "Kept", "", b"\x89PNG")
    assert write_page(folder, "<p>ä</p>", [drawing], ["kept", "gone"]) == folder / "report.html"
    assert {path.name: path.read_bytes() for path in (folder / "png").iterdir()} == {
        "kept.png": b"\x89PNG",
        "mine.png": b"old",
    }
    assert (folder / "report.html").read_text(encoding="utf-8") == "<p>ä</p>"
    assert drawing.source == "data:image/png;base64,iVBORw=="


def test_the_palette_goes_round_and_names_are_cut_in_the_middle():
    assert color_of(0) == color_of(7) != color_of(1)
    assert text("a" * 30 + "z" * 30, 10) == "aaaa…zzzzz"
    assert not text("_hidden").startswith("_")


def test_ticks_over_k_never_crowd():
    ax = Figure().subplots()
    scale_over_k(ax, [1, 2, 4, 8, 10, 16])
    assert ax.xaxis.get_majorticklocs().tolist() == [1, 2, 4, 8, 16]
