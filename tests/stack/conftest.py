"""Tests on the real OpenRLHF, DeepSpeed and transformers in one or two processes, without Ray and vLLM."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

RANK_SCRIPT = Path(__file__).parent / "policy_rank.py"


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """A random two-layer Qwen2 with tied embeddings and a character tokenizer, saved in bf16."""
    from tests.tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("model"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def run_ranks(tmp_path):
    """run_ranks(world_size, *arguments) -> list of each rank's saved result."""

    def run(world_size: int, *arguments: str) -> list:
        port = free_port()
        return _results([_start(tmp_path, rank, world_size, port, arguments) for rank in range(world_size)])

    return run


@pytest.fixture
def run_each(tmp_path):
    """run_each(*argument lists) -> the result of each, as a run of one rank; two run at a time."""

    def run(*argument_lists: tuple[str, ...]) -> list:
        with ThreadPoolExecutor(2) as pool:
            one_rank = [
                pool.submit(lambda given: _results([_start(tmp_path, 0, 1, free_port(), given)])[0], arguments)
                for arguments in argument_lists
            ]
        return [result.result() for result in one_rank]

    return run


def _start(folder: Path, rank: int, world_size: int, port: int, arguments: tuple[str, ...]) -> tuple:
    output = folder / f"{port}-{rank}.pt"
    process = subprocess.Popen(
        [sys.executable, str(RANK_SCRIPT), str(output), str(rank), str(world_size), str(port), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    return process, output


def _results(ranks: list[tuple]) -> list:
    import torch

    logs = [process.communicate(timeout=300)[0] for process, _ in ranks]
    for (process, _), log in zip(ranks, logs, strict=True):
        assert process.returncode == 0, log[-4000:]
    return [torch.load(output, weights_only=False) for _, output in ranks]
