"""The README's first command, in a fresh clone whose path has spaces: as whoever runs the tests, and as a user who is nobody."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.printed import quickstart

ROOT = Path(__file__).parents[2]
DEMO = "make demo"
DEMO_SECONDS = 900
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "UV_", "PIP_", "SSL_", "REQUESTS_", "http_", "https_", "no_", "HTTP", "NO_PROXY")
"""Variables of ours that a person on this machine would have, too: where programs are, and how the network is reached."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(DEMO_SECONDS + 300)]


@dataclass(frozen=True)
class Clone:
    """A fresh clone and the person who uses it."""

    folder: Path
    prefix: list[str]
    home: str

    def run(self, command: str, timeout: float = DEMO_SECONDS) -> str:
        """What the command prints.

        Raises:
            AssertionError: it did not end with 0; the message has its output.
        """
        environment = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
        done = subprocess.run(
            [*self.prefix, "sh", "-c", command],
            cwd=self.folder,
            env={**environment, "HOME": self.home},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout


@pytest.fixture(params=["current user", "nobody"])
def clone(request: pytest.FixtureRequest) -> Iterator[Clone]:
    if request.param == "nobody" and os.getuid() != 0:
        pytest.skip("only root can become another user")
    if request.param == "nobody" and not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    top = Path(tempfile.mkdtemp(prefix="fresh clone "))
    folder = top / "of mlflows"
    try:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        clone = _as_nobody(top, folder) if request.param == "nobody" else _as_current(top, folder)
        yield clone
        if (folder / ".venv").exists():
            clone.run(". scripts/environment.sh && .venv/bin/mlflows down", timeout=120)
    finally:
        shutil.rmtree(top)


def test_make_demo(clone: Clone) -> None:
    shown = quickstart(clone.run(DEMO))
    for link in (shown.prefect_link, shown.mlflow_link):
        page = urllib.request.Request(link, headers={"Accept": "text/html"})  # as a browser asks
        with urllib.request.urlopen(page, timeout=30) as answer:
            assert answer.status == 200
    again = quickstart(clone.run(DEMO))
    assert again.run_id != shown.run_id


def _as_current(top: Path, folder: Path) -> Clone:
    (top / "home").mkdir()
    return Clone(folder, [], str(top / "home"))


def _as_nobody(top: Path, folder: Path) -> Clone:
    """A user without a home folder; what root may use and nobody may not is off the path by itself."""
    user = pwd.getpwnam("nobody")
    top.chmod(0o755)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return Clone(folder, ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"], "/nonexistent")
