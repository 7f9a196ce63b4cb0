"""Following a run to its end, with or without showing its log.

On the machine that has the job folder the log is read there, as it grows; elsewhere MLflow is asked, for the status and for what is new
in the uploaded log.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflows.history import status
from mlflows.history import tags as names
from mlflows.history.artifacts import Artifacts
from mlflows.history.tracking import MlflowRun, Tracking, TrackingUnreachable
from mlflows.job import layout

LOCAL_SECONDS = 0.02
QUICK_SECONDS, QUICK_FOR = 0.004, 10.0
"""A run of a second ends 20 ms sooner for the one who waits if it is looked at often at first."""
ASK_SECONDS = 2.0
"""How often MLflow is asked beside a local folder: whoever should have written closed.json there may be dead."""
FIRST_POLL, SLOWEST_POLL, POLL_GROWTH = 0.5, 2.0, 1.2
STATUS_SECONDS = 1.0
"""A status before the log begins is shown if it lasts longer."""
PATIENCE = 120.0
"""Seconds without an answer from MLflow after which waiting ends with its error."""
_LOG = re.compile(r"std_log(_process_0*|_rank_0*|_node0*|)\.txt")

Write = Callable[[str], object]


def follow(tracking: Tracking, mlflow_run_id: str, artifacts: Artifacts, folder: Path | None, show: bool) -> MlflowRun:
    """Wait until the run has ended; its record then.

    Args:
        tracking: the MLflow server.
        mlflow_run_id: the run.
        artifacts: of the run.
        folder: its job folder where this process knows it; else it is looked for by the run's tags.
        show: print the log.

    Raises:
        TrackingUnreachable: MLflow did not answer for two minutes.
    """
    server = _Server(tracking, mlflow_run_id)
    if folder is None:
        folder = local_folder(server.ask())
    screen = _Screen(sys.stdout.write if show else _silent)
    if folder is None:
        return _follow_server(server, artifacts, screen)
    _follow_folder(folder, server, screen)
    return _follow_server(server, None, screen)


def local_folder(run: MlflowRun | None) -> Path | None:
    """The job folder of a run, if it is on this machine."""
    if run is None or run.tags.get(names.HOST) != socket.gethostname():
        return None
    folder = Path(run.tags.get(names.JOB_FOLDER, ""))
    return folder if folder.is_absolute() and folder.is_dir() else None


def chosen_log(log_names: list[str]) -> str | None:
    """Of the names in user_logs the one that is shown: the only one, or the first rank's."""
    return next((name for name in sorted(log_names) if _LOG.fullmatch(name)), None)


def log_in(folder: Path) -> Path:
    """The log of a job folder that says how the run ended: the script's, or of a run that did not come so far the build's."""
    try:
        found = chosen_log(os.listdir(folder / layout.USER_LOGS))
    except OSError:
        found = None
    build = folder / layout.BUILD_LOGS / layout.BUILD_LOG
    return build if found is None and build.exists() else folder / layout.USER_LOGS / (found or layout.STD_LOG)


def _follow_folder(folder: Path, server: _Server, screen: _Screen) -> None:
    """Until the folder is closed, or MLflow says that the run has ended."""
    import http.client  # noqa: F401  (the first request comes when the run ends; its import need not wait until then)

    build = _Tail(folder / layout.BUILD_LOGS / layout.BUILD_LOG)
    tail: _Tail | None = None
    began = time.monotonic()
    closed, waiting, next_question = folder / layout.CLOSED_FILE, True, began + STATUS_SECONDS
    while True:
        ended = closed.exists()
        if tail is None:
            tail = _Tail.of(folder / layout.USER_LOGS)
            screen.text(build.name, build.read())
        if tail is not None:
            screen.text(tail.name, tail.read())
            waiting = False
        if ended:
            return
        if not server.settled and _is_shipped(folder):
            server.settle()
        if time.monotonic() >= next_question:
            if server.ended():
                return
            screen.state(server.word if waiting else "")
            next_question = time.monotonic() + (STATUS_SECONDS if waiting else ASK_SECONDS)
        time.sleep(QUICK_SECONDS if time.monotonic() - began < QUICK_FOR else LOCAL_SECONDS)


def _is_shipped(folder: Path) -> bool:
    """Whether the collector has written something since the job ended: what it writes last is the end."""
    try:
        return os.stat(folder / layout.COLLECTOR_FILE).st_mtime_ns > os.stat(folder / layout.STATUS_FILE).st_mtime_ns
    except OSError:
        return False


def _follow_server(server: _Server, artifacts: Artifacts | None, screen: _Screen) -> MlflowRun:
    """Until MLflow says that the run has ended; with ``artifacts`` the uploaded log is shown as it grows."""
    pause = FIRST_POLL
    while True:
        ended = server.just_settled() or server.ended()
        new = artifacts is not None and screen.wanted and _remote(artifacts, screen)
        if ended and server.last is not None:
            screen.finish()
            return server.last
        screen.state(server.word)
        pause = FIRST_POLL if new else min(SLOWEST_POLL, pause * POLL_GROWTH)
        time.sleep(pause)


