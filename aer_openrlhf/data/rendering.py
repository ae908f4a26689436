"""Prompts of a dataset as `aer-train` puts them to the model: the same keys, the same chat template, the same text.

The flags are `aer-train`'s own, so that they can be copied from a launch script. OpenRLHF's function does the
rendering; its rollouts tokenize the text without adding special tokens, which is what `AS_TRAINED` says.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aer_eval.errors import UserError, first_line
from aer_eval.suites.rows import Row
from aer_eval.suites.templates import PLACE, Template

AS_TRAINED = Template("as-trained", 1, PLACE, special_tokens=False)
"""For problems whose text is a rendered prompt."""


@dataclass(frozen=True)
class Rendering:
    """How rows become prompts."""

    input_key: str
    apply_chat_template: bool
    input_template: str | None

    def __post_init__(self) -> None:
        if self.input_template is None:
            return
        if self.apply_chat_template:
            raise UserError("--data.input_template does nothing with --data.apply_chat_template; leave one out")
        if "{}" not in self.input_template:
            raise UserError(f"--data.input_template {self.input_template!r}: no {{}} in it, where the prompt goes")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `Rendering`, and those that find the dataset's split."""
    group = parser.add_argument_group("prompts, as aer-train takes them")
    group.add_argument("--data.input_key", dest="input_key", default="prompt", help="default: %(default)s")
    group.add_argument(
        "--data.apply_chat_template",
        dest="apply_chat_template",
        action="store_true",
        help="put the prompt through the model's chat template; it may then be a list of messages",
    )
    group.add_argument("--data.input_template", dest="input_template", help="text with {} where the prompt goes")
    group.add_argument("--data.prompt_split", dest="split", default="train", help="of a hub dataset (%(default)s)")
    group.add_argument("--config", help="configuration of a hub dataset that has several, such as main")


def from_args(args: argparse.Namespace) -> Rendering:
    """The settings of a command line; raises UserError for flags that exclude each other."""
    return Rendering(args.input_key, args.apply_chat_template, args.input_template)


def render_rows(rows: Sequence[Row], rendering: Rendering, model: str | None) -> list[str]:
    """The prompt text of every row.

    model: folder or hub id whose chat template is applied. Raises UserError, naming the row or the flag.
    """
    from openrlhf.datasets.prompts_dataset import preprocess_data

    apply = _chat_template(model) if rendering.apply_chat_template else None
    prompts = []
    for row in rows:
        _check(row, rendering)
        prompts.append(preprocess_data(row.fields, rendering.input_template, rendering.input_key, None, apply)[0])
    return prompts


def _chat_template(model: str | None) -> Callable[..., Any]:
    from transformers import AutoTokenizer

    if model is None:
        raise UserError("--data.apply_chat_template needs --model: the template is the model's")
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as problem:
        raise UserError(f"--model {model}: no tokenizer to be had ({first_line(problem)})") from problem
    if not tokenizer.chat_template:
        raise UserError(f"--data.apply_chat_template: {model} has no chat template; leave the flag out")
    return tokenizer.apply_chat_template


def _check(row: Row, rendering: Rendering) -> None:
    key = rendering.input_key
    if key not in row.fields:
        names = ", ".join(map(str, row.fields)) or "no field at all"
        raise UserError(f"{row.place}: no field {key!r} (it has {names}); name the prompt's with --data.input_key")
    prompt = row.fields[key]
    wanted, allowed = ("text or messages", (str, list)) if rendering.apply_chat_template else ("text", (str,))
    if not isinstance(prompt, allowed):
        raise UserError(f"{row.place}: {key!r} is {type(prompt).__name__}, not {wanted}; mend or remove the row")
    if not prompt or (isinstance(prompt, str) and not prompt.strip()):
        raise UserError(f"{row.place}: {key!r} is empty; mend or remove the row")
