"""Which socket the engine is asked on, and who answers there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from mlflows.environments.engine import Engine, EngineError
from mlflows.environments.engine_api import DEFAULT_SOCKET, EngineApi, Unanswered, socket_of


@pytest.fixture
def command(tmp_path: Path) -> str:
    """A program named docker; it is looked at, and never run."""
    (tmp_path / "bin").mkdir()
    return shutil.copy("/bin/true", tmp_path / "bin" / "docker")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Those of a person without any configuration."""
    return {"HOME": str(tmp_path / "home")}


def configured(folder: Path, host: str, chosen: str = "") -> None:
    """A folder as the command keeps it, with a context ``mine``."""
    meta = folder / "contexts" / "meta" / hashlib.sha256(b"mine").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": "mine", "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}))
    (folder / "config.json").write_text(json.dumps({"currentContext": chosen} if chosen else {}))


def test_the_usual_one(command: str, variables: dict[str, str]) -> None:
    assert socket_of(command, variables) == DEFAULT_SOCKET


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("unix:///run/user/1000/docker.sock", "/run/user/1000/docker.sock"),
        ("unix://", None),
        ("tcp://127.0.0.1:2375", None),
        ("ssh://person@host", None),
        ("npipe:////./pipe/docker_engine", None),
        ("localhost:2375", None),
    ],
)
def test_of_docker_host(command: str, variables: dict[str, str], host: str, found: str | None) -> None:
    assert socket_of(command, {**variables, "DOCKER_HOST": host, "DOCKER_CONTEXT": "mine"}) == found


def test_of_a_context(command: str, variables: dict[str, str], tmp_path: Path) -> None:
    configured(tmp_path / "home" / ".docker", "unix:///one.sock", chosen="mine")
    configured(tmp_path / "other", "unix:///other.sock")
    configured(tmp_path / "far", "ssh://person@host", chosen="mine")
    assert socket_of(command, variables) == "/one.sock"
    assert socket_of(command, {**variables, "DOCKER_CONTEXT": "default"}) == DEFAULT_SOCKET
    assert socket_of(command, {**variables, "DOCKER_CONFIG": str(tmp_path / "other")}) == DEFAULT_SOCKET
    assert socket_of(command, {**variables, "DOCKER_CONFIG": str(tmp_path / "other"), "DOCKER_CONTEXT": "mine"}) == "/other.sock"
    assert socket_of(command, {**variables, "DOCKER_CONFIG": str(tmp_path / "far")}) is None


@pytest.mark.parametrize("text", ["not json", "[]", '{"currentContext": "gone"}', '{"currentContext": 1}'])
def test_what_only_the_command_can_say(command: str, variables: dict[str, str], tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert socket_of(command, {**variables, "DOCKER_CONFIG": str(tmp_path)}) is None


def test_encrypted(command: str, variables: dict[str, str]) -> None:
    assert socket_of(command, {**variables, "DOCKER_TLS_VERIFY": "1"}) is None


def test_another_engine_under_the_name_docker(command: str, variables: dict[str, str], tmp_path: Path) -> None:
    shutil.copy("/bin/true", tmp_path / "podman")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "docker").symlink_to(tmp_path / "podman")
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "docker").write_text('#!/bin/sh\nexec podman "$@"\n')
    assert socket_of(str(tmp_path / "linked" / "docker"), variables) is None
    assert socket_of(str(tmp_path / "script" / "docker"), variables) is None
    assert socket_of(str(tmp_path / "gone" / "docker"), variables) is None


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Unanswered):
        EngineApi(str(tmp_path / "nothing.sock")).get("/_ping")


@pytest.mark.parametrize("said", [b"", b"220 mail ESMTP\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"])
def test_who_answers_is_no_engine(tmp_path: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(Unanswered):
            EngineApi(str(tmp_path / "s")).get("/_ping")


def test_an_engine_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflows.environments.engine_api.ASK_SECONDS", 0.2)
    docker = shutil.which("docker") or shutil.copy("/bin/true", tmp_path / "docker")
    monkeypatch.setenv("PATH", f"{os.path.dirname(docker)}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        with pytest.raises(EngineError, match="did not answer"):
            Engine.find().inspect("anything")
