"""The `--aer.*` flags as a page, written from the parser itself."""

from __future__ import annotations

import argparse
import re

from ..integration import flags

OPENRLHF_FLAGS = "https://github.com/OpenRLHF/OpenRLHF/blob/main/openrlhf/cli/train_ppo_ray.py"
COMMAND = "python -m aer_openrlhf.cli.flags_page > docs/flags.md"
INTRODUCTION = f"""\
# Flags

Written by `{COMMAND}`; a test compares it with the parser.

`aer-train` takes every flag of OpenRLHF's `train_ppo_ray` ([its parser]({OPENRLHF_FLAGS}),
`aer-train --help`), `--dry-run` (check and describe the run, start nothing), and the flags below. A dash: not set.
When to change which is in [tuning.md](tuning.md), the equations are in [method.md](method.md) and
[methods.md](methods.md).
"""
UNIT = re.compile(r"(?P<text>.*?) \[(?P<unit>.+?)(, default [^,]+)?\]", re.DOTALL)
DEFAULT = re.compile(r"(?P<text>.*) \(default: (?P<default>.+)\)", re.DOTALL)


def page() -> str:
    """The whole page, in Markdown."""
    parser = argparse.ArgumentParser()
    known = set(parser._action_groups)
    flags.add_arguments(parser)
    ours = [group for group in parser._action_groups if group not in known]
    return INTRODUCTION + "".join(_section(group) for group in ours)


def _section(group: argparse._ArgumentGroup) -> str:
    lines = ["", f"## {group.title}", ""]
    if group.description:
        lines += [group.description, ""]
    lines += ["| flag | default | unit | |", "|---|---|---|---|"]
    lines += [_row(action) for action in group._group_actions]
    return "\n".join(lines) + "\n"


def _row(action: argparse.Action) -> str:
    """A flag whose help ends as `flags` writes it: `... [unit, default X]` or `... (default: X)`."""
    name = f"`{action.option_strings[0]}`"
    text, unit, default = action.help or "", "", "–" if action.default is None else f"`{action.default}`"
    if match := UNIT.fullmatch(text):
        text, unit = match["text"], match["unit"]
    elif match := DEFAULT.fullmatch(text):
        text, default = match["text"], f"`{match['default']}`"
    if action.choices:
        unit = ", ".join(f"`{choice}`" for choice in action.choices)
    if action.nargs == 0:
        unit, default = "switch", "off"
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (name, default, unit, text)) + " |"


if __name__ == "__main__":
    print(page(), end="")
