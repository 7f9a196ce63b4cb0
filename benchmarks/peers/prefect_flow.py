"""A bare Prefect flow that starts the script as a subprocess, with a server running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers import TRIVIAL
from benchmarks.timing import Command

NAME = "Prefect flow"
PACKAGE = "prefect"
REQUIREMENTS = ["prefect>=3.4,<4", "fastapi<0.151"]

FLOW = """\
import subprocess
import sys

from prefect import flow


@flow
def trivial():
    subprocess.run([sys.executable, "trivial.py"], check=True)


trivial()
"""

START_SECONDS = 120


@contextmanager
def prepared(scratch: Path, python: Path) -> Iterator[Command]:
    """A flow and a server of its own, on SQLite."""
    (scratch / "trivial.py").write_text(TRIVIAL)
    (scratch / "flow.py").write_text(FLOW)
    port = _free_port()
    environment = {
        "PREFECT_HOME": str(scratch / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    with (scratch / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [str(python.parent / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            cwd=scratch,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_healthy(f"http://127.0.0.1:{port}/api/health", server, scratch / "server.log")
        yield Command([str(python), "flow.py"], scratch, environment)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"no Prefect server at {url}:\n{log.read_text()[-3000:]}")
