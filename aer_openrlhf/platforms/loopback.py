"""A run on one machine alone: its services listen on 127.0.0.1. Imports no Ray, which reads its switch on import."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENT = {  # of every process of the run: Ray's processes inherit it from the driver that starts them
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's own switch for a machine alone: its services bind to 127.0.0.1
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "lo",  # for NCCL's bootstrap and sockets; between the GPUs of one machine it uses neither
    "VLLM_HOST_IP": "127.0.0.1",
}
GROUPS = ("actor", "ref", "critic", "reward")


def runs_alone(arguments: Sequence[str]) -> bool:
    """Whether `ray.init()` will start a Ray of its own, for a command line that asks for one node."""
    return not os.environ.get("RAY_ADDRESS") and not cluster_file().exists() and _num_nodes(arguments) == 1


def cluster_file() -> Path:
    """Where `ray start` leaves the address of its cluster: `ray.init()` joins that without being told to."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"


def _num_nodes(arguments: Sequence[str]) -> int:
    """The most nodes that a group of ranks asks for; OpenRLHF's parser cannot be asked before Ray is imported."""
    parser = argparse.ArgumentParser(add_help=False)
    for group in GROUPS:
        parser.add_argument(f"--{group}.num_nodes", type=int, default=1)
    given, _ = parser.parse_known_args(arguments)
    return max(vars(given).values())
