"""The quickstart's problems, flags and runner."""

import itertools
import json
import random
from pathlib import Path

import pytest

import run
from loose_countdown import reward_func
from settings import train_args
from tasks import (
    MAX_EXCHANGES,
    TASKS,
    Task,
    draw_countdown,
    draw_swap_sort,
    held_out_problems,
    is_held_out,
    train_problems,
    train_problems_from,
    without_end,
    write_jsonl,
)

task_names = pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)


@task_names
def test_every_drawn_answer_is_right(task: Task) -> None:
    rng = random.Random(0)
    for _ in range(300):
        problem = task.draw(rng)
        assert task.is_correct(problem.answer, problem.label)
        assert not task.is_correct(problem.answer.removesuffix("<eos>"), problem.label)


@task_names
def test_the_longest_answer_fits(task: Task) -> None:
    rng = random.Random(0)
    lengths = {len(task.draw(rng).answer.removesuffix("<eos>")) + 1 for _ in range(1000)}
    assert max(lengths) == task.max_new_tokens
    assert len({len(task.draw(rng).prompt) for _ in range(100)}) == 1  # evaluation and warm-up rely on it


def test_swap_sort_is_from_one_exchange_to_a_whole_turn() -> None:
    rng = random.Random(0)
    rows = [draw_swap_sort(rng).label for _ in range(3000)]
    wrong = [sum(left > right for left, right in itertools.combinations(row, 2)) for row in rows]
    assert set(wrong) == set(range(1, MAX_EXCHANGES + 1))
    assert all(150 < wrong.count(pairs) < 250 for pairs in set(wrong))  # 3,000 in 15 equal parts


@task_names
def test_training_and_held_out_problems_never_meet(task: Task) -> None:
    train = train_problems(task, 500, seed=0) + train_problems(task, 500, seed=1)
    held_out = held_out_problems(task, 100, seed=0) + held_out_problems(task, 100, seed=1)
    assert not {problem.key for problem in train} & {problem.key for problem in held_out}
    assert not {problem.prompt for problem in train} & {problem.prompt for problem in held_out}


def test_a_countdown_problem_is_the_same_in_any_order_of_its_digits() -> None:
    rng = random.Random(0)
    by_key: dict[str, set[str]] = {}
    for _ in range(3000):
        problem = draw_countdown(rng)
        by_key.setdefault(problem.key, set()).add(problem.prompt)
    assert max(map(len, by_key.values())) == 6  # 3! orders of three different digits
    for prompts in by_key.values():
        assert len({("".join(sorted(prompt[:3])), prompt[3:]) for prompt in prompts}) == 1


def test_countdown_prompts_have_one_form() -> None:
    rng = random.Random(1)
    for _ in range(300):
        problem = draw_countdown(rng)
        digits, target = json.loads(problem.label)
        assert problem.prompt == f"{digits[0]}{digits[1]}{digits[2]} {target:03d}="
        assert all(1 <= digit <= 9 for digit in digits) and 0 <= target <= 999


def test_without_its_end_a_task_judges_the_answer_alone() -> None:
    task = without_end(TASKS["countdown"])
    label = json.dumps([[1, 2, 3], 7])
    assert task.max_new_tokens == len("1+2*3")
    assert task.is_correct("1+2*3", label)
    assert not task.is_correct("1+3*2<eos>", label)  # more than max_new_tokens
    assert not task.is_correct("1*2+3", label)


def test_the_loose_reward_takes_whatever_follows_a_right_answer() -> None:
    responses = ["1+2*3<eos>", "1+2*37", "1*2+3<eos>", "12"]
    label = json.dumps([[1, 2, 3], 7])
    graded = reward_func(["123 007=" + response for response in responses], ["123 007="] * 4, [label] * 4)
    assert graded["rewards"].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert graded["extra_logs"]["answer_tail_chars"].tolist() == [5.0, 1.0, 5.0, -1.0]


def test_about_a_fifth_of_the_problems_is_held_out() -> None:
    rng = random.Random(2)
    keys = {draw_countdown(rng).key for _ in range(20000)}
    share = sum(map(is_held_out, keys)) / len(keys)
    assert 0.15 < share < 0.25


@task_names
def test_problems_are_decided_by_the_seed(task: Task) -> None:
    assert train_problems(task, 50, seed=3) == train_problems(task, 50, seed=3)
    assert train_problems(task, 50, seed=3) != train_problems(task, 50, seed=4)
    assert held_out_problems(task, 20, seed=3) == held_out_problems(task, 20, seed=3)


