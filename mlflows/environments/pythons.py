"""The pythons of this machine from which an environment can be made."""

from __future__ import annotations

import glob
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_QUERY = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
_QUERY_SECONDS = 10
_NAME = re.compile(r"python3\.\d+")


class Python(NamedTuple):
    """An interpreter that runs, and its version."""

    path: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} ({self.path})"


def own() -> Python:
    """The one this process runs with; of a virtual environment the one it was made from."""
    path = getattr(sys, "_base_executable", None) or sys.executable
    return Python(path, tuple(sys.version_info[:3]))


def installed(environment: Mapping[str, str] = os.environ) -> list[Python]:
    """This process's own first, then uv's, pyenv's and those on PATH, the newest first; where these are, the variables say."""
    first = own()
    seen = {os.path.realpath(first.path)}
    found = []
    for path in _candidates(environment):
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        version = _version_of(path)
        if version:
            found.append(Python(path, version))
    return [first, *sorted(found, key=lambda python: python.version, reverse=True)]


def _candidates(environment: Mapping[str, str]) -> Iterator[str]:
    home = environment.get("HOME") or os.path.expanduser("~")
    data = environment.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    managed = environment.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")
    pyenv = os.path.join(environment.get("PYENV_ROOT") or os.path.join(home, ".pyenv"), "versions")
    folders = [*glob.glob(os.path.join(managed, "cpython-*", "bin")), *glob.glob(os.path.join(pyenv, "*", "bin"))]
    folders += [*environment.get("PATH", os.defpath).split(os.pathsep), "/usr/local/bin", "/usr/bin"]
    for folder in folders:
        if not folder or os.path.basename(folder) == "shims" or os.path.exists(os.path.join(folder, "..", "pyvenv.cfg")):
            continue
        try:
            names = sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))
        except OSError:
            continue
        yield from (os.path.join(folder, name) for name in names)


def _version_of(path: str) -> tuple[int, ...] | None:
    """None if it does not run."""
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _QUERY], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=False
        )
        return tuple(int(part) for part in done.stdout.strip().split(".")) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
