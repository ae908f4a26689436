"""Prompt templates: how a problem becomes what the model gets."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aer_eval.errors import UserError, first_line
from aer_eval.records import Problem, Prompt
from aer_eval.settings import short_hash

PLACE = "{problem}"
"""Where the problem goes. A template has it exactly once."""
INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."
"""The request that Qwen2.5-Math was trained with, and the one that `aer-data` appends to training prompts."""


@dataclass(frozen=True)
class Template:
    """Either a text, or chat messages for the model's own chat template."""

    name: str
    version: int
    """Goes up with every change of the wording."""
    text: str | None = None
    messages: tuple[Mapping[str, str], ...] | None = None
    special_tokens: bool = True
    """See ``Prompt.special_tokens``."""

    def __post_init__(self) -> None:
        if (self.text is None) == (self.messages is None):
            raise ValueError("a template has either text or messages")
        found = self._wording().count(PLACE)
        if found != 1:
            raise ValueError(f"{PLACE} is in it {found} times, not once")

    def _wording(self) -> str:
        return self.text or "".join(message["content"] for message in self.messages or ())

    def identity(self) -> dict[str, Any]:
        """What two runs with the same prompts have in common, as JSON; ``hash`` changes with any character."""
        content = self.text if self.messages is None else [dict(message) for message in self.messages]
        return {"name": self.name, "version": self.version, "hash": short_hash(content)}


TEMPLATES = {
    template.name: template
    for template in (
        Template(
            "qwen-boxed",
            1,
            f"<|im_start|>system\n{INSTRUCTION}<|im_end|>\n<|im_start|>user\n{PLACE}<|im_end|>\n<|im_start|>assistant\n",
        ),
        Template("plain", 1, f"{PLACE}\n{INSTRUCTION}"),
        Template("chat", 1, messages=({"role": "user", "content": f"{PLACE}\n{INSTRUCTION}"},)),
        Template("raw", 1, PLACE),
    )
}
"""``qwen-boxed``: Qwen2.5-Math's chat format, written out. ``plain``: the problem and the request. ``chat``: the same
through the model's own chat template. ``raw``: the problem alone."""


def find_template(choice: str) -> Template:
    """A template by its name, or of a text file that has ``{problem}`` once.

    A file's last line end is not part of the prompt: editors add it.

    Raises:
        UserError: no such name or file, or the file is no template.
    """
    if choice in TEMPLATES:
        return TEMPLATES[choice]
    path = Path(choice)
    if not path.is_file():
        near = difflib.get_close_matches(choice, TEMPLATES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"give {', '.join(TEMPLATES)} or a text file with {PLACE}"
        raise UserError(f"--template {choice}: neither a template nor a file; {hint}")
    try:
        return Template(path.name, 1, path.read_text(encoding="utf-8").removesuffix("\n"))
    except (OSError, ValueError) as problem:
        raise UserError(f"--template {choice}: {first_line(problem)}; mend the file") from problem


def render(template: Template, problem: Problem) -> Prompt:
    """What the model gets for a problem."""
    if template.text is not None:
        return Prompt(text=template.text.replace(PLACE, problem.problem), special_tokens=template.special_tokens)
    assert template.messages is not None
    return Prompt(
        messages=tuple(
            {**message, "content": message["content"].replace(PLACE, problem.problem)} for message in template.messages
        )
    )