def _remote(artifacts: Artifacts, screen: _Screen) -> bool:
    """Show what is new in the uploaded logs, the build's first; whether something was."""
    build = f"{layout.BUILD_LOGS}/{layout.BUILD_LOG}"
    try:
        if screen.name in (None, build):
            found = chosen_log([os.path.basename(file.path) for file in artifacts.files(layout.USER_LOGS)])
            new = artifacts.read_from(build, screen.shown)
            screen.text(build, new)
            if found is None:
                return bool(new)
            screen.begin(f"{layout.USER_LOGS}/{found}")
        assert screen.name is not None
        new = artifacts.read_from(screen.name, screen.shown)
    except TrackingUnreachable:
        return False
    screen.text(screen.name, new)
    return bool(new)


class _Server:
    """What MLflow says about a run; a server that is away for a while does not end the waiting."""

    def __init__(self, tracking: Tracking, mlflow_run_id: str) -> None:
        self._tracking = tracking
        self._run_id = mlflow_run_id
        self._heard = time.monotonic()
        self.last: MlflowRun | None = None
        self.word = ""
        self.settled = False
        """Whether settle was called."""
        self._settled_at: float | None = None

    def settle(self) -> None:
        """Ask once while the flow still ends: with luck the answer is at hand when it has."""
        self.settled = True
        if self.ended():
            self._settled_at = time.monotonic()

    def just_settled(self) -> bool:
        """Whether settle has heard of the end, and not long ago: a run may be started again."""
        return self._settled_at is not None and time.monotonic() - self._settled_at < ASK_SECONDS

    def ask(self) -> MlflowRun | None:
        """The run now; None if there is no answer.

        Raises:
            TrackingUnreachable: there was none for two minutes.
        """
        try:
            self.last = self._tracking.get_run(self._run_id)
        except TrackingUnreachable:
            if time.monotonic() - self._heard > PATIENCE:
                raise
            return None
        self._heard = time.monotonic()
        self.word = status.status_of(self.last.tags, self.last.status)
        return self.last

    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.ask() is not None and self.word in status.TERMINAL


class _Tail:
    """A log that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.name = f"{path.parent.name}/{path.name}"

    @classmethod
    def of(cls, folder: Path) -> _Tail | None:
        """The log to show, once it is there."""
        try:
            found = chosen_log(os.listdir(folder))
        except OSError:
            return None
        return cls(folder / found) if found else None

    def read(self) -> bytes:
        """What is new."""
        try:
            if os.stat(self._path).st_size <= self._offset:
                return b""
            with open(self._path, "rb") as handle:
                handle.seek(self._offset)
                data = handle.read()
        except OSError:
            return b""
        self._offset += len(data)
        return data


class _Screen:
    """What has been shown so far."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._state = ""
        self._since = 0.0
        self._at_line_start = True
        self._later = False
        self.wanted = write is not _silent
        self.name: str | None = None
        """The log that is being shown."""
        self.shown = 0
        """Bytes of it."""

    def begin(self, name: str) -> None:
        """Go on to another log."""
        if name != self.name:
            self._write(self._decoder.decode(b"", final=True))
            self._decoder.reset()
            self._later = self._later or self.shown > 0
            self.name, self.shown = name, 0

    def text(self, name: str, data: bytes) -> None:
        """Show more of a log, after its heading if it is the first."""
        if not data:
            return
        self.begin(name)
        if not self.shown:
            space = "" if not self._later else "\n" if self._at_line_start else "\n\n"
            heading = f"Streaming {name}"
            self._write(f"{space}{heading}\n{'=' * len(heading)}\n\n")
        self.shown += len(data)
        text = self._decoder.decode(data)
        self._write(text)
        self._at_line_start = text.endswith("\n")
        if self.wanted:
            sys.stdout.flush()

    def state(self, word: str) -> None:
        """Before the log begins: a status that lasts is shown once."""
        if self.shown or self._later or not word or word in status.TERMINAL:
            return
        if word == self._state or word == status.RunStatus.RUNNING:
            return
        self._state = word
        self._write(f"{word} ...\n")
        if self.wanted:
            sys.stdout.flush()

    def finish(self) -> None:
        """The rest of a character, and an end to an unfinished line."""
        self._write(self._decoder.decode(b"", final=True))
        if not self._at_line_start:
            self._write("\n")


def _silent(text: str) -> None:
    return None


def header(run_id: str, url: str, flow_url: str | None) -> str:
    """What is printed before the log, and after it: the run's id and its pages in MLflow's and, if a flow runs it, Prefect's UI."""
    flow = f"Flow Run: {flow_url}\n" if flow_url else ""
    return f"RunId: {run_id}\nWeb View: {url}\n{flow}"


def failure(error: dict[str, Any], log_path: Path | None, url: str) -> str:
    """The error as a person reads it: as JSON, then the script's traceback and the log's last lines as they were printed."""
    lines, traceback = list(error.get("log_tail") or ()), str(error.get("traceback") or "")
    details = {key: value for key, value in error.items() if key not in ("log_tail", "traceback")}
    if log_path is not None and log_path.is_file():
        details["log"] = str(log_path)
        lines = lines or _last_lines(log_path)
    text = json.dumps({"error": {**details, "url": url}}, indent=4, ensure_ascii=False)
    traceback, log = traceback.rstrip(), "\n".join(lines)
    if traceback and traceback not in log:
        text += f"\n\n{traceback}"
        log = "" if traceback[-200:] in log else log  # the end of what is shown already
    return f"{text}\n\nLast lines of the log:\n{log}" if log else text


def _last_lines(path: Path, most: int = 20) -> list[str]:
    with open(path, "rb") as handle:
        handle.seek(max(0, os.path.getsize(path) - 16384))
        return handle.read().decode("utf-8", "replace").splitlines()[-most:]
