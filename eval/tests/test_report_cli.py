"""`aer-eval report` on real stores: the page, Markdown and JSON, the gates, and how it fails."""

import argparse
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pandas as pd
import pytest

from aer_eval.cli import report
from aer_eval.errors import UserError
from aer_eval.records import Verdict
from aer_eval.sampling.store import SampleStore, write_grades
from aer_eval.sampling.units import Completion

HOSTILE = "</pre><script>alert('x')</script> x < 3 & y > 2\n"
VERDICTS = {"R": Verdict.CORRECT, "A": Verdict.WRONG, "t": Verdict.TRUNCATED, "-": Verdict.NO_ANSWER}


def write_store(folder, suite, outcomes, label, temperature=1.0, graded=True):
    """A store with a problem for each string of `outcomes`, whose characters are the verdicts of its samples."""
    problems = [
        {"id": f"{suite}-{i}", "problem": "Is <i>x</i>?", "answer": "25", "answer_type": "integer", "metadata": {}}
        for i in range(len(outcomes))
    ]
    contents = {
        "label": label,
        "suite": {"name": suite, "version": 1},
        "template": {"name": "boxed"},
        "model_name": f"models/{label}",
        "model": {"fingerprint": label},
        "sampling": {"temperature": temperature, "run_seed": 0},
        "versions": {"aer-eval": "0.1.0"},
        "problems": problems,
    }
    samples, grades = [], []
    for problem, verdicts in zip(problems, outcomes, strict=True):
        for index, verdict in enumerate(verdicts):
            answer = {"R": "25", "A": "<em>7</em>"}.get(verdict)
            text = HOSTILE + "so " * 400 * (index % 2) + f"\\boxed{{{answer}}}"
            reason = "length" if verdict == "t" else "stop"
            samples.append(Completion(problem["id"], index, index, text, 100 + index, reason))
            grades.append((problem["id"], index, VERDICTS[verdict].value, answer, answer))
    with SampleStore(folder / suite, contents) as store:
        store.append(samples, "hf", label, "p")
    if graded:
        columns = ["problem_id", "sample_index", "verdict", "extracted", "answer_class"]
        write_grades(folder / suite, "boxed-1", pd.DataFrame(grades, columns=columns))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs on two suites; they differ in temperature on one of them."""
    root = tmp_path_factory.mktemp("runs")
    base = write_store(root / "base", "aime24", ["RAAA", "AAt-"], "<b>base")
    write_store(base, "math500", ["RRRR", "RRAA"], "<b>base")
    aer = write_store(root / "aer", "aime24", ["RRAA", "RAAA"], "aer", temperature=0.6)
    return [base, write_store(aer, "math500", ["RRRR", "RRRA"], "aer")]


def run(*arguments):
    parser = argparse.ArgumentParser()
    report.add_parser(parser.add_subparsers())
    args = parser.parse_args(["report", *map(str, arguments)])
    return args.run(args)


@pytest.fixture(scope="module")
def out(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "report"
    gates = ["--fail-below", "aime24:pass@1>=0.1", "--fail-below", "aer/math500:truncated<=0"]
    assert run(*runs, "--out", folder, "--title", "A & B", *gates) == 0
    return folder


class Checker(HTMLParser):
    """Collects what a browser would load or run, and whether every tag is closed where it should be."""

    VOID = ("meta", "img", "wbr", "br")

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.tags, self.text = [], [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_holds_all_it_needs_and_runs_nothing(out):
    page = (out / "report.html").read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert len(checker.loaded) == 4
    assert all(source.startswith("data:image/png;base64,") for source in checker.loaded)
    assert checker.tags.isdisjoint({"script", "link", "iframe", "object", "b", "i", "em"}), (
        "all that is foreign is text"
    )
    assert not re.search(r"url\(|@import|https?://", page)


def test_the_page_shows_samples_as_they_are(out):
    checker = Checker()
    checker.feed((out / "report.html").read_text(encoding="utf-8"))
    text = "".join(checker.text)
    assert HOSTILE in text
    for shown in ("<b>base", "<em>7</em>", "Is <i>x</i>?", "A & B"):
        assert shown in text
    assert "all 1,2" in text, "long responses are folded"
    assert "details" in checker.tags


def test_page_markdown_and_json_hold_the_same_numbers(out):
    page, markdown = ((out / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    content = json.loads((out / "report.json").read_text(encoding="utf-8"))
    suite = content["suites"]["aime24"]
    base = suite["runs"]["<b>base"]
    assert base["estimates"]["pass@1"]["value"] == 0.125  # (1/4 + 0) / 2
    assert base["estimates"]["pass@2"]["value"] == 0.25  # 1 - C(3,2)/C(4,2) and 0
    assert base["rates"]["truncated"] == 0.125
    assert base["verdicts"]["no_answer"] == 1
    assert base["per_problem"]["aime24-0"]["correct"] == 1
    assert suite["chosen_k"] == 2
    assert base["what_was_run"]["grader"] == "boxed-1"
    cells = ["4", "0.125", "0.250", "0.000 *", "0.125", "102"]
    assert "| &lt;b&gt;base | " + " | ".join(cells).replace("*", "\\*") + " |" in markdown
    assert "".join(f'<td class="number">{cell}</td>' for cell in cells) in page
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", markdown):
        assert (out / picture).is_file()


def test_an_unknown_number_is_absent_from_the_json(out):
    content = json.loads((out / "report.json").read_text(encoding="utf-8"))
    estimates = content["suites"]["aime24"]["runs"]["aer"]["estimates"]
    assert set(estimates["pass@1"]) == {"value", "over_problems", "this_set"}
    assert "this_set" not in estimates["pass@4"]  # k = n: undefined
    assert estimates["pass@4"]["flag"] == "k > n/2"
    assert "entropy" not in content["suites"]["aime24"]["runs"]["aer"]["diversity"]


def test_runs_that_are_not_comparable_are_pointed_out_everywhere(runs, tmp_path, capsys):
    assert run(*runs, "--out", tmp_path) == 0
    said = "aime24: the runs differ in sampling.temperature (1 in <b>base, 0.6 in aer)"
    assert said in capsys.readouterr().err
    escaped = said.replace("<", "&lt;").replace(">", "&gt;")
    for name, expected in (("report.html", escaped), ("report.md", escaped), ("report.json", said)):
        assert expected in (tmp_path / name).read_text(encoding="utf-8")


def test_a_failed_gate_is_exit_code_one_and_the_report_is_there(runs, tmp_path, capsys):
    gate = "aime24:pass@1>=0.2"
    assert run(*runs, "--out", tmp_path, "--fail-below", gate) == 1
    assert f"FAIL  {gate}  (<b>base: 0.125)\npass  {gate}  (aer: 0.375)" in capsys.readouterr().out
    gates = json.loads((tmp_path / "report.json").read_text())["gates"]
    assert [(outcome["label"], outcome["passed"]) for outcome in gates] == [("<b>base", False), ("aer", True)]
    assert '<td class="fail">fail</td>' in (tmp_path / "report.html").read_text()


def test_a_single_store_is_a_run_too(runs, tmp_path):
    assert run(runs[0] / "aime24", "--out", tmp_path, "--samples", 0) == 0
    content = json.loads((tmp_path / "report.json").read_text())
    assert list(content["suites"]) == ["aime24"]
    assert content["notes"] == []


def test_k_can_be_chosen_and_is_dashed_where_a_suite_has_too_few_samples(runs, tmp_path):
    more = write_store(tmp_path / "more", "aime24", ["RRAAAA"], "more")
    write_store(more, "few", ["RA"], "more")
    assert run(more, "--out", tmp_path / "out", "--k", 3) == 0
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "| more | 6 | 0.333 | 0.800 |" in markdown  # 1 - C(4,3)/C(6,3)
    assert "| more | 2 | 0.500 | – |" in markdown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--k", 5], "--k 5: no run has so many samples of every problem; give k from 1 to 4"),
        (["--k", 0], "--k must be at least 1"),
        (["--samples", -1], "--samples must be at least 0"),
        (["--seed", -1], "--seed must be at least 0"),
        (["--fail-below", "aime24"], "--fail-below 'aime24': not a gate"),
        (["--fail-below", "aime25:pass@1>=0"], "has no suite 'aime25'; it has: aime24, math500"),
    ],
)
def test_bad_flags_are_refused_before_anything_is_written(runs, tmp_path, arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        run(*runs, "--out", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_not_graded_is_refused(tmp_path):
    folder = write_store(tmp_path / "run", "aime24", ["RA"], "A", graded=False)
    with pytest.raises(UserError, match="not graded"):
        run(folder, "--out", tmp_path / "out")


def test_an_out_that_is_a_file_is_refused(runs, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match=f"--out {tmp_path / 'out'}: cannot be written"):
        run(*runs, "--out", tmp_path / "out")


def test_the_subcommand_is_there_without_matplotlib():
    command = "import sys, aer_eval.cli.report; print({'matplotlib', 'jinja2', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", command], capture_output=True, text=True).stdout == "set()\n"
