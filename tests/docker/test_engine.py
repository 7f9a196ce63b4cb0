"""The engine asked on its socket, and by its command where that is the only way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflows.environments.engine import Engine, EngineError
from mlflows.environments.engine_api import EngineApi, Unanswered, socket_of
from mlflows.environments.image import BuiltImage
from tests.support.engine import Engine as EngineService
from tests.support.images import with_packages

WATCHED = """
import json, sys
started = []
sys.addaudithook(lambda event, arguments: started.append(arguments[0]) if event == "subprocess.Popen" else None)
from mlflows.environments.image import ensure_image
found = ensure_image(json.loads(sys.argv[1]), write=started.append)
print(json.dumps([found.id, started]))
"""
NOBODY = 65534


@pytest.fixture
def api(docker_engine: EngineService) -> EngineApi:
    """Of the engine that ``docker`` talks to; it is asked by name where that is not on a socket."""
    path = socket_of(Engine.find()._program, os.environ)
    if path is None:
        pytest.skip("needs an engine that docker talks to on a unix socket")
    return EngineApi(path)


def test_says_what_the_command_says(api: EngineApi, base_image: str, docker_engine: EngineService) -> None:
    [printed] = json.loads(docker_engine.docker("image", "inspect", base_image))
    for name in (base_image, printed["Id"], printed["Id"].partition(":")[2][:12]):
        assert api.image(name) == printed == Engine.find().inspect(name)
    assert api.version()["Version"] == docker_engine.docker("version", "--format", "{{.Server.Version}}").strip()


@pytest.mark.parametrize("name", ["mlflows-tests/not-there:1", "Not A Name", "a//b", "x@sha256:00"])
def test_image_that_is_not_there(api: EngineApi, name: str) -> None:
    assert api.image(name) is None and Engine.find().inspect(name) is None


def test_known_image_starts_no_process(api: EngineApi, own_store: None, base_image: str, built: Callable[..., BuiltImage]) -> None:
    environment = with_packages(base_image, "six")
    found = built(environment)
    asked = [sys.executable, "-c", WATCHED, json.dumps(environment._serialize_to_dict())]
    assert json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout) == [found.id, []]


def test_on_the_socket_of_a_context(
    api: EngineApi, base_image: str, docker_engine: EngineService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine.sock").symlink_to(api.path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    docker_engine.docker("context", "create", "mine", "--docker", f"host=unix://{tmp_path}/engine.sock")
    assert socket_of(Engine.find()._program, os.environ) == api.path == "/var/run/docker.sock"
    docker_engine.docker("context", "use", "mine")
    engine = Engine.find()
    assert socket_of(engine._program, os.environ) == f"{tmp_path}/engine.sock"
    assert engine.inspect(base_image) is not None
    with engine.logged_in({"example.org": ("person", "password")}) as logged_in:
        assert logged_in._api == engine._api and logged_in.inspect(base_image) is not None


def test_engine_that_only_the_command_reaches(
    base_image: str, docker_engine: EngineService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a script stands before the command."""
    command = Engine.find()._program
    (tmp_path / "docker").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (tmp_path / "docker").chmod(0o755)
    by_socket = Engine.find()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    engine = Engine.find()
    engine.check()
    assert engine._api is None and engine.inspect(base_image) == by_socket.inspect(base_image) and engine.platform() == by_socket.platform()
    assert engine.inspect("mlflows-tests/not-there:1") is None


@pytest.mark.parametrize("question", [Engine.check, Engine.platform, lambda engine: engine.inspect("any")])
def test_engine_away(
    docker_engine: EngineService, question: Callable[[Engine], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(EngineError, match="does not answer at unix://.*nothing.sock. Start it"):
        question(Engine.find())


def test_not_allowed(api: EngineApi) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    said = as_nobody(lambda: Engine.find().inspect("any"))
    assert said.startswith("This user may not use the container engine (permission denied on its socket). Add the user")
    assert as_nobody(lambda: api.image("any")) == "Unanswered: [Errno 13] Permission denied"


def as_nobody(question: Callable[[], object]) -> str:
    """What asking raises for a user without rights."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os.environ["HOME"] = "/"
        try:
            question()
        except EngineError as error:
            os.write(writer, str(error.message).encode())
        except Unanswered as error:
            os.write(writer, f"Unanswered: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said
