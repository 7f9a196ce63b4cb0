"""Real servers that several rooms' tests use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import IN_CI
from tests.support import engine, s3
from tests.support.engine import Engine, Registry
from tests.support.s3 import S3Server


class MlflowServer(NamedTuple):
    """A running MLflow server; ``group`` is its process group."""

    url: str
    group: int
    folder: Path

    def send(self, number: signal.Signals) -> None:
        """Signal the server and its workers."""
        os.killpg(self.group, number)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_mlflow(folder: Path, port: int | None = None) -> MlflowServer:
    """Start a server on SQLite below ``folder``; it answers when this returns. A second start goes on with the same data."""
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", str(folder / "a")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
    server = MlflowServer(f"http://127.0.0.1:{port}", process.pid, folder)
    for _ in range(600):
        try:
            urllib.request.urlopen(server.url + "/health", timeout=5)
            return server
        except OSError:
            time.sleep(0.1)
        if process.poll() is not None:
            break
    raise RuntimeError(f"MLflow did not start: {(folder / 'server.log').read_text()[-2000:]}")


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One MLflow server for the whole session; tests use experiments of their own."""
    server = start_mlflow(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.send(signal.SIGCONT)
    server.send(signal.SIGTERM)


@pytest.fixture(scope="session")
def docker_engine() -> Engine:
    """The Docker engine that answers."""
    return engine.find_engine()


@pytest.fixture(scope="session")
def base_image(docker_engine: Engine) -> str:
    """Name of an image with Debian's python3, venv and pip; waits while it is being made."""
    return engine.find_base_image(docker_engine)


@pytest.fixture(scope="session")
def image_registry() -> Registry:
    """A registry that takes everybody."""
    return engine.find_registry()


@pytest.fixture(scope="session")
def private_image_registry() -> Registry:
    """A registry that asks for a user and a password."""
    return engine.find_private_registry()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A MinIO, with its address, its keys and ``make_bucket``; where it outlives the tests, the buckets are removed."""
    server = s3.find_server()
    yield server
    if not IN_CI:
        server.remove_buckets()
