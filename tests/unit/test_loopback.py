"""A run on one machine keeps to 127.0.0.1, and leaves the addresses of every other run alone."""

import os

import pytest

from aer_openrlhf.platforms import loopback
from aer_openrlhf.platforms.base import Platform

FLAGS = ["--actor.num_gpus_per_node", "8", "--vllm.num_engines=8", "--aer.enable"]


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    """No Ray here, and nothing said about addresses."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    for name in (*loopback.ENVIRONMENT, "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("more", "alone"),
    [
        ([], True),
        (["--actor.num_nodes", "1", "--ref.num_nodes=1"], True),
        (["--actor.num_nodes", "2"], False),
        (["--ref.num_nodes=2"], False),
        (["--reward.num_nodes", "4"], False),
    ],
)
def test_one_node_is_asked_for(more, alone):
    assert loopback.runs_alone(FLAGS + more) is alone


def test_a_cluster_that_is_named_or_running_is_joined(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")  # as in a Ray job
    assert not loopback.runs_alone(FLAGS)
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert loopback.runs_alone(FLAGS)
    loopback.cluster_file().parent.mkdir()
    loopback.cluster_file().write_text("10.0.0.7:6379")
    assert not loopback.runs_alone(FLAGS)


def test_the_running_cluster_is_looked_for_where_ray_looks(monkeypatch):
    from ray._common.utils import get_ray_address_file

    assert str(loopback.cluster_file()) == get_ray_address_file(None)
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert str(loopback.cluster_file()) == get_ray_address_file(None) == "/elsewhere/ray/ray_current_cluster"
    monkeypatch.delenv("TMPDIR")
    assert str(loopback.cluster_file()) == get_ray_address_file(None) == "/tmp/ray/ray_current_cluster"


def test_a_cuda_machine_alone_keeps_to_loopback_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setattr("sys.argv", ["aer-train", *FLAGS])
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "eth0")
    Platform().prepare_process()
    assert {name: os.environ[name] for name in loopback.ENVIRONMENT} == loopback.ENVIRONMENT | {
        "NCCL_SOCKET_IFNAME": "eth0"
    }


def test_a_cuda_machine_among_others_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr("sys.argv", ["aer-train", *FLAGS, "--actor.num_nodes", "2"])
    before = dict(os.environ)
    Platform().prepare_process()
    assert dict(os.environ) == before
