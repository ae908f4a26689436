"""Prompt templates: their exact text, and files of one's own."""

from pathlib import Path

import pytest

from aer_eval.errors import UserError
from aer_eval.records import Problem, Prompt
from aer_eval.suites.templates import TEMPLATES, Template, find_template, render

PROBLEM = Problem("p", "Find $\\frac{1}{2}$ of {problem}.", "1", "math")


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        (
            "qwen-boxed",
            Prompt(
                text="<|im_start|>system\n"
                "Please reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
                "<|im_start|>user\n"
                "Find $\\frac{1}{2}$ of {problem}.<|im_end|>\n"
                "<|im_start|>assistant\n"
            ),
        ),
        (
            "plain",
            Prompt(
                text="Find $\\frac{1}{2}$ of {problem}.\n"
                "Please reason step by step, and put your final answer within \\boxed{}."
            ),
        ),
        (
            "chat",
            Prompt(
                messages=(
                    {
                        "role": "user",
                        "content": "Find $\\frac{1}{2}$ of {problem}.\n"
                        "Please reason step by step, and put your final answer within \\boxed{}.",
                    },
                )
            ),
        ),
        ("raw", Prompt(text="Find $\\frac{1}{2}$ of {problem}.")),
    ],
)
def test_the_exact_prompt(name: str, prompt: Prompt) -> None:
    assert render(find_template(name), PROBLEM) == prompt


def test_identities_tell_templates_apart() -> None:
    identities = {name: template.identity() for name, template in TEMPLATES.items()}
    assert {identity["name"] for identity in identities.values()} == {"qwen-boxed", "plain", "chat", "raw"}
    assert len({identity["hash"] for identity in identities.values()}) == 4
    assert Template("raw", 1, "{problem} ").identity()["hash"] != identities["raw"]["hash"]
    assert Template("raw", 1, "{problem}").identity() == identities["raw"]


def test_a_file_is_a_template_without_its_last_line_end(tmp_path: Path) -> None:
    path = tmp_path / "ask.txt"
    path.write_text("Q: {problem}\nA: \n\n")
    template = find_template(str(path))
    assert render(template, PROBLEM) == Prompt(text="Q: Find $\\frac{1}{2}$ of {problem}.\nA: \n")
    assert (template.name, template.version) == ("ask.txt", 1)


@pytest.mark.parametrize(("content", "times"), [(b"Q: problem", 0), (b"", 0), (b"{problem} {problem}", 2)])
def test_a_file_has_the_place_exactly_once(content: bytes, times: int, tmp_path: Path) -> None:
    path = tmp_path / "ask.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"--template .*ask\.txt: .*problem.* is in it {times} times, not once"):
        find_template(str(path))


def test_what_is_neither_a_name_nor_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--template qwen-box: neither a template nor a file; did you mean qwen-boxed"):
        find_template("qwen-box")
    with pytest.raises(UserError, match="give qwen-boxed, plain, chat, raw or a text file"):
        find_template(str(tmp_path / "none.txt"))
    (tmp_path / "latin.txt").write_bytes("é {problem}".encode("latin-1"))
    with pytest.raises(UserError, match="mend the file"):
        find_template(str(tmp_path / "latin.txt"))
