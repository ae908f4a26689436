"""lm-eval runs our suites and stores and comes to our numbers."""

import json
import logging
import math
from types import SimpleNamespace

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from aer_eval.cli.main import main
from aer_eval.errors import UserError
from aer_eval.lmeval.metrics import grade_responses, identical_share, metric_names
from aer_eval.lmeval.replay import replay, store_task
from aer_eval.lmeval.store_lm import StoreLM
from aer_eval.metrics.summary import summarise
from aer_eval.records import GRADE_COLUMNS, Problem
from aer_eval.sampling.store import SampleStore, load_scored, read_samples, write_grades
from aer_eval.sampling.units import Completion
from aer_eval.scoring import score_store
from aer_eval.suites.registry import GROUPS, definitions
from aer_eval.suites.templates import TEMPLATES, find_template
from aer_eval.tasks import FOLDER, task_name

ROWS = {
    "integer": {"problem": "What is 20 + 5?", "answer": "25"},
    "math": {"problem": "Half of one?", "answer": "\\frac12"},
    "countdown3": {"problem": "123 006=", "answer": "[[1, 2, 3], 6]"},
    "make_n": {"problem": "057=", "answer": "57"},
    "swap_sort": {"problem": "4213=", "answer": "4213"},
}
ANSWERS = {  # right, wrong, without an answer, ran into the limit; n = 5
    "p0": ["\\boxed{10}", "\\boxed{9}", "\\boxed{8}", "no idea", "..."],
    "p1": ["\\boxed{7}", "\\boxed{7}", "\\boxed{11}", "\\boxed{11}", "\\boxed{11}"],
    "p2": ["\\boxed{12}", "\\boxed{12}", "\\boxed{012}", "\\boxed{12.0}", "\\boxed{12}"],
    "p3": ["..."] * 5,
}
REASONS = {"...": "length", "no idea": None}
SAMPLING = {
    "temperature": 0.8,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "max_tokens": 64,
    "stop": ["###"],
    "run_seed": 0,
}


class AnsweringLM(LM):
    """Gives the answers of a list in turn and remembers what it was asked."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = answers
        self.requests = []

    def generate_until(self, requests):
        self.requests = requests
        return [self.answers[place % len(self.answers)] for place in range(len(requests))]

    def loglikelihood(self, requests):
        raise AssertionError("the tasks only generate")

    loglikelihood_rolling = loglikelihood


def write_store(folder, answers, suite="tiny", answer_type="integer", template="plain", model="f00d", gold=None):
    """A graded store; the references are 10, 11, 12, ... unless given."""
    problems = [
        vars(Problem(name, f"Problem {name}?", gold or str(10 + place), answer_type, {}))
        for place, name in enumerate([*answers, "unsampled"])
    ]
    manifest = {
        "label": "tiny-label",
        "suite": {"name": suite, "version": 3, "checksum": "c"},
        "template": find_template(template).identity(),
        "model_name": "models/tiny",
        "model": {"fingerprint": model},
        "sampling": SAMPLING,
        "versions": {},
        "problems": problems,
    }
    samples = [
        Completion(name, index, index, text, len(text), REASONS.get(text, "stop"))
        for name, texts in answers.items()
        for index, text in enumerate(texts)
    ]
    with SampleStore(folder, manifest) as store:
        store.append(samples, "hf", model, "params")
    score_store(folder)
    return folder


@pytest.fixture
def data(tmp_path):
    """A folder with one problem for each suite."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, definition in definitions().items():
        (folder / f"{name}.jsonl").write_text(json.dumps(ROWS[definition.answer_type]) + "\n")
    return folder


def manager(data, **metadata):
    settings = {"data": str(data), "allow_mismatch": True, **metadata}
    return TaskManager(include_path=str(FOLDER), include_defaults=False, metadata=settings)


