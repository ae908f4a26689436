"""Tests on the real OpenRLHF, DeepSpeed and transformers in one or two processes, without Ray and vLLM."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ANY_PORT = 0  # a rank on its own tells nobody its port: one picked here may be taken until it starts


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """A random two-layer Qwen2 with tied embeddings and a character tokenizer, saved in bf16."""
    from tests.tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("model"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="session")
def run_all() -> Iterator[Callable[[list[dict]], list[int]]]:
    """run_all(ranks) -> exit codes, by a rank_server.py that lives as long as the tests."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.stack.rank_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )

    def run(ranks: list[dict]) -> list[int]:
        server.stdin.write(json.dumps(ranks) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    yield run
    server.stdin.close()
    server.wait(timeout=60)


@pytest.fixture
def run_ranks(tmp_path, run_all):
    """run_ranks(world_size, *arguments) -> list of each rank's saved result."""

    def run(world_size: int, *arguments: str) -> list:
        port = free_port()
        return _results(run_all, [_rank(tmp_path, rank, world_size, port, arguments) for rank in range(world_size)])

    return run


@pytest.fixture
def run_each(tmp_path, run_all):
    """run_each(*argument lists) -> the result of each, as a run of one rank; two run at a time."""

    def run(*argument_lists: tuple[str, ...]) -> list:
        ranks = [_rank(tmp_path, 0, 1, ANY_PORT, arguments, run) for run, arguments in enumerate(argument_lists)]
        return _results(run_all, ranks)

    return run


def _rank(folder: Path, rank: int, world_size: int, port: int, arguments: Sequence[object], run: int = 0) -> dict:
    """What rank_server.py takes; the first argument is the file of the result."""
    output = folder / f"{port}-{run}-{rank}.pt"
    words = [output, rank, world_size, port, *arguments]
    return {"arguments": [*map(str, words)], "log": str(output.with_suffix(".log")), "environment": dict(os.environ)}


def _results(run_all: Callable[[list[dict]], list[int]], ranks: list[dict]) -> list:
    import torch

    for rank, code in zip(ranks, run_all(ranks), strict=True):
        assert code == 0, Path(rank["log"]).read_text()[-4000:]
    return [torch.load(rank["arguments"][0], weights_only=False) for rank in ranks]