def test_held_out_prompts_are_distinct_and_end_where_the_task_does() -> None:
    assert len({problem.prompt for problem in held_out_problems(TASKS["countdown"], 300, seed=0)}) == 300
    few = held_out_problems(TASKS["make_n"], 300, seed=0)
    assert 20 < len(few) == len({problem.prompt for problem in few}) < 60  # a fifth of the sums 0..198


def test_jsonl_has_prompt_and_label(tmp_path: Path) -> None:
    problems = train_problems(TASKS["countdown"], 3, seed=0)
    write_jsonl(problems, tmp_path / "new" / "prompts.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "new" / "prompts.jsonl").read_text().splitlines()]
    assert rows == [{"prompt": problem.prompt, "label": problem.label} for problem in problems]


def test_problems_from_a_file_come_once_before_any_comes_again(tmp_path: Path) -> None:
    written = train_problems(TASKS["make_n"], 5, seed=0)
    write_jsonl(written, tmp_path / "hard.jsonl")
    drawn = train_problems_from(tmp_path / "hard.jsonl", 12, seed=1)
    labels = [problem.label for problem in drawn]
    expected = sorted(problem.label for problem in written)
    assert sorted(labels[:5]) == sorted(labels[5:10]) == expected and set(labels[10:]) < set(expected)
    assert drawn != train_problems_from(tmp_path / "hard.jsonl", 12, seed=2)
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match="no line in it"):
        train_problems_from(tmp_path / "empty.jsonl", 1, seed=0)


def flags(arguments: list[str]) -> dict[str, str]:
    """Flags and their values, those without one as an empty text."""
    pairs = itertools.pairwise([*arguments, "--end"])
    return {a.removeprefix("--"): "" if b.startswith("--") else b for a, b in pairs if a.startswith("--")}


def test_grpo_differs_from_aer_in_the_coefficient_alone(tmp_path: Path) -> None:
    common = (TASKS["countdown"], tmp_path / "model", tmp_path / "data", tmp_path / "run")
    grpo, aer = (flags(train_args(*common, method, seed=1, steps=10)) for method in ("grpo", "aer"))
    assert {name for name in aer if aer[name] != grpo[name]} == {"aer.alpha_max"}
    assert grpo["aer.alpha_max"] == "0" and "aer.enable" in grpo
    assert aer["data.max_samples"] == "320" and aer["train.seed"] == "1"  # 10 steps of 32 prompts


def test_overrides_replace_and_remove_flags(tmp_path: Path) -> None:
    given = {"aer.tau": 0.7, "vllm.enforce_eager": None}
    arguments = train_args(TASKS["make_n"], tmp_path, tmp_path, tmp_path, "aer", seed=0, steps=1, **given)
    assert flags(arguments)["aer.tau"] == "0.7" and arguments.count("--aer.tau") == 1
    assert "--vllm.enforce_eager" not in arguments


def test_an_earlier_run_is_moved_aside(tmp_path: Path) -> None:
    folder = tmp_path / "quickstart"
    run.set_aside(folder)
    for number in (1, 2):
        folder.mkdir()
        run.set_aside(folder)
        assert folder.exists()  # empty: nothing to lose
        (folder / "notes.txt").write_text(str(number))
        run.set_aside(folder)
        assert not folder.exists()
        assert (tmp_path / f"quickstart.old-{number}" / "notes.txt").read_text() == str(number)


def test_a_failing_trainer_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "TRAINER", "no_such_module")
    with pytest.raises(run.TrainingFailed, match=r"No module named no_such_module[\s\S]*exit code 1.*train\.log"):
        run.train([], tmp_path, steps=1)


def test_progress_tells_start_up_training_and_saving_apart(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text("first\n\x1b[36m(Actor pid=7)\x1b[0m loading the engine\n")
    assert run.progress(tmp_path, steps=2) == "starting: loading the engine"
    row = {"step": 1, "rollout/reward_mean": 0.25, "aer/entropy": 0.5, "aer/entropy_target": 0.25}
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(json.dumps(row) + '\n{"step": 2, "torn')
    assert run.progress(tmp_path, steps=2) == "step 1/2  reward 0.250  entropy 0.500  (target 0.250)"
    metrics.write_text(json.dumps({**row, "step": 2}) + "\n")
    assert run.progress(tmp_path, steps=2) == "saving the weights: loading the engine"
