"""No test leaves anything in the engine; what tests of images share."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlflows.environments import image
from mlflows.environments.engine import CLASSIC
from mlflows.environments.engine import Engine as DockerCommand
from mlflows.environments.environment import Environment
from mlflows.environments.image import BuiltImage
from tests.support.engine import Engine
from tests.support.engine import Registry as RegistryService


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


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs and locks of this test only; the engine is everybody's, so that definitions are made unique where it matters."""
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))


@pytest.fixture
def built(docker_engine: Engine) -> Iterator[Callable[..., BuiltImage]]:
    """ensure_image; what it made is removed after the test, its cached layers stay."""
    names: list[str] = []

    def build(environment: Environment, **more: Any) -> BuiltImage:
        found = image.ensure_image(environment._serialize_to_dict(), **more)
        if found.ours:
            names.extend({found.name, f"{image.REPOSITORY}:{found.digest}"})
        return found

    yield build
    for name in names:
        subprocess.run(["docker", "rmi", "--force", name], capture_output=True)


@pytest.fixture
def locked_base(base_image: str, private_image_registry: RegistryService, docker_engine: Engine, tmp_path: Path) -> Iterator[str]:
    """An image that only the registry with a password has."""
    name = f"{private_image_registry.address}/mlflows-tests/locked:{uuid.uuid4().hex[:8]}"
    login = base64.b64encode(f"{private_image_registry.username}:{private_image_registry.password}".encode()).decode()
    folder = tmp_path / "login"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auths": {private_image_registry.address: {"auth": login}}}))
    docker_engine.docker("build", "--tag", name, "-", stdin=f"FROM {base_image}\nLABEL locked={name}\n")
    docker_engine.docker("push", name, environment={"DOCKER_CONFIG": str(folder)})
    docker_engine.docker("rmi", "--force", name)
    yield name
    for identifier in docker_engine.docker("images", "--quiet", "--filter", f"label=locked={name}").split():
        subprocess.run(["docker", "rmi", "--force", identifier], capture_output=True)  # it has a name for each way to ask for it
