"""A real Docker engine and real registries: those that are there, or what infra/dev brings up on a disposable machine."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conftest import IN_CI, ROOT

BASE_IMAGE = "mlflows-base:bookworm"
REGISTRY, PRIVATE_REGISTRY = "127.0.0.1:5100", "127.0.0.1:5101"
CREDENTIALS = Path("/var/lib/mlflows-dev/registry-private.credentials")
PIECE_SECONDS = 900
SETTLING_SECONDS = 10
DISPOSABLE = IN_CI and os.geteuid() == 0 and shutil.which("apt-get") is not None


@dataclass(frozen=True)
class Engine:
    """The Docker engine that the machine's ``docker`` talks to."""

    def docker(self, *arguments: str, stdin: str | None = None, environment: Mapping[str, str] | None = None, timeout: float = 280) -> str:
        """What ``docker`` with these arguments prints.

        Raises:
            AssertionError: it did not end with 0; the message has its output.
        """
        done = subprocess.run(
            ["docker", *arguments],
            input=stdin or "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"docker {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def present(self) -> set[str]:
        """Containers, networks and volumes that are there: all of them where the tests have the machine to themselves, else those
        whose labels name mlflows."""
        listed = {
            "container": self.docker("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Labels}}"),
            "network": self.docker("network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}} {{.Labels}}"),
            "volume": self.docker("volume", "ls", "--format", "{{.Name}} {{.Labels}}"),
        }
        return {f"{kind} {line}" for kind, lines in listed.items() for line in lines.splitlines() if DISPOSABLE or "mlflows" in line}

    def left_over(self, before: set[str]) -> list[str]:
        """What is there and was not ``before``, once what is being removed has had its time."""
        deadline = time.monotonic() + SETTLING_SECONDS
        while left := sorted(self.present() - before):
            if time.monotonic() > deadline:
                return left
            time.sleep(0.2)
        return []


@dataclass(frozen=True)
class Registry:
    """An image registry on loopback; without user and password it takes everybody."""

    address: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def status(self, path: str = "") -> int | None:
        """HTTP status of ``/v2/<path>`` asked for with the credentials; None if nobody answers."""
        request = urllib.request.Request(f"http://{self.address}/v2/{path}")
        if self.username:
            token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None


def find_engine() -> Engine:
    """Skips the test if no engine answers."""
    bring_up("docker_engine.sh")
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, timeout=60).returncode:
        pytest.skip("needs a Docker engine")
    return Engine()


def find_base_image(engine: Engine) -> str:
    """Name of a Debian image with python3 that trusts what this machine trusts; skips the test if it is not there."""
    bring_up("base_image.sh")
    if not engine.docker("image", "ls", "--quiet", BASE_IMAGE):
        pytest.skip(f"needs the image {BASE_IMAGE} (infra/dev/base_image.sh)")
    return BASE_IMAGE


def find_registry() -> Registry:
    """The registry that takes everybody; skips the test if it does not answer."""
    bring_up("registry.sh")
    registry = Registry(REGISTRY)
    if registry.status() != 200:
        pytest.skip(f"needs an image registry on {REGISTRY} (infra/dev/registry.sh)")
    return registry


def find_private_registry() -> Registry:
    """The registry that asks for a password; skips the test if it does not answer or its password may not be read."""
    bring_up("registry.sh")
    if os.access(CREDENTIALS, os.R_OK):
        username, _, password = CREDENTIALS.read_text().strip().partition(":")
        registry = Registry(PRIVATE_REGISTRY, username, password)
        if registry.status() == 200:
            return registry
    pytest.skip(f"needs an image registry with a password on {PRIVATE_REGISTRY} (infra/dev/registry.sh)")


def bring_up(piece: str) -> None:
    """Where the machine is ours, run a piece of infra/dev. It ends at once where its work is done, and waits where it is under way."""
    if not DISPOSABLE:
        return
    done = subprocess.run(
        ["sh", str(ROOT / "infra" / "dev" / piece)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PIECE_SECONDS,
    )
    assert done.returncode == 0, f"infra/dev/{piece} ended with {done.returncode}:\n{done.stdout}"
