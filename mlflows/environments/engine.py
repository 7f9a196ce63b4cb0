"""The container engine: what builds, pulls and pushes is its command line, ``docker`` or what stands under that name.

Questions go to its socket where it has one (engine_api), else through the command, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mlflows.environments.engine_api import ASK_SECONDS, PROGRAM, EngineApi, Unanswered, socket_of
from mlflows.environments.work import Work
from mlflows.exceptions import UserErrorException

BUILDX = "buildx"
BUILTIN = "builtin"
CLASSIC = "classic"
"""The builders, best first: BuildKit by the buildx plugin, BuildKit in the engine, the builder that has no mounts and no secrets."""

_INSTALL = "Install Docker (https://docs.docker.com/engine/install/)"
_UNREACHABLE = re.compile(
    r"cannot connect to the docker daemon|error during connect|is the docker daemon running|failed to connect to the docker API"
    r"|(?:dial unix|docker\.sock)[^\n]*connection refused",
    re.I,
)
_FORBIDDEN = re.compile(r"permission denied.*(docker daemon|docker\.sock|docker API)|dial unix .*permission denied", re.I | re.S)


T = TypeVar("T")


class EngineError(UserErrorException):
    """There is no engine, it does not run, or it may not be used."""


class Answer:
    """What a command of the engine printed, and how it ended."""

    def __init__(self, code: int, output: str, errors: str) -> None:
        self.code = code
        self.output = output
        self.errors = errors


class Engine:
    """One engine.

    Args:
        program: path of the command.
        variables: of its environment, besides this process's.
    """

    def __init__(self, program: str, variables: Mapping[str, str] | None = None) -> None:
        self._program = program
        self._variables = dict(variables or {})
        self._known_versions: dict[str, Any] | None = None
        socket = socket_of(program, {**os.environ, **self._variables})
        self._api = None if socket is None else EngineApi(socket)

    @staticmethod
    def find() -> Engine:
        """The engine of this machine; whether it runs shows when it is asked.

        Raises:
            EngineError: there is no ``docker`` on PATH.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise EngineError(f"There is no {PROGRAM!r} command on PATH, so no image can be built or used. {_INSTALL}.")
        return Engine(program)

    def ask(self, *arguments: str) -> Answer:
        """Run a command that answers at once.

        Raises:
            EngineError: the engine cannot be reached, or did not answer in time.
        """
        import subprocess  # 10 ms that an engine with a socket does not cost

        command = [self._program, *arguments]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=ASK_SECONDS,
                check=False,
                env={**os.environ, **self._variables},
            )
        except subprocess.TimeoutExpired as error:
            raise _too_slow(f"`{' '.join(command[:3])}`", error) from error
        except OSError as error:
            raise EngineError(f"{self._program} does not run: {error}. {_INSTALL}.", error) from error
        answer = Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        if answer.code != 0:
            check_reached(answer.errors)
        return answer

    def run(self, work: Work, *arguments: str, variables: Mapping[str, str] = {}) -> tuple[int, str]:
        """Run a command that takes its time, as part of a build: its exit code, and the end of its output.

        Raises:
            BuildStopped: the build was to end; the command does not run any more.
            EngineError: the engine cannot be reached.
        """
        code, output = work.run([self._program, *arguments], {**self._variables, **variables})
        if code != 0:  # what it printed does not tell: a step of a build may have looked for an engine, too
            self.check()
        return code, output

    def check(self) -> None:
        """Whether it answers at all.

        Raises:
            EngineError: it does not, or this user may not ask it.
        """
        self._answer(EngineApi.version, lambda: self.ask("version"))

    def inspect(self, image: str) -> dict[str, Any] | None:
        """What the engine knows of an image it has; None if it has none of this name."""
        return self._answer(lambda api: api.image(image), lambda: self._inspected(image))

    def platform(self) -> tuple[str, str]:
        """Operating system and architecture of the engine, as in ``linux``, ``amd64``."""
        server = self._answer(lambda api: api.version(), lambda: self._versions().get("Server") or {})
        return str(server.get("Os") or "linux"), str(server.get("Arch") or "amd64")

    def builder(self) -> str:
        """Which builder is used: ``buildx``, ``builtin`` or ``classic``. ``DOCKER_BUILDKIT=0`` asks for the classic one."""
        if os.environ.get("DOCKER_BUILDKIT") == "0":
            return CLASSIC
        if self.ask("buildx", "version").code == 0:
            return BUILDX
        versions = self._versions()
        client, server = (_version((versions.get(side) or {}).get("Version")) for side in ("Client", "Server"))
        # A client of 23 and later leaves BuildKit to buildx; an engine before 20.10 knows no mounts without a frontend to download.
        return BUILTIN if (0,) < client < (23,) and server >= (20, 10) else CLASSIC

    def _answer(self, by_socket: Callable[[EngineApi], T], by_command: Callable[[], T]) -> T:
        """The socket's answer; the command's where there is none: it knows other ways, and what is wrong."""
        if self._api is not None:
            try:
                return by_socket(self._api)
            except Unanswered:
                pass
            except TimeoutError as error:
                raise _too_slow(self._api.path, error) from error
        return by_command()

    def _inspected(self, image: str) -> dict[str, Any] | None:
        answer = self.ask("image", "inspect", image)
        found: list[dict[str, Any]] = json.loads(answer.output) if answer.code == 0 else []
        return found[0] if found else None

    def _versions(self) -> dict[str, Any]:
        if self._known_versions is None:
            with contextlib.suppress(ValueError):
                self._known_versions = json.loads(self.ask("version", "--format", "{{json .}}").output)
        return self._known_versions or {}

    @contextlib.contextmanager
    def logged_in(self, logins: Mapping[str, tuple[str, str]]) -> Iterator[Engine]:
        """This engine with user names and passwords for registries: address -> (user name, password).

        They are written to a configuration folder that only this user can read and that goes when the block ends, never given on a
        command line. What the person's own configuration has goes on to work: other logins, plugins, contexts.
        """
        if not logins:
            yield self
            return
        import tempfile

        with tempfile.TemporaryDirectory(prefix="mlflows-login-") as folder:
            _write_configuration(Path(folder), logins)
            yield Engine(self._program, {**self._variables, "DOCKER_CONFIG": folder})


