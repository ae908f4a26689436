"""What a run on one machine shows to others: its ports, and what it writes of a secret."""

import shutil
import tempfile
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest

GIVEN, IN_ENVIRONMENT = "0123456789abcdef" * 2 + "01234567", "fedcba9876543210" * 2 + "fedcba98"  # W&B's form of a key


@pytest.fixture
def ray_dir():
    """Ray's sessions; its sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def listening(pids: list[int]) -> set[str]:
    """Addresses on which some processes accept TCP connections."""
    found = set()
    for pid in pids:
        try:
            sockets = psutil.Process(pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            continue
        found |= {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
    return found


def files_with(word: str, *folders: Path) -> list[Path]:
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if word.encode() in path.read_bytes()]


def is_loopback(address: str) -> bool:
    """Of `::ffff:127.0.0.1` too."""
    return ip_address(address.removeprefix("::ffff:")).is_loopback


def test_ports_are_on_loopback_and_the_wandb_key_is_in_no_file(train, tmp_path, ray_dir):
    (tmp_path / "home").mkdir()
    offline = {"WANDB_MODE": "offline", "HOME": str(tmp_path / "home"), "RAY_TMPDIR": str(ray_dir)}
    flags = ("--actor.num_gpus_per_node", "2", "--ckpt.save_steps", "2", "--ckpt.save_hf", "--logger.tensorboard_dir")
    given = train("--logger.wandb.key", GIVEN, *flags, tmp_path / "tb1", name="given", **offline)
    given.wait_for_step(2)
    addresses = listening(given.processes())
    assert addresses
    assert [address for address in addresses if not is_loopback(address)] == []
    given.finish()
    named = {"WANDB_API_KEY": IN_ENVIRONMENT} | offline
    from_environment = train("--logger.wandb.key", "env", *flags, tmp_path / "tb2", name="environment", **named)
    for run in (given, from_environment.finish()):
        assert (run.run_dir.parent / f"{run.run_dir.name}-checkpoints/_actor/latest").is_file()
    # run_config.json and W&B's own files say that there was one
    assert len(files_with("(not recorded)", tmp_path)) >= 2
    for key in (GIVEN, IN_ENVIRONMENT):
        assert files_with(key, tmp_path, ray_dir) == []
