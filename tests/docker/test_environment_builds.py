"""Environment.build and its like, with a real engine, a real Prefect server and real registries."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Services
from mlflows import Environment, Workspace
from mlflows.environments.build_details import ImageBuildDetails
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.engine import EngineError, check_reached
from mlflows.exceptions import UserErrorException
from tests.support.engine import Engine as EngineService
from tests.support.engine import Registry
from tests.support.wheels import make_wheel


@pytest.fixture
def workspace(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of this test's own."""
    monkeypatch.chdir(tmp_path)
    return Workspace("", "", f"ws-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def environment(base_image: str) -> Iterator[Environment]:
    """One that nobody has built yet."""
    made = Environment(f"built-{uuid.uuid4().hex[:8]}")
    made.docker.base_image = base_image
    made.python.conda_dependencies = CondaDependencies.create(
        python_version="{}.{}".format(*sys.version_info[:2]), pip_packages=[f"six!=99.{uuid.uuid4().int % 10**9}"]
    )
    made.python.conda_dependencies.set_python_version("3.10.18")
    yield made
    listed = subprocess.run(
        ["docker", "images", "--quiet", "--filter", f"label=mlflows.environment={made.name}"], capture_output=True, text=True
    )
    for identifier in set(listed.stdout.split()):
        subprocess.run(["docker", "rmi", "--force", identifier], capture_output=True)


def with_registry(workspace: Workspace, folder: Path, settings: dict[str, Any]) -> Workspace:
    workspace._record["container_registry"] = settings
    workspace.write_config(folder)
    return Workspace.from_config(folder)


class TestBuild:
    """Environment.build."""

    def test_in_the_background(
        self, environment: Environment, workspace: Workspace, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with caplog.at_level(logging.WARNING):
            details = environment.build(workspace)
        assert f"Environment {environment.name!r} is not registered yet" in caplog.text
        assert Environment.get(workspace, str(environment.name)).version == "1"
        assert (isinstance(details, ImageBuildDetails), details.status) == (True, "Running")
        assert details.wait_for_completion(show_output=True) is details
        printed = capsys.readouterr().out
        assert details.status == "Succeeded"
        assert "Building mlflows/env:" in printed and "Image Build Status: Succeeded" in printed
        assert details.get_log() == details.log and "Building mlflows/env:" in details.log
        found = environment.get_image_details(workspace)
        assert found.image_exist and str(found.repository).startswith("mlflows/env:") and found.registry is None
        assert found.interpreter_path == "/azureml-envs/mlflows/bin/python" and "uv pip install" in str(found.dockerfile)
        assert found["dockerImage"]["name"] == found.repository and found.repository in str(found)

    def test_that_fails(self, environment: Environment, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        assert environment.python.conda_dependencies is not None
        environment.python.conda_dependencies.add_pip_package("six==999")
        details = environment.register(workspace).build(workspace)
        with pytest.raises(UserErrorException, match="the requirement six==999 cannot be installed"):
            details.wait_for_completion(show_output=False)
        assert details.status == "Failed" and "six==999 cannot be installed" in details.get_log()
        assert capsys.readouterr().out == ""
        assert not environment.get_image_details(workspace).image_exist

    def test_pushed_with_the_password_of_a_block(
        self, environment: Environment, workspace: Workspace, private_image_registry: Registry, tmp_path: Path
    ) -> None:
        block = f"registry-{uuid.uuid4().hex[:8]}"
        asyncio.run(_save_credentials(workspace, private_image_registry, block))
        opened = with_registry(workspace, tmp_path, {"address": private_image_registry.address, "credentials": block})
        details = environment.build(opened).wait_for_completion(show_output=False)
        found = environment.get_image_details(opened)
        assert private_image_registry.status(f"{str(found.repository).replace(':', '/manifests/')}") == 200
        assert found.registry == {"address": private_image_registry.address, "username": private_image_registry.username}
        assert str(private_image_registry.password) not in details.log + str(found)

    def test_block_that_is_not_there(self, environment: Environment, workspace: Workspace, tmp_path: Path) -> None:
        opened = with_registry(workspace, tmp_path, {"address": "127.0.0.1:5000", "credentials": "nobody"})
        with pytest.raises(
            UserErrorException, match="container_registry.credentials: there is no DockerRegistryCredentials block 'nobody'"
        ):
            environment.build(opened)


async def _save_credentials(workspace: Workspace, registry: Registry, name: str) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect_docker import DockerRegistryCredentials

    with temporary_settings({PREFECT_API_URL: workspace._servers().prefect_api_url}):
        block = DockerRegistryCredentials(username=registry.username, password=registry.password, registry_url=registry.address)
        saving: Any = block.save(name)
        await saving


class TestBuildLocal:
    """Environment.build_local."""

    def test_without_docker(self, environment: Environment, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        environment.register(workspace).build_local(workspace)
        assert "Installing six" in capsys.readouterr().out
        assert not environment.get_image_details(workspace).image_exist

    def test_with_docker(self, environment: Environment, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        environment.register(workspace).build_local(workspace, platform="Linux", useDocker=True)
        assert "Building mlflows/env:" in capsys.readouterr().out
        assert environment.get_image_details(workspace).image_exist

    def test_bad_arguments(self, environment: Environment, workspace: Workspace) -> None:
        with pytest.raises(UserErrorException, match="is not registered. Register it first"):
            environment.build_local(workspace)
        registered = environment.register(workspace)
        with pytest.raises(UserErrorException, match="platform: 'Windows' is not this machine's"):
            registered.build_local(workspace, platform="Windows")
        with pytest.raises(UserErrorException, match=r"unknown arguments \['use_docker'\]. Known are useDocker"):
            registered.build_local(workspace, use_docker=True)
        with pytest.raises(UserErrorException, match="pushImageToWorkspaceAcr: the workspace has no registry"):
            registered.build_local(workspace, pushImageToWorkspaceAcr=True)
        for method in (registered.build, registered.build_local, registered.get_image_details):
            with pytest.raises(UserErrorException, match="workspace: expected a Workspace, got 'ws'"):
                method("ws")  # type: ignore[operator]


class TestPrivateWheel:
    """Environment.add_private_pip_wheel."""

    def test_wheel_is_kept_and_installed(
        self,
        environment: Environment,
        workspace: Workspace,
        tmp_path: Path,
        docker_engine: EngineService,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        wheel = make_wheel(tmp_path / "dist", "privatepackage")
        address = Environment.add_private_pip_wheel(workspace, wheel)
        assert Environment.add_private_pip_wheel(workspace, str(wheel), exist_ok=True) == address
        make_wheel(tmp_path / "dist", "privatepackage", files={"privatepackage.py": "CHANGED = True\n"})
        assert Environment.add_private_pip_wheel(workspace, wheel, exist_ok=True) != address  # the former one is kept as it is
        wheel.unlink()
        assert environment.python.conda_dependencies is not None
        environment.python.conda_dependencies.add_pip_package(address)
        registered = environment.register(workspace)
        registered.build_local(workspace)
        registered.build_local(workspace, useDocker=True)
        found = registered.get_image_details(workspace)
        command = ["python", "-c", "import privatepackage; print(privatepackage.VERSION)"]
        assert docker_engine.docker("run", "--rm", str(found.repository), *command).strip() == "1.0"

    def test_bad_arguments(self, workspace: Workspace, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match="file_path: .*nothing.whl' is not a file"):
            Environment.add_private_pip_wheel(workspace, str(tmp_path / "nothing.whl"))
        (tmp_path / "notes.txt").write_text("no wheel")
        with pytest.raises(UserErrorException, match="'notes.txt' is not the name of a wheel"):
            Environment.add_private_pip_wheel(workspace, tmp_path / "notes.txt")
        wheel = make_wheel(tmp_path, "twice")
        Environment.add_private_pip_wheel(workspace, wheel)
        with pytest.raises(UserErrorException, match="twice-1.0-py3-none-any.whl is in the workspace already. Give exist_ok=True"):
            Environment.add_private_pip_wheel(workspace, wheel)


class TestNoEngine:
    """What stands in the way of every build is told at once."""

    def test_no_command(self, environment: Environment, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        workspace._prefect()
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(EngineError, match="There is no 'docker' command on PATH.*Install Docker"):
            environment.build(workspace)
        assert not environment.get_image_details(workspace).image_exist

    def test_not_running(self, environment: Environment, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
        with pytest.raises(EngineError, match="does not answer at unix://.*nothing.sock. Start it"):
            environment.build(workspace)

    def test_not_allowed(self, docker_engine: EngineService) -> None:
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            pytest.skip("needs root and setpriv, to become somebody else")
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "docker", "version"]
        said = subprocess.run(nobody, cwd="/", capture_output=True, text=True)
        with pytest.raises(EngineError, match="may not use the container engine .permission denied on its socket.. Add the user"):
            check_reached(said.stderr)
