"""Images with conda packages, from a channel made on the spot and served to the build."""

from __future__ import annotations

import http.server
import re
import subprocess
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mlflows.environments import image
from mlflows.environments.environment import Environment
from mlflows.environments.work import EnvironmentBuildError
from tests.support.conda_channel import Channel
from tests.support.engine import Engine
from tests.support.images import assert_nowhere


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, with a token before their paths and without, and prints nothing."""

    def translate_path(self, path: str) -> str:
        return super().translate_path(re.sub("^/t/[^/]+/team", "", path))

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def channel(tmp_path: Path, host: str) -> Iterator[Channel]:
    """A channel with ``native`` and a python, that of the base image; ``url`` is its address for containers."""
    made = Channel(tmp_path / "channel")
    files: dict[str, str | Path] = {
        "bin/python": Path("/usr/bin/python3"),
        "pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\n",
        "lib/python3.11/site-packages/README.txt": "Packages.\n",
    }
    made.add("python", "3.11.2", files)
    made.add("native", "1.0", {"bin/native": "#!/bin/sh\necho native 1.0\n"})
    made.add("native", "2.0", {"bin/native": "#!/bin/sh\necho native 2.0\n"})
    server = http.server.ThreadingHTTPServer((host, 0), partial(Quiet, directory=str(made.folder)))
    made.url = f"http://{host}:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def conda_environment(folder: Path, base: str, channel: Channel, *packages: str) -> Environment:
    (folder / "conda.yml").write_text(f"channels: [{channel.url}]\ndependencies: [python=3.11, {', '.join(packages)}, {{pip: [six]}}]\n")
    environment = Environment.from_conda_specification("conda", folder / "conda.yml")
    environment.docker.base_image = base
    return environment


def test_conda_packages(base_image: str, channel: Channel, docker_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    environment = conda_environment(tmp_path, base_image, channel, "native=1.0")
    log: list[str] = []
    found = image.ensure_image(environment._serialize_to_dict(), write=log.append)
    try:
        assert " + native 1.0 0" in "".join(log)
        said = docker_engine.docker(
            "run", "--rm", found.name, "sh", "-c", f"native; {found.python} -c 'import six, sys; print(sys.prefix)'"
        )
        assert said.split() == ["native", "1.0", "/azureml-envs/mlflows"]
        left = docker_engine.docker("run", "--rm", found.name, "sh", "-c", "ls -A /tmp; find / -xdev -path '*cache*rattler*'")
        assert left.strip() == ""
    finally:
        subprocess.run(["docker", "rmi", "--force", found.name], capture_output=True)


def test_with_buildkit(
    buildkit: None, base_image: str, channel: Channel, docker_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_conda_packages(base_image, channel, docker_engine, tmp_path, monkeypatch)


def test_token_of_a_channel(
    buildkit: None, base_image: str, channel: Channel, docker_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    secret = f"canary-{uuid.uuid4().hex}"
    channel.url += f"/t/{secret}/team"
    log: list[str] = []
    found = image.ensure_image(conda_environment(tmp_path, base_image, channel, "native=2.0")._serialize_to_dict(), write=log.append)
    try:
        assert docker_engine.docker("run", "--rm", found.name, "native").split() == ["native", "2.0"]
        assert_nowhere([secret], found, log, docker_engine, tmp_path)
    finally:
        subprocess.run(["docker", "rmi", "--force", found.name], capture_output=True)


def test_package_that_no_channel_has(base_image: str, channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    with pytest.raises(
        EnvironmentBuildError, match="the conda packages cannot be installed: .*native.*3.0.* Change environment.python"
    ) as caught:
        image.ensure_image(conda_environment(tmp_path, base_image, channel, "native=3.0")._serialize_to_dict())
    assert "The log of the build: " in str(caught.value)