def check_reached(errors: str) -> None:
    """Raise if what the command printed says that the engine cannot be reached.

    Raises:
        EngineError: it cannot.
    """
    if "response from daemon" in errors:
        return
    if _FORBIDDEN.search(errors):
        raise EngineError(
            "This user may not use the container engine (permission denied on its socket). Add the user to the group 'docker' and log in "
            "again: sudo usermod -aG docker $USER"
        )
    if _UNREACHABLE.search(errors):
        where = os.environ.get("DOCKER_HOST") or "its socket"
        raise EngineError(
            f"The container engine does not answer at {where}. Start it (sudo systemctl start docker), or set DOCKER_HOST to one that runs."
        )


def _too_slow(asked: str, error: Exception) -> EngineError:
    return EngineError(f"The container engine did not answer {asked} within {ASK_SECONDS:.0f} s.", error)


def _version(text: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", str(text or ""))[:3])


def _write_configuration(folder: Path, logins: Mapping[str, tuple[str, str]]) -> None:
    import base64

    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    configuration: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        configuration = json.loads((own / "config.json").read_text())
    if own.is_dir():  # plugins, contexts, buildx's builders
        for entry in own.iterdir():
            if entry.name != "config.json":
                (folder / entry.name).symlink_to(entry)
    auths, helpers = configuration.setdefault("auths", {}), configuration.setdefault("credHelpers", {})
    for address, (user, password) in logins.items():
        auths[address] = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
        helpers[address] = ""  # the file holds, also where a keychain is configured for everything else
    target = folder / "config.json"
    target.touch(mode=0o600)
    target.write_text(json.dumps(configuration))
