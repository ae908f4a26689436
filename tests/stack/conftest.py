"""Tests on the real OpenRLHF, DeepSpeed and transformers in one or two processes, without Ray and vLLM."""

import os
import socket
import subprocess
import sys
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
    import torch

    def run(world_size: int, *arguments: str) -> list:
        port = str(free_port())
        outputs = [tmp_path / f"{port}-{rank}.pt" for rank in range(world_size)]
        script = [sys.executable, str(RANK_SCRIPT)]
        processes = [
            subprocess.Popen(
                [*script, str(output), str(rank), str(world_size), port, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            )
            for rank, output in enumerate(outputs)
        ]
        logs = [process.communicate(timeout=300)[0] for process in processes]
        for process, log in zip(processes, logs, strict=True):
            assert process.returncode == 0, log[-4000:]
        return [torch.load(output, weights_only=False) for output in outputs]

    return run
