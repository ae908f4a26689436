"""The store: what is in it is there for good, once, and of one run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from threading import Event

import pandas as pd
import pytest

import aer_eval.sampling.sampler as sampler
from aer_eval.engines.base import Engine, ModelIdentity
from aer_eval.errors import UserError
from aer_eval.records import SAMPLE_COLUMNS, Problem, Prompt
from aer_eval.sampling.sampler import identical_share, manifest, sample_units
from aer_eval.sampling.store import (
    SampleStore,
    find_stores,
    load_scored,
    read_manifest,
    read_problems,
    read_samples,
    write_grades,
)
from aer_eval.sampling.units import Completion, SamplingParams, base_seed, plan_units

PROBLEMS = [Problem(id=f"p{i}", problem=f"What is {i}?", answer=str(i), answer_type="integer") for i in range(3)]
PROMPTS = {problem.id: Prompt(text=problem.problem) for problem in PROBLEMS}


class CountingEngine(Engine):
    """Answers every unit with its own seed and remembers what it was asked; dies after some units if told to."""

    name = "hf"
    identity = ModelIdentity("models/tiny", "f00d", {"dtype": "auto"})

    def __init__(self, dies_after: int | None = None, twice: bool = False) -> None:
        self.asked: list[tuple[str, int]] = []
        self.dies_after = dies_after
        self.twice = twice

    def sample(self, units: Sequence, params: SamplingParams) -> Iterator[list[Completion]]:
        for number, unit in enumerate(units):
            if number == self.dies_after:
                raise UserError("the server is gone")
            self.asked += [(unit.problem_id, index) for index, _ in unit.slots()]
            batch = [
                Completion(unit.problem_id, index, seed, f"text {seed}", 3, "stop") for index, seed in unit.slots()
            ]
            yield batch
            if self.twice:
                yield batch


def contents(**changes):
    parts = {
        "suite": {"name": "tiny", "version": 1, "checksum": "c"},
        "template": {"name": "raw", "hash": "h"},
        "engine": CountingEngine(),
        "params": SamplingParams(),
        "problems": [{**vars(problem), "metadata": {}} for problem in PROBLEMS],
        "label": "tiny",
        "versions": {"python": "3"},
    }
    return manifest(**{**parts, **changes})


def fill(folder, n, engine=None, chunk=2, seen=None):
    engine = engine or CountingEngine()
    with SampleStore(folder, contents()) as store:
        note = (seen if seen is not None else []).extend
        units = plan_units(PROMPTS, n, chunk, 0, store.done())
        return sample_units(store, units, engine, SamplingParams(), note)


def test_a_run_leaves_every_sample_once_with_its_seed(tmp_path):
    seen = []
    assert fill(tmp_path, n=5, seen=seen) == 15
    frame = read_samples(tmp_path)
    assert list(frame.columns) == list(SAMPLE_COLUMNS)
    assert {column: str(kind) for column, kind in frame.dtypes.items()} == SAMPLE_COLUMNS
    rows = [(row.problem_id, row.sample_index, row.seed, row.text) for row in frame.itertuples()]
    expected = [(p, i, base_seed(0, p) + i, f"text {base_seed(0, p) + i}") for p in PROMPTS for i in range(5)]
    assert rows == expected
    assert frame["mean_logprob"].isna().all()  # the engine does not know it: absent, not 0
    assert sorted((sample.problem_id, sample.sample_index) for sample in seen) == [row[:2] for row in expected]


def test_samples_are_written_while_the_engine_is_still_busy_with_others(tmp_path, monkeypatch):
    monkeypatch.setattr(sampler, "FLUSH_SECONDS", 0.05)

    class BusyEngine(CountingEngine):
        def sample(self, units, params):
            for number, batch in enumerate(super().sample(units, params)):
                if number == 2:
                    deadline = time.monotonic() + 30
                    while read_samples(tmp_path).empty and time.monotonic() < deadline:
                        time.sleep(0.01)
                    there.extend(read_samples(tmp_path)["problem_id"])
                yield batch

    there: list[str] = []
    fill(tmp_path, n=2, engine=BusyEngine())
    assert set(there) == {"p0", "p1"}
    assert len(read_samples(tmp_path)) == 6


def test_a_disk_that_is_full_ends_the_run_at_the_next_samples(tmp_path, monkeypatch):
    tried = Event()

    def append(*_):
        tried.set()
        raise UserError("make room")

    class WaitingEngine(CountingEngine):
        def sample(self, units, params):
            for batch in super().sample(units, params):
                yield batch
                assert tried.wait(30)

    monkeypatch.setattr(sampler, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(SampleStore, "append", append)
    engine = WaitingEngine()
    with pytest.raises(UserError, match="make room"):
        fill(tmp_path, n=2, engine=engine)
    assert len(engine.asked) == 4


def test_parts_can_be_read_by_pandas_alone(tmp_path):
    fill(tmp_path, n=2)
    assert len(pd.read_parquet(tmp_path / "samples")) == 6


def test_the_same_command_again_samples_nothing_and_a_larger_n_the_difference(tmp_path):
    fill(tmp_path, n=4)
    again = CountingEngine()
    assert fill(tmp_path, n=4, engine=again) == 0
    assert again.asked == []
    more = CountingEngine()
    assert fill(tmp_path, n=6, engine=more) == 6
    assert sorted(more.asked) == [(problem, index) for problem in PROMPTS for index in (4, 5)]
    assert len(read_samples(tmp_path)) == 18


def test_what_an_engine_finished_before_it_failed_is_kept(tmp_path):
    with pytest.raises(UserError, match="the server is gone"):
        fill(tmp_path, n=4, engine=CountingEngine(dies_after=4))
    assert len(read_samples(tmp_path)) == 8
    rest = CountingEngine()
    assert fill(tmp_path, n=4, engine=rest) == 4
    assert len(read_samples(tmp_path)) == 12


def test_a_unit_that_an_engine_delivers_twice_counts_once(tmp_path):
    assert fill(tmp_path, n=4, engine=CountingEngine(twice=True)) == 12
    assert len(read_samples(tmp_path)) == 12


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"params": SamplingParams(temperature=0.6)}, "sampling.temperature is 1.0 there, 0.6 here"),
        ({"params": SamplingParams(run_seed=1)}, "sampling.run_seed"),
        ({"template": {"name": "plain", "hash": "x"}}, "template.hash"),
        ({"suite": {"name": "tiny", "version": 1, "checksum": "d"}}, "suite.checksum"),
    ],
)
def test_other_settings_do_not_share_a_store(tmp_path, change, named):
    fill(tmp_path, n=1)
    with pytest.raises(UserError, match=named):
        SampleStore(tmp_path, contents(**change))


@pytest.mark.parametrize(
    ("ids", "named"),
    [
        (["p1", "p0", "p2"], r"\(problem 'p1' has another problem in it\)"),
        (["p0", "p1", "q2"], r"\(problem 'q2' is not in it\)"),
        (["p0", "p1"], r"\(problem 'p2' is in it, and not here\)"),
    ],
)
def test_an_id_stands_for_one_problem_in_a_store(tmp_path, ids, named):
    fill(tmp_path, n=1)
    others = [{**vars(problem), "id": name} for name, problem in zip(ids, PROBLEMS, strict=False)]
    with pytest.raises(UserError, match=f"^{tmp_path} holds samples of other problems {named}; .* or another --out$"):
        SampleStore(tmp_path, contents(problems=others))


@pytest.mark.parametrize("field", ["answer", "answer_type"])
def test_another_reference_or_answer_type_does_not_share_a_store(tmp_path, field):
    fill(tmp_path, n=1)
    others = [{**vars(problem), field: {"answer": "7", "answer_type": "math"}[field]} for problem in PROBLEMS]
    with pytest.raises(UserError, match=rf"\(problem 'p0' has another {field} in it\)"):
        SampleStore(tmp_path, contents(problems=others))


def test_transcriptions_that_differ_in_white_space_and_metadata_share_a_store(tmp_path):
    fill(tmp_path, n=1)
    copies = [
        {**vars(problem), "problem": problem.problem.replace(" ", "\n "), "metadata": {"level": "3"}}
        for problem in PROBLEMS
    ]
    with SampleStore(tmp_path, contents(problems=copies)) as store:
        assert store.done() == {name: {0} for name in PROMPTS}


def test_another_model_does_not_share_a_store_but_another_label_does(tmp_path):
    fill(tmp_path, n=1)
    other = CountingEngine()
    other.identity = ModelIdentity("models/tiny", "beef", {"dtype": "auto"})
    with pytest.raises(UserError, match=r"model\.fingerprint is 'f00d' there, 'beef' here"):
        SampleStore(tmp_path, contents(engine=other))
    with SampleStore(tmp_path, contents(label="renamed", versions={"python": "4"})) as store:
        assert store.manifest["label"] == "tiny"  # what the samples were made with stands


def test_two_processes_do_not_write_to_one_store(tmp_path):
    with SampleStore(tmp_path, contents()), pytest.raises(UserError, match="another aer-eval"):
        SampleStore(tmp_path, contents())


def test_samples_without_a_manifest_are_not_taken_over(tmp_path):
    fill(tmp_path, n=1)
    (tmp_path / "store.json").unlink()
    with pytest.raises(UserError, match=r"no store\.json"):
        SampleStore(tmp_path, contents())


def test_a_part_that_was_copied_in_by_hand_is_noticed(tmp_path):
    fill(tmp_path, n=1)
    part = next((tmp_path / "samples").glob("*.parquet"))
    (part.parent / "copy.parquet").write_bytes(part.read_bytes())
    with pytest.raises(UserError, match="in it twice"):
        read_samples(tmp_path)


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from test_store import CountingEngine, fill
from pathlib import Path
import aer_eval.sampling.sampler as sampler
sampler.FLUSH_SECONDS = 0.0

class Slow(CountingEngine):
    def sample(self, units, params):
        for batch in super().sample(units, params):
            time.sleep(0.02)
            yield batch

class Shown(list):
    def extend(self, samples):
        for sample in samples:
            print(sample.problem_id, sample.sample_index, flush=True)

fill(Path({folder!r}), n=40, engine=Slow(), chunk=1, seen=Shown())
"""


