"""A MinIO of the bench's own on this machine: nobody else's requests are in its figures, and its CPU seconds are known."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path("/var/lib/mlflows-dev")
"""Where infra/dev/minio.sh leaves the program."""
START_SECONDS = 60
FOREIGN = ("AWS_", "S3_", "MINIO_", "MLFLOWS_")
"""Variables of the person who measures."""


@dataclass(frozen=True)
class Server:
    """A server that answers. ``environment`` leads AWS's own programs and libraries to it, and has its keys."""

    pid: int
    environment: dict[str, str]

    def cpu_seconds(self) -> float:
        """User and system time since its start."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def find() -> Path | None:
    """The newest program that is there."""
    return max(PROGRAMS.glob("minio-v*"), default=None)


@contextmanager
def running(program: Path, folder: Path) -> Iterator[Server]:
    """A server with its files in ``folder``, which is made, on a port of its own.

    Raises:
        RuntimeError: it does not answer; the message has its output.
    """
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    key, secret = "bench", secrets.token_hex(16)
    own = {"MINIO_ROOT_USER": key, "MINIO_ROOT_PASSWORD": secret, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    clients = {
        "AWS_ENDPOINT_URL": f"http://{address}",
        "S3_ENDPOINT_URL": f"http://{address}",  # s5cmd's name for it
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    log = folder / "minio.log"
    argv = [str(program), "server", "--quiet", "--address", address, str(folder / "data")]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**clean, **own})
    try:
        _wait(process, address, log)
        yield Server(process.pid, {**clean, **clients})
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            direct.open(f"http://{address}/minio/health/ready", timeout=5)
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MinIO does not answer on {address}:\n{log.read_text()}") from None
            time.sleep(0.05)
