"""Every command in a fenced `bash` block of the documentation is one that its program would accept.

Commands of this project go through their own parsers, those of Ray through Ray's; of other programs, the files of the
repository that they name have to exist. A command that a parser takes and only a GPU can run says `needs GPUs`.
"""

import argparse
import configparser
import importlib
import os
import re
import shlex
import sys
from pathlib import Path
from unittest import mock

import pytest
from click import NoSuchOption

from aer_openrlhf.cli import train_ppo_ray
from tests.stack.openrlhf_args import base_arguments

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md"), ROOT / "eval/README.md"]
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"<[^<>]*>")
OTHERS = {"apt", "docker", "export", "mkdir", "pip", "python3.12", "sbatch", "tensorboard", "."}  # fmt: skip


def console_scripts() -> dict[str, str]:
    """Module of each command that the two packages install."""
    found = {}
    for name in ("setup.cfg", "eval/setup.cfg"):
        setup = configparser.ConfigParser()
        setup.read(ROOT / name)
        lines = setup["options.entry_points"]["console_scripts"].strip().splitlines()
        found |= {
            program.strip(): target.strip().partition(":")[0]
            for program, target in (line.split("=") for line in lines)
        }
    return found


class Parsed(Exception):
    """A parser has accepted the arguments."""


def commands(page: Path) -> list[list[str]]:
    """The simple commands of a page's bash blocks, each as words, placeholders as `FLAGS`."""
    found = []
    for block in BLOCK.findall(page.read_text()):
        for line in PLACEHOLDER.sub("FLAGS", block.replace("\\\n", " ")).splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = words.index("&&") if "&&" in words else len(words)
                found.append(words[:end])
                words = words[end + 1 :]
    return found


CASES = [(page, command) for page in PAGES for command in commands(page)]


def check(command: list[str], model_dir: Path) -> None:
    words = list(command)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    program, *arguments = words
    if program == "aer-train":
        check_training(arguments, model_dir)
    elif program in console_scripts():
        check_parser(console_scripts()[program], program, arguments)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert [word for word in arguments if "=" not in word and word not in targets] == []
    elif program == "ray":
        check_ray(arguments)
    elif program.endswith(".sh"):
        assert os.access(ROOT / program, os.X_OK)
    elif program == "python":
        assert (ROOT / arguments[0]).is_file()
    else:
        assert program in OTHERS
        check_files(arguments)


def check_training(arguments: list[str], model_dir: Path) -> None:
    argv = base_arguments(str(model_dir)) if "FLAGS" in arguments else []
    argv += [word for word in arguments if word != "FLAGS"]
    with (
        mock.patch.object(train_ppo_ray, "_train_with_aer", side_effect=Parsed),
        mock.patch.object(sys, "argv", ["aer-train", *argv]),
        pytest.raises((Parsed, SystemExit)) as end,
    ):
        train_ppo_ray.main()
    assert isinstance(end.value, Parsed) or end.value.code in (0, None), end.value


def check_parser(module: str, program: str, arguments: list[str]) -> None:
    parse_args = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, *given: object, **options: object) -> None:
        parse_args(parser, *given, **options)
        raise Parsed

    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse),
        mock.patch.object(sys, "argv", [program, *arguments]),
        pytest.raises((Parsed, SystemExit)) as end,
    ):
        importlib.import_module(module).main()
    assert isinstance(end.value, Parsed) or end.value.code in (0, None)


def check_ray(arguments: list[str]) -> None:
    from ray.scripts import scripts

    command = scripts.cli
    while arguments and hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context("ray", list(arguments), resilient_parsing=False)


def check_files(arguments: list[str]) -> None:
    """Whatever looks like a file of the repository has to be one."""
    named = [word.partition("[")[0] for word in arguments if re.match(r"(\./|docker/|examples/|requirements/)", word)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    from tests.tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(("page", "command"), CASES, ids=lambda value: getattr(value, "name", None) or value[0])
def test_command_is_accepted(page, command, model_dir):
    check(command, model_dir)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        ("aer-eval run --suit x", AssertionError),
        ("aer-train FLAGS --aer.enable --aer.tauu 1", AssertionError),
        ("make x", AssertionError),
        ("docker build -f docker/None .", AssertionError),
        ("ray start --headd", NoSuchOption),
    ],
)
def test_a_wrong_command_is_noticed(command, refusal, model_dir):
    with pytest.raises(refusal):
        check(command.split(), model_dir)


def test_blocks_are_found():
    assert len(CASES) > 30
