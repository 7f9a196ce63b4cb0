"""The engine's HTTP interface on its unix socket: it answers in a millisecond or two, where a start of its command takes 40.

What is spoken is HTTP/1.0, by hand: http.client takes 20 ms to import, and to a client of 1.0 an engine sends no chunks, and closes the
connection at the end of its answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

PROGRAM = "docker"
DEFAULT_SOCKET = "/var/run/docker.sock"
ASK_SECONDS = 60.0
"""How long the engine may take to answer a question; builds, pulls and pushes have no limit."""


class Unanswered(Exception):
    """There is no such socket, this user may not use it, or what answers there is no engine."""


@dataclass(frozen=True)
class Answered:
    """What the engine answers: the HTTP status, and the text."""

    status: int
    text: bytes

    def value(self) -> Any:
        """The text, which is JSON.

        Raises:
            Unanswered: it is not.
        """
        try:
            return json.loads(self.text)
        except ValueError as error:
            raise Unanswered(f"no JSON: {self.text[:100]!r}") from error


@dataclass(frozen=True)
class EngineApi:
    """The engine behind a socket."""

    path: str

    def image(self, name: str) -> dict[str, Any] | None:
        """What the engine knows of an image, as ``docker image inspect`` prints it; None if it has none of this name.

        Raises:
            Unanswered: see there.
            TimeoutError: no answer within a minute.
        """
        answered = self.get(f"/images/{quote(name, safe='/:@')}/json")
        found: dict[str, Any] | None = answered.value() if answered.status == 200 else None
        return found

    def version(self) -> dict[str, Any]:
        """The engine's version, and what machine it is for (``Version``, ``Os``, ``Arch``). Errors as in image."""
        answered = self.get("/version")
        if answered.status != 200:
            raise Unanswered(f"status {answered.status}")
        found: dict[str, Any] = answered.value()
        return found

    def get(self, path: str) -> Answered:
        """The answer to a GET, in the newest form that the engine speaks. Errors as in image."""
        import socket

        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ASK_SECONDS)
                connection.connect(self.path)
                connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {PROGRAM}\r\n\r\n".encode())
                with connection.makefile("rb") as stream:
                    head, _, text = stream.read().partition(b"\r\n\r\n")
        except TimeoutError:
            raise
        except OSError as error:
            raise Unanswered(str(error)) from error
        version, _, rest = head.partition(b" ")
        status = rest[:3]
        if not version.startswith(b"HTTP/1.") or not status.isdigit() or b"chunked" in head.lower():
            raise Unanswered(f"no answer of an engine: {head[:100]!r}")
        return Answered(int(status), text)


def socket_of(program: str, environment: Mapping[str, str]) -> str | None:
    """The unix socket that a ``docker`` command would speak to.

    None where it speaks to its engine in another way (TCP, SSH, TLS), where another engine stands under its name, such as podman, which
    needs no socket, and where only the command itself can say what is wrong with its configuration.
    """
    if environment.get("DOCKER_TLS_VERIFY") or not _is_dockers(program):
        return None
    scheme, _, path = (environment.get("DOCKER_HOST") or _host_of_context(environment)).partition("://")
    return path if scheme == "unix" and path.startswith("/") else None


def _is_dockers(program: str) -> bool:
    """Whether a command is Docker's: podman's is a script that calls podman, or a link to it."""
    real = os.path.realpath(program)
    try:
        with open(real, "rb") as file:
            return os.path.basename(real) == PROGRAM and file.read(2) != b"#!"
    except OSError:
        return False


def _host_of_context(environment: Mapping[str, str]) -> str:
    """As https://docs.docker.com/engine/manage-resources/contexts/ has it; empty where it cannot be read."""
    folder = environment.get("DOCKER_CONFIG") or os.path.join(environment.get("HOME") or os.path.expanduser("~"), ".docker")
    try:
        name = environment.get("DOCKER_CONTEXT") or _current_context(folder)
        if name == "default":
            return f"unix://{DEFAULT_SOCKET}"
        import hashlib  # most people have no contexts

        key = hashlib.sha256(name.encode()).hexdigest()
        with open(os.path.join(folder, "contexts", "meta", key, "meta.json"), "rb") as file:
            return str(json.load(file)["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""


def _current_context(folder: str) -> str:
    try:
        with open(os.path.join(folder, "config.json"), "rb") as file:
            found: str = json.load(file).get("currentContext") or "default"
            return found
    except FileNotFoundError:
        return "default"
