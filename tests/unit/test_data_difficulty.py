"""`aer-data difficulty`: classes, files and histogram by hand, prompts as training renders them, refusals."""

import json
from pathlib import Path

import pytest

from aer_eval.engines.base import render
from aer_eval.errors import UserError
from aer_eval.suites.rows import Row
from aer_eval.suites.templates import render as render_template
from aer_openrlhf.cli.data import main
from aer_openrlhf.data.difficulty import CLASSES, Thresholds, histogram, report, to_suite, write_sets
from aer_openrlhf.data.rendering import AS_TRAINED, Rendering, render_rows

THRESHOLDS = Thresholds(hard_below=0.33, easy_above=0.67)


def rows(*prompts: str) -> list[Row]:
    return [Row(f"set.jsonl line {i}", {"prompt": p, "label": str(i), "source": "x"}) for i, p in enumerate(prompts)]


@pytest.mark.parametrize(
    ("correct", "n", "name"),
    [
        (0, 16, "never_solved"),
        (5, 16, "hard"),  # 0.3125
        (33, 100, "middle"),  # at the threshold itself: neither
        (67, 100, "middle"),
        (11, 16, "easy"),  # 0.6875
        (16, 16, "always_solved"),
    ],
)
def test_the_class_of_a_prompt(correct: int, n: int, name: str) -> None:
    assert THRESHOLDS.classify(correct, n) == name


def test_sets_keep_the_rows_and_an_earlier_split_leaves_no_file(tmp_path: Path) -> None:
    judged = list(zip(rows("a", "b", "c"), (0, 1, 8), (8, 8, 8), strict=True))
    (tmp_path / "easy.jsonl").write_text("of other thresholds")
    write_sets(judged, THRESHOLDS, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "always_solved.jsonl",
        "hard.jsonl",
        "never_solved.jsonl",
    ]
    assert json.loads((tmp_path / "hard.jsonl").read_text()) == {
        "prompt": "b",
        "label": "1",
        "source": "x",
        "pass_rate": 0.125,
        "n": 8,
        "difficulty": "hard",
    }


def test_the_summary_counts_every_prompt_once(tmp_path: Path) -> None:
    counts = [(0, 4), (1, 4), (2, 4), (2, 4), (3, 4), (4, 4)]
    first, *bars = report(counts, THRESHOLDS, tmp_path).splitlines()
    assert first == (
        "6 prompts, 4 samples each, mean pass rate 0.500: never_solved 1, hard 1, middle 2, easy 1, always_solved 1; "
        f"written to {tmp_path}"
    )
    sizes = {line[:10].strip(): int(line[11:18]) for line in bars}
    assert {name: size for name, size in sizes.items() if size} == {
        "0": 1,
        "0.2 to 0.3": 1,
        "0.5 to 0.6": 2,
        "0.7 to 0.8": 1,
        "1": 1,
    }
    assert len(list(histogram(counts))) == 12
    assert {THRESHOLDS.classify(*count) for count in counts} == set(CLASSES)


def test_prompts_are_tokenized_as_training_tokenizes_them() -> None:
    """OpenRLHF renders to text and adds no special token to it; a tokenizer that adds them shows the difference."""

    class Tokenizer:
        def __call__(self, text: str, add_special_tokens: bool = True) -> object:
            return type("Encoding", (), {"input_ids": [0] * add_special_tokens + [ord(c) for c in text]})

    prompts = render_rows(rows("1+1"), Rendering("prompt", False, "Q: {} A:"), model=None)
    assert prompts == ["Q: 1+1 A:"]
    (problem,) = to_suite(rows("1+1"), prompts, "label", "math").problems
    assert render(Tokenizer(), render_template(AS_TRAINED, problem)) == [ord(c) for c in "Q: 1+1 A:"]


def test_messages_go_through_the_models_own_chat_template(tmp_path: Path) -> None:
    from tests.tiny_model import make_tokenizer

    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }};{% endfor %}"
    tokenizer.save_pretrained(tmp_path)
    messages = [{"role": "system", "content": "1"}, {"role": "user", "content": "2"}]
    chat = [Row("set.jsonl line 1", {"prompt": "3"}), Row("set.jsonl line 2", {"prompt": messages})]
    assert render_rows(chat, Rendering("prompt", True, None), str(tmp_path)) == ["user:3;", "system:1;user:2;"]
    with pytest.raises(UserError, match="line 2: 'prompt' is list, not text"):
        render_rows(chat, Rendering("prompt", False, None), str(tmp_path))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--hard-below", "0.7", "--easy-above", "0.3"], "--hard-below 0.7 and --easy-above 0.3"),
        (["--data.input_key", "question"], "line 1: no field 'question' (it has prompt, label)"),
        (["--data.label_key", "gold"], "line 1: no text in 'gold'; name the answer's field with --data.label_key"),
        (["--answer-type", "integer"], "line 1: no integer answer ('x^2' is not an integer)"),
        (["--data.input_template", "Q:"], "--data.input_template 'Q:': no {} in it"),
        (["--data.apply_chat_template", "--data.input_template", "{}"], "leave one out"),
        (["--temperature", "0"], "--temperature 0 draws the same response every time"),
        ([], "--model is missing"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "set.jsonl"
    source.write_text(json.dumps({"prompt": "p", "label": "x^2"}) + "\n")
    assert main(["difficulty", str(source), str(tmp_path / "out"), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
