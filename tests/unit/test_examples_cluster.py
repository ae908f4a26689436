"""What stands beside the launch scripts: the Kubernetes manifest, the compose file, the lock of the CUDA image."""

import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def pins(name: str) -> dict[str, str]:
    lines = (line.partition("#")[0].split(" --hash")[0].strip() for line in (ROOT / name).read_text().splitlines())
    found = (line.split("==") for line in lines if line)
    return {package.partition("[")[0].lower().replace("_", "-"): version for package, version in found}


def test_rayjob_runs_a_script_that_exists_on_the_pinned_ray() -> None:
    job = yaml.safe_load((ROOT / "examples/launch/kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    script = job["spec"]["entrypoint"].split()[-1]
    assert (ROOT / script.removeprefix("/opt/aer/")).is_file()
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == pins("requirements/gpu.txt")["ray"]
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"] == 2
    assert workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 8


def test_compose_publishes_to_loopback_only() -> None:
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8265:8265", "127.0.0.1:6006:6006"]


@pytest.mark.parametrize("service", ["head", "worker"])
def test_compose_leaves_the_gpus_to_ray_where_it_is_told_so(service: str) -> None:
    """The variable as compose.gpu.yaml gives it, empty; Compose reads ${A-B} as a shell does."""
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    argument = services[service]["environment"]["RAY_START_ARGS"]

    def read(**environment: str) -> str:
        echo = ["/bin/bash", "-c", f'printf %s "{argument}"']
        return subprocess.run(echo, env=environment, capture_output=True, text=True, check=True).stdout

    assert read() == "--num-gpus 2"
    assert read(RAY_START_ARGS="") == ""
    assert read(RAY_START_ARGS="--num-gpus 4") == "--num-gpus 4"


def test_gpu_lock_holds_every_pin_but_flash_attn() -> None:
    wanted = pins("requirements/gpu.txt")
    del wanted["flash-attn"]
    locked = pins("requirements/gpu.lock")
    assert "flash-attn" not in locked
    assert {name: locked.get(name) for name in wanted} == wanted
