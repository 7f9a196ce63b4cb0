"""A build that is going on: its log, the commands it runs, and its end from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mlflows.exceptions import UserErrorException
from mlflows.job.processes import start_ticks

if TYPE_CHECKING:  # 10 ms that a known environment does not cost
    import subprocess

ASK_SECONDS = 0.1
"""How often a build asks whether it is to end."""
GRACE_SECONDS = 1.0
KEPT_LINES = 400
"""Of a command's output, for the message of an error."""

Write = Callable[[str], object]
Stopped = Callable[[], bool]
Resolve = Callable[[str], str]
"""From the name of a Secret block to its value."""

HIDDEN = "****"


def silent(text: str) -> None:
    """For who does not want to see the output."""


def never() -> bool:
    """For who does not stop a build."""
    return False


class EnvironmentBuildError(UserErrorException):
    """An environment could not be built: what failed, why, and where the log is."""


class BuildStopped(Exception):
    """Whoever wanted the environment does not want it any more."""


class Work:
    """One build, as the one who holds its lock. A context manager: its log is open inside.

    Args:
        folder: where the environment is made.
        log: the file that gets the output, too.
        write: called with every line of the output, its newline included.
        stopped: asked ten times a second.
        lock: descriptor of the lock; commands inherit it, so that it holds as long as any of them lives.
        environment: the variables that commands start with; this process's if none.
    """

    def __init__(
        self, folder: Path, log: Path, write: Write, stopped: Stopped, lock: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.log = log
        self._write = write
        self._stopped = stopped
        self._lock = lock
        self.environment: Mapping[str, str] = os.environ if environment is None else environment
        self._secrets: list[str] = []
        self._file: Any = None

    def __enter__(self) -> Work:
        self._file = self.log.open("a", encoding="utf-8", buffering=1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def hide(self, secrets: Iterable[str]) -> None:
        """From now on these do not appear in the log."""
        from urllib.parse import quote

        found = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), quote(secret))}
        self._secrets = sorted({*self._secrets, *found}, key=len, reverse=True)

    def say(self, line: str) -> None:
        """A line of our own."""
        text = self.masked(line.rstrip("\n")) + "\n"
        with contextlib.suppress(OSError):  # a full disk: what needs more of it says so
            self._file.write(text)
        self._write(text)

    def masked(self, text: str) -> str:
        """The text without the secrets, and without the passwords of addresses."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return re.sub(r"(://[^/\s:@]*):[^/\s@]+@", rf"\1:{HIDDEN}@", text)

    def check(self) -> None:
        """Raises BuildStopped: it is to end."""
        if self._stopped():
            raise BuildStopped

    def run(self, command: Sequence[str], environment: Mapping[str, str] = {}, told: str = "", quiet: bool = False) -> tuple[int, str]:
        """Run a command to its end, in a process group of its own and in the root folder: no project around this one has a say.

        Args:
            command: what to run.
            environment: variables on top of the work's.
            told: what it reads.
            quiet: the output goes to nobody but the caller.

        Returns:
            Its exit code, and the end of its output.

        Raises:
            BuildStopped: it was to end; nothing of it runs any more.
            EnvironmentBuildError: it cannot be started.
        """
        import subprocess

        self.check()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**self.environment, **environment},
                cwd="/",
                start_new_session=True,
                pass_fds=(self._lock,),
            )
        except OSError as error:
            raise EnvironmentBuildError(f"{command[0]} cannot be started: {error}", error) from error
        write_holder(self._lock, process.pid)
        try:
            return self._attended(process, told, quiet)
        except BaseException:
            end_group(process.pid)
            process.wait()
            raise
        finally:
            assert process.stdout is not None
            process.stdout.close()
            write_holder(self._lock)

    def _attended(self, process: subprocess.Popen[bytes], told: str, quiet: bool) -> tuple[int, str]:
        import selectors

        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # it fits a pipe: requirements are short
            pipe.write(told.encode())
        lines: list[str] = []
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                self.check()
                if not selector.select(ASK_SECONDS):
                    if process.poll() is not None:  # a daemon of its holds the pipe
                        break
                    continue
                data = os.read(process.stdout.fileno(), 1 << 16)
                *whole, rest = (rest + data).split(b"\n")
                if not data and rest:
                    whole, rest = [rest], b""
                lines = [*lines, *(self._line(line, quiet) for line in whole)][-KEPT_LINES:]
                if not data:
                    break
        while process.poll() is None:
            self.check()
            time.sleep(0.01)
        return process.returncode, "\n".join(lines)

    def _line(self, data: bytes, quiet: bool) -> str:
        """A line as it looks at last: a progress bar's, without colours."""
        text = data.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
        text = self.masked(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))
        if not quiet:
            self.say(text)
        return text


def write_holder(lock: int, child: int | None = None) -> None:
    """Write into a lock who holds it, and what it runs."""
    pids = [os.getpid(), *([child] if child else [])]
    text = json.dumps([[pid, start_ticks(pid)] for pid in pids]).encode()
    os.ftruncate(lock, 0)
    os.pwrite(lock, text, 0)


def end_left_behind(lock: int) -> bool:
    """If the holder of a lock was killed, end what it has left running, which keeps the lock; whether it was."""
    try:
        holder, *children = json.loads(os.pread(lock, 1000, 0))
    except ValueError:
        return False
    if start_ticks(holder[0]) == holder[1]:
        return False
    for pid, ticks in children:
        if ticks is not None and start_ticks(pid) == ticks:
            end_group(pid)
    return True


def end_group(pid: int) -> None:
    """End a process group: SIGTERM, a second, SIGKILL."""
    deadline = time.monotonic() + GRACE_SECONDS
    number = signal.SIGTERM
    while True:
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            return
        if number == signal.SIGKILL:
            return
        while time.monotonic() < deadline and _group_lives(pid):
            time.sleep(0.02)
        number = signal.SIGKILL


def _group_lives(pid: int) -> bool:
    """Its first process; the others get the SIGKILL anyway."""
    return start_ticks(pid) is not None