def test_every_suite_has_a_task_that_loads_and_stops_at_no_string(data):
    tasks = manager(data)
    assert set(tasks.all_subtasks) == {task_name(suite) for suite in definitions()}
    loaded = tasks.load(tasks.all_subtasks)["tasks"]
    for suite, definition in definitions().items():
        config = loaded[task_name(suite)].config
        assert config.dataset_kwargs == {"suite": suite}
        assert config.generation_kwargs["until"] == []
        assert config.generation_kwargs["do_sample"] is True
        assert config.generation_kwargs["temperature"] == 1.0
        assert config.repeats == 16
        assert definition.version == loaded[task_name(suite)].VERSION


def test_the_group_is_that_of_aer_eval(data):
    tasks = manager(data)
    assert tasks.all_groups == ["aer_math"]
    assert tasks.load("aer_math")["group_map"]["aer_math"] == [task_name(suite) for suite in GROUPS["aer_math"]]


def test_no_task_file_sets_what_is_shared():
    files = set(FOLDER.glob("*.yaml")) - {FOLDER / "_shared.yaml", FOLDER / "aer_math.yaml"}
    for file in files:
        assert set(load_yaml(file, recursive=False)) == {"include", "task", "dataset_kwargs"}


def test_prompts_are_those_of_the_templates(data):
    instruction = "Please reason step by step, and put your final answer within \\boxed{}."
    prompts = {
        (suite, template): manager(data, **({"template": template} if template else {}))
        .load(task_name(suite))["tasks"][task_name(suite)]
        .eval_docs[0]["prompt"]
        for suite, template in (("aime24", None), ("countdown3", None), ("aime24", "qwen-boxed"))
    }
    assert prompts["aime24", None] == f"What is 20 + 5?\n{instruction}"
    assert prompts["countdown3", None] == "123 006="
    assert prompts["aime24", "qwen-boxed"] == (
        f"<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\nWhat is 20 + 5?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_all_repeats_reach_the_metrics(data):
    model = AnsweringLM("\\boxed{1}", "\\boxed{1}", "\\boxed{025}", "none", "\\boxed{25}", "\\boxed{1}")
    results = simple_evaluate(model=model, tasks=["aer_aime24"], task_manager=manager(data, repeats=6))
    numbers = results["results"]["aer_aime24"]
    assert [request.args for request in model.requests] == [model.requests[0].args] * 6
    assert [numbers[f"{name},graded"] for name in ("pass@1", "mean@n")] == pytest.approx([2 / 6, 2 / 6])
    assert numbers["pass@2,graded"] == pytest.approx(1 - math.comb(4, 2) / math.comb(6, 2))
    assert numbers["pass@4,graded"] == pytest.approx(1 - math.comb(4, 4) / math.comb(6, 4))
    assert numbers["pass@6,graded"] == 1
    assert numbers["maj@6,graded"] == 0  # three votes for 1, two for 25
    assert numbers["identical,graded"] == 0
    assert {name.removesuffix(",graded") for name in numbers if "stderr" not in name} == {
        *("alias", "name", "sample_len", "identical"),
        *metric_names(6),
    }


def test_the_groups_number_is_the_mean_over_suites(data):
    model = AnsweringLM("\\boxed{25}", "\\boxed{\\frac12}")  # math500 asks for one half
    results = simple_evaluate(model=model, tasks=["aer_math"], task_manager=manager(data, repeats=2))
    assert results["groups"]["aer_math"]["pass@1,graded"] == 0.5


def test_a_problem_that_was_padded_in_data_parallel_keeps_its_n(data):
    task = manager(data, repeats=2).load("aer_aime24")["tasks"]["aer_aime24"]
    task.build_all_requests()
    [request] = task.instances
    request.resps = ["\\boxed{25}", "none", "\\boxed{25}", "\\boxed{25}"]
    task.apply_filters()
    assert [response["verdict"] for response in request.filtered_resps["graded"]] == ["correct", "no_answer"]


def test_identical_responses_are_warned_of(data, caplog):
    tasks = manager(data, repeats=4)
    with caplog.at_level(logging.WARNING, logger="aer_eval"):
        results = simple_evaluate(model=AnsweringLM("\\boxed{25}"), tasks=["aer_gsm8k"], task_manager=tasks)
    assert results["results"]["aer_gsm8k"]["identical,graded"] == 1
    assert "--gen_kwargs seed=None" in caplog.text
    caplog.clear()
    assert identical_share([1.0, 0.0]) == 0.5
    assert not caplog.records


@pytest.mark.parametrize("repeats", [0, "many", 2.5])
def test_impossible_repeats_are_refused(data, repeats):
    with pytest.raises(UserError, match=f"--metadata repeats={repeats}"):
        manager(data, repeats=repeats).load("aer_aime24")


def test_a_finish_reason_counts_where_it_is_known():
    doc = {"id": "a", "problem": "123 006=", "answer": "[[1, 2, 3], 6]", "answer_type": "countdown3"}
    responses = [["1+2+3", "1*2*3"]]
    verdicts = [
        [grade["verdict"] for grade in grade_responses(responses, [{**doc, **known}])[0]]
        for known in ({}, {"finish_reasons": ["stop", "length"]})
    ]
    assert verdicts == [["correct", "correct"], ["correct", "truncated"]]


def test_lm_eval_comes_to_our_numbers(tmp_path):
    store = write_store(tmp_path / "tiny", ANSWERS)
    ours = summarise(load_scored(store))
    results = evaluate(store)
    numbers = results["results"]["aer_tiny"]
    assert metric_names(5) == ["pass@1", "pass@2", "pass@4", "pass@5", "mean@n", "maj@5"]
    for name in metric_names(5):
        assert numbers[f"{name},graded"] == pytest.approx(ours.estimates[name].value, abs=1e-12)
    assert numbers["pass@1,graded"] == pytest.approx((1 / 5 + 3 / 5 + 1 + 0) / 4)
    assert numbers["pass@4,graded"] == pytest.approx((4 / 5 + 1 + 1 + 0) / 4)
    assert numbers["maj@5,graded"] == pytest.approx((1 / 3 + 1 + 1 + 0) / 4)  # p0: three answers tie
    assert ours.verdicts == {**dict.fromkeys(ours.verdicts, 0), **verdicts_of(results["samples"]["aer_tiny"])}


def evaluate(store):
    """A store through its own task; without lm-eval's thousands of task files it is fast."""
    return simple_evaluate(
        model=StoreLM(store), tasks=[store_task(store)], task_manager=TaskManager(include_defaults=False)
    )


def verdicts_of(samples):
    found = [response["verdict"] for sample in samples for response in sample["filtered_resps"][0]]
    return {verdict: found.count(verdict) for verdict in found}


def test_sample_j_goes_to_clone_j(tmp_path):
    store = write_store(tmp_path / "tiny", ANSWERS)
    results = evaluate(store)
    samples = results["samples"]["aer_tiny"]
    assert {sample["doc"]["id"]: sample["resps"][0] for sample in samples} == ANSWERS
    assert samples[0]["arguments"][0] == (
        "Problem p0?\nPlease reason step by step, and put your final answer within \\boxed{}.",
        {
            "until": ["###"],
            "do_sample": True,
            "temperature": 0.8,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "max_gen_toks": 64,
        },
    )
    described = results["configs"]["aer_tiny"]["metadata"]["aer_eval"]
    assert described["suite"] == {"name": "tiny", "version": 3, "checksum": "c"}
    assert described["template"] == TEMPLATES["plain"].identity()
    assert results["versions"]["aer_tiny"] == 3


def test_a_store_answers_the_suites_own_task(data, tmp_path):
    task = manager(data, repeats=3).load("aer_aime24")["tasks"]["aer_aime24"]
    answers = {task.eval_docs[0]["id"]: ["\\boxed{25}", "\\boxed{24}", "none"]}
    store = write_store(tmp_path / "aime24", answers, suite="aime24", gold="25")
    results = simple_evaluate(model=StoreLM(store), tasks=[task], task_manager=manager(data))
    assert results["results"]["aer_aime24"]["pass@1,graded"] == pytest.approx(1 / 3)
    more = manager(data, repeats=4)
    with pytest.raises(UserError, match="no sample 3 of problem"):
        simple_evaluate(model=StoreLM(store), tasks=["aer_aime24"], task_manager=more)
    with pytest.raises(UserError, match="no store of the suite gsm8k; there are stores of aime24"):
        simple_evaluate(model=StoreLM(store), tasks=["aer_gsm8k"], task_manager=more)


def test_a_half_full_store_is_refused(tmp_path):
    store = write_store(tmp_path / "tiny", {**ANSWERS, "p4": ["\\boxed{14}"] * 3})
    with pytest.raises(UserError, match="problems have 3 to 5 samples"):
        store_task(store)


def test_a_missing_sample_is_named(tmp_path):
    store = write_store(tmp_path / "tiny", ANSWERS)
    part = next((store / "samples").iterdir())
    frame = read_samples(store)
    frame.loc[frame["sample_index"] == 1, "sample_index"] = 9
    frame.to_parquet(part)
    with pytest.raises(UserError, match="no sample 1 of problem 'p0'"):
        evaluate(store)


def test_stores_of_two_models_or_of_one_suite_are_refused(tmp_path):
    first = write_store(tmp_path / "a", ANSWERS)
    other = write_store(tmp_path / "b", ANSWERS, suite="other", model="beef")
    with pytest.raises(UserError, match="different models"):
        StoreLM(first, other)
    with pytest.raises(UserError, match="another store of the suite"):
        StoreLM(first, write_store(tmp_path / "c", ANSWERS))


def test_a_store_has_no_likelihoods(tmp_path):
    with pytest.raises(UserError, match="no likelihood"):
        StoreLM(write_store(tmp_path / "tiny", ANSWERS)).loglikelihood([SimpleNamespace()])


def test_a_template_of_the_users_own_must_be_given_and_be_the_same(tmp_path):
    template = tmp_path / "mine.txt"
    template.write_text("Solve {problem}")
    store = write_store(tmp_path / "tiny", ANSWERS, template=str(template))
    assert store_task(store, str(template)).eval_docs[0]["prompt"] == "Solve Problem p0?"
    with pytest.raises(UserError, match=r"--template mine\.txt"):
        store_task(store)
    template.write_text("Please solve {problem}")
    with pytest.raises(UserError, match="not the wording"):
        store_task(store, str(template))


def test_the_command_writes_lm_evals_files_for_every_store(tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "out"
    write_store(run / "tiny", ANSWERS)
    write_store(run / "toy", {"a": ["1*2*3", "1+2+3", "..."]}, "toy", "countdown3", "raw", gold="[[1, 2, 3], 6]")
    assert main(["lmeval", str(run), "--out", str(out)]) == 0
    [file] = out.glob("tiny-label/results_*.json")
    results = json.loads(file.read_text())
    assert results["results"]["aer_tiny"]["pass@1,graded"] == pytest.approx(0.45)
    assert results["results"]["aer_toy"]["pass@1,graded"] == pytest.approx(2 / 3)
    assert results["config"]["model_name"] == "models/tiny"
    assert results["config"]["fingerprint"] == "f00d"
    [samples] = out.glob("tiny-label/samples_aer_tiny_*.jsonl")
    assert [json.loads(line)["doc"]["id"] for line in samples.read_text().splitlines()] == list(ANSWERS)
    printed = capsys.readouterr().out
    assert "|aer_tiny|" in printed
    assert "tiny: largest difference to aer-eval's own numbers" in printed
    assert str(file) in printed


def test_numbers_that_differ_end_with_exit_code_1(tmp_path, capsys):
    store = write_store(tmp_path / "run" / "tiny", ANSWERS)
    grades = load_scored(store).samples[list(GRADE_COLUMNS)]
    grades.loc[0, "verdict"] = "wrong"
    write_grades(store, "another-grader", grades)
    assert main(["lmeval", str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 1
    assert "tiny: largest difference to aer-eval's own numbers 2.5e-01" in capsys.readouterr().out  # pass@5


def test_files_that_cannot_be_written_are_an_error(tmp_path, monkeypatch):
    store = write_store(tmp_path / "tiny", ANSWERS)
    out = tmp_path / "out"
    out.mkdir()
    (out / "tiny-label").write_text("a file where lm-eval makes a folder")
    with pytest.raises(UserError, match="lm-eval could not write its files"):
        replay([store], out)
