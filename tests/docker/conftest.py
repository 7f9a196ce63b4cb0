"""No test leaves anything in the engine."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator

import pytest

from mlflows.environments.engine import CLASSIC
from mlflows.environments.engine import Engine as DockerCommand
from tests.support.engine import Engine


@pytest.fixture(autouse=True)
def nothing_left(docker_engine: Engine) -> Iterator[None]:
    """Containers, networks and volumes that a test made are gone after it; images stay, as for everybody who builds them."""
    before = docker_engine.present()
    yield
    left = docker_engine.left_over(before)
    assert not left, "left in the engine: " + "; ".join(left)


@pytest.fixture
def host(docker_engine: Engine) -> str:
    """Address of this machine, as containers see it."""
    subnet = docker_engine.docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}").strip()
    return str(ipaddress.ip_network(subnet)[1])


@pytest.fixture
def buildkit(docker_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """BuildKit, by whichever of the machine's docker commands has it."""
    for folder in os.environ["PATH"].split(os.pathsep):
        if os.access(os.path.join(folder, "docker"), os.X_OK):
            monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
            if DockerCommand.find().builder() != CLASSIC:
                return
    pytest.skip("needs BuildKit: buildx, or a docker command before 23")
