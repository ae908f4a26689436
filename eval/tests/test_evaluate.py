"""One model on a file's problems, from the file to the summary, with an engine that needs no model."""

import json
from collections.abc import Callable, Iterator, Sequence

import pytest

from aer_eval.engines.base import Engine, EngineName, ModelIdentity
from aer_eval.errors import UserError
from aer_eval.evaluate import Task, evaluate
from aer_eval.metrics.types import SuiteSummary
from aer_eval.sampling.store import read_samples
from aer_eval.sampling.units import Completion, SamplingParams, Unit
from aer_eval.scoring import score_store
from aer_eval.suites.load import user_suite
from aer_eval.suites.templates import TEMPLATES

ROWS = [{"id": "1", "problem": "2 + 3", "answer": "5"}, {"id": "2", "problem": "2 + 4", "answer": "6"}]


def solve(prompt: str, index: int) -> str:
    return f"sample {index}: \\boxed{{{5 if '2 + 3' in prompt else 6}}}"


class SolvingEngine(Engine):
    """Answers every prompt, by default rightly and every sample in other words."""

    name: EngineName = "hf"  # type: ignore[misc]
    identity = ModelIdentity("tiny", "f00d")

    def __init__(self, answer: Callable[[str, int], str] = solve) -> None:
        self.answer = answer

    def sample(self, units: Sequence[Unit], params: SamplingParams) -> Iterator[list[Completion]]:
        for unit in units:
            yield [
                Completion(unit.problem_id, index, seed, self.answer(unit.prompt.text or "", index), 3, "stop")
                for index, seed in unit.slots()
            ]


def run(folder, rows, n, engine=None, limit=None, **options) -> SuiteSummary:
    file = folder / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = Task(user_suite(file, **options), TEMPLATES["plain"], n, 4, limit)
    (summary,) = evaluate(engine or SolvingEngine(), [task], SamplingParams(), folder / "out")
    return summary


def test_a_file_whose_rows_moved_keeps_its_store_and_one_whose_ids_moved_is_refused(tmp_path):
    run(tmp_path, ROWS, n=2)
    summary = run(tmp_path, ROWS[::-1], n=4)
    assert (summary.min_samples, summary.verdicts["correct"]) == (4, 8)
    swapped = [{**row, "id": other["id"]} for row, other in zip(ROWS, ROWS[::-1], strict=True)]
    with pytest.raises(UserError, match=r"out/mine holds samples of other problems \(problem '2' has another problem"):
        run(tmp_path, swapped, n=6)
    assert len(read_samples(tmp_path / "out" / "mine")) == 8


def test_ids_that_a_file_got_later_are_refused(tmp_path):
    without = [{name: row[name] for name in ("problem", "answer")} for row in ROWS]
    run(tmp_path, without, n=2)
    with pytest.raises(UserError, match=r"\(problem '1' is not in it\)"):
        run(tmp_path, ROWS, n=2)
    assert run(tmp_path, without, n=2).verdicts["correct"] == 4  # nothing came of the refused run


def test_samples_of_an_unknown_problem_are_named(tmp_path):
    run(tmp_path, ROWS, n=2)
    store = tmp_path / "out" / "mine"
    manifest = json.loads((store / "store.json").read_text())
    manifest["problems"] = manifest["problems"][:1]
    (store / "store.json").write_text(json.dumps(manifest))
    with pytest.raises(
        UserError, match=r"mine: samples of '2', which is no problem of its store.json; give another --out and"
    ):
        score_store(store)


def test_another_answer_type_is_refused(tmp_path):
    run(tmp_path, ROWS, n=2, answer_type="math")
    with pytest.raises(UserError, match=r"\(problem '1' has another answer_type in it\)"):
        run(tmp_path, ROWS, n=2, answer_type="integer")


def test_the_limit_may_grow_and_shrink(tmp_path):
    counted = [run(tmp_path, ROWS, n=2, limit=limit).num_problems for limit in (1, None, 1)]
    assert counted == [1, 2, 2]


def test_a_collapsed_model_is_evaluated_and_noted(tmp_path, capsys):
    summary = run(tmp_path, ROWS, n=8, engine=SolvingEngine(lambda prompt, index: "\\boxed{5}"))
    assert summary.estimates["pass@8"].value == 0.5
    noted = "all samples of every problem are the same text at temperature 1: the model has collapsed"
    assert f"aer-eval: {tmp_path / 'out' / 'mine'}: {noted}\n" in capsys.readouterr().err


def test_a_server_that_gives_one_answer_whatever_the_seed_is_refused(tmp_path):
    engine = SolvingEngine(lambda prompt, index: "\\boxed{5}")
    engine.name = "openai"
    with pytest.raises(
        UserError, match=r"mine: all samples of every problem are the same text.*honours seeds, or --en"
    ):
        run(tmp_path, ROWS, n=8, engine=engine)
