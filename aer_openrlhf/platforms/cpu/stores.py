"""torch's rendezvous stores, each listening on the address it is given; torch alone listens on every interface."""

from __future__ import annotations

import socket
from types import ModuleType
from typing import Any

from torch.distributed import TCPStore


def tcp_store(
    host_name: str, port: int, world_size: int | None = None, is_master: bool = False, **options: Any
) -> TCPStore:
    """A TCPStore; arguments as there."""
    if is_master:
        listener = socket.create_server((host_name, port))
        port = listener.getsockname()[1]
        options["master_listen_fd"] = listener.detach()
    return TCPStore(host_name, port, world_size, is_master, **options)


def patch_rendezvous(module: ModuleType) -> None:
    """Make `init_process_group` use `tcp_store`; module: torch.distributed.rendezvous."""
    module.TCPStore = tcp_store  # type: ignore[attr-defined]