@pytest.mark.parametrize("delay", [0.0, 0.15, 0.4])
def test_after_kill_9_every_counted_sample_is_there_and_the_run_goes_on(tmp_path, delay):
    script = KILLED.format(tests=os.path.dirname(__file__), folder=str(tmp_path / "store"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    counted = {tuple(line.split()) for line in [first, *process.stdout] if line.endswith("\n")}
    process.wait()
    store = tmp_path / "store"
    (store / "samples" / "torn.parquet.tmp").write_bytes(b"PAR1 and then the power went")
    there = {(row.problem_id, str(row.sample_index)) for row in read_samples(store).itertuples()}
    assert counted and counted <= there
    rest = CountingEngine()
    fill(store, n=40, engine=rest)
    assert {(problem, str(index)) for problem, index in rest.asked}.isdisjoint(there)
    frame = read_samples(store)
    assert len(frame) == 120 and frame["seed"].is_unique


def test_scored_samples_come_in_the_suites_order_and_only_when_all_are_graded(tmp_path):
    fill(tmp_path, n=2)
    with pytest.raises(UserError, match="not graded yet"):
        load_scored(tmp_path)
    grades = read_samples(tmp_path)[["problem_id", "sample_index"]].assign(
        verdict="wrong", extracted=pd.NA, answer_class=pd.NA
    )
    write_grades(tmp_path, "grader-1", grades.iloc[:-1])
    with pytest.raises(UserError, match="samples that are not graded"):
        load_scored(tmp_path)
    write_grades(tmp_path, "grader-2", grades)
    scored = load_scored(tmp_path)
    assert (scored.label, scored.suite, scored.suite_version) == ("tiny", "tiny", 1)
    assert list(scored.problems) == list(PROMPTS)
    assert list(scored.samples["sample_index"]) == [0, 1] * 3
    assert scored.manifest["grader"] == "grader-2"
    assert read_problems(tmp_path)["p1"] == PROBLEMS[1]


def test_a_run_folder_holds_one_store_a_suite_and_a_store_is_found_by_its_own_path(tmp_path):
    for suite in ("aime24", "amc23"):
        fill(tmp_path / suite, n=1)
    assert find_stores(tmp_path) == [tmp_path / "aime24", tmp_path / "amc23"]
    assert find_stores(tmp_path / "amc23") == [tmp_path / "amc23"]


def test_a_folder_without_a_store_is_refused(tmp_path):
    with pytest.raises(UserError, match="no store in it"):
        find_stores(tmp_path)
    with pytest.raises(UserError, match=r"no readable store\.json"):
        read_manifest(tmp_path)
    (tmp_path / "store.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        read_manifest(tmp_path)


def test_identical_share_counts_problems_whose_samples_are_all_alike():
    assert identical_share({"a": ["x", "x"], "b": ["x", "y"], "c": ["x"]}) == 0.5
    assert identical_share({"a": ["x"]}) is None
