"""Following a run: what is written when, what the page does meanwhile, and the samples and warnings on it."""

import json
import re
import threading
import time

import pandas
import pytest

from aer_openrlhf import runlog
from aer_openrlhf.report import follow as following
from aer_openrlhf.report.cli import main
from aer_openrlhf.report.follow import follow

ROW = {"aer/entropy": 0.5, "reward": 0.1}


@pytest.fixture
def clock(monkeypatch):
    """clock(*events): each look's pause runs the next event instead of sleeping; after the last comes Ctrl-C."""

    def set_events(*events):
        waiting = list(events)

        def sleep(seconds):
            if not waiting:
                raise KeyboardInterrupt
            waiting.pop(0)()

        monkeypatch.setattr(following.time, "sleep", sleep)

    return set_events


def log(folder, step):
    return lambda: runlog.append_metrics(folder, step, ROW)


def nothing():
    pass


def test_a_report_is_written_for_news_only_and_once_more_at_the_end(tmp_path, clock):
    written = []
    clock(log(tmp_path, 1), nothing, log(tmp_path, 2), nothing, lambda: runlog.end_run(tmp_path))
    follow([tmp_path], written.append, 30)
    assert written == [30, 30, None]  # after steps 1 and 2, and at the end without a refresh


def test_all_runs_are_waited_for(tmp_path, clock):
    first, second, written = tmp_path / "first", tmp_path / "second", []
    first.mkdir(), second.mkdir()
    ends = [lambda: runlog.end_run(first), lambda: runlog.end_run(second)]
    clock(log(first, 1), nothing, log(second, 1), *ends)
    follow([first, second], written.append, 5)
    assert written == [5, None]


def test_ctrl_c_leaves_a_page_that_does_not_load_itself(tmp_path, clock):
    written = []
    clock(log(tmp_path, 1))
    follow([tmp_path], written.append, 5)
    assert written == [5, None]


def test_ctrl_c_before_the_first_step_writes_nothing(tmp_path, clock):
    written = []
    clock(nothing)
    with pytest.raises(KeyboardInterrupt):
        follow([tmp_path], written.append, 5)
    assert written == []


def test_the_command_says_what_it_waits_for_and_ends_in_one_line(tmp_path, clock, capsys):
    clock(nothing)
    assert main([str(tmp_path / "typo"), "--follow"]) == 130
    assert capsys.readouterr().err.splitlines() == [
        f"aer-report: waiting for the first step in {tmp_path / 'typo'}",
        "aer-report: stopped; no report was written",
    ]


def test_an_evaluation_during_training_is_news(tmp_path, clock):
    written = []
    clock(log(tmp_path, 1), lambda: runlog.append_evaluation(tmp_path, 1, {"pass1": 0.5}))
    follow([tmp_path], written.append, 30)
    assert written == [30, 30, None]


def test_the_command_follows_a_run_to_its_end(tmp_path):
    """The page loads itself while the run goes on, and no longer when it has ended."""
    log(tmp_path, 1)()
    (tmp_path / "run_config.json").write_text(json.dumps({"method": "aer", "args": {}}))
    page = tmp_path / "report.html"
    command = threading.Thread(target=main, args=([str(tmp_path), "--follow", "0.1"],))
    command.start()
    deadline = time.monotonic() + 60
    while not page.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert '<meta http-equiv="refresh" content="0.1">' in page.read_text()
    runlog.end_run(tmp_path)
    command.join(60)
    assert not command.is_alive()
    assert "http-equiv" not in page.read_text()


def test_an_interval_that_is_none_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--follow", "0"])
    assert "0 is not a number of seconds above 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--follow", str(tmp_path)])
    assert f"{tmp_path} is not a number of seconds; run folders go before --follow" in capsys.readouterr().err


def test_the_page_shows_warnings_and_the_newest_samples_escaped(tmp_path, capsys):
    log(tmp_path, 1)()
    runlog.append_warning(tmp_path, 7, "entropy_high", "entropy is <b>high</b>", stopped=False)
    (tmp_path / "samples").mkdir()
    for step, response in ((20, "stale-response"), (100, "<script>x</script>" + "y" * 700)):
        rows = [{"step": step, "prompt_index": 0, "prompt": "1+1=<i>", "label": "2", "group_accuracy": 0.5}]
        rows[0] |= {"response": response, "score": 1.0, "reward": 1.0, "coefficient": None, "entropy": 0.3}
        rows[0] |= {"tokens": 4, "truncated": True}
        pandas.DataFrame(rows).to_parquet(tmp_path / "samples" / f"step_{step:06d}.parquet")
    assert main([str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "warning at step 7, entropy_high: entropy is &lt;b&gt;high&lt;/b&gt;" in page
    assert "warning at step 7" in capsys.readouterr().err
    assert "step 100</h3>" in page and "stale-response" not in page
    assert "&lt;script&gt;x" in page and "<script>" not in page
    assert "1+1=&lt;i&gt;" in page and "4, cut off" in page
    cells = re.findall(r"<td>([^<]*)</td>", page[page.index('id="samples"') :])
    assert cells[:4] == ["1.000", "1.000", "–", "0.300"]
