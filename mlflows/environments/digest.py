"""The name of what a definition makes: a hash of what decides the result, and of nothing else."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from mlflows.environments import credentials, dockerignore, requirements

Kind = Literal["venv", "image"]

RECIPE: dict[Kind, int] = {"venv": 1, "image": 1}
"""Raised when the same definition is to be built anew because our way of building has changed."""
NOT_A_PART = frozenset({".git", ".hg", ".svn", "__pycache__", ".venv", "build", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
"""Folders of a source tree that are no part of the package it makes."""
_DEPENDENCIES = ("pyproject.toml", "setup.py", "setup.cfg")
_BLOCK = 1 << 20


def digest(definition: Mapping[str, Any], kind: Kind, *, base_digest: str | None = None) -> str:
    """16 hexadecimal digits.

    For a ``venv``: the request for a python, conda packages and channels, the lines for pip in their order, the contents of local files
    they name. For an ``image`` also the base image (``base_digest``: the digest behind its name, where it is known), the Dockerfile, the
    files of the build context, the platform. Neither name and version, nor environment variables, passwords or ``azureml-*`` packages.
    """
    parts: dict[str, Any] = {"recipe": [kind, RECIPE[kind]], "packages": _packages(definition)}
    if kind == "venv":
        parts["machine"] = os.uname().machine
    else:
        parts["image"] = _image(definition, base_digest)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _packages(definition: Mapping[str, Any]) -> dict[str, Any] | None:
    python = definition.get("python") or {}
    if python.get("userManagedDependencies"):
        return None
    conda = requirements.conda_packages(definition)
    solved = requirements.needs_conda(definition)
    return {
        "conda": sorted(map(_without_secrets, conda)) if solved else conda,
        "channels": [_without_secrets(channel) for channel in requirements.channels(definition)] if solved else [],
        "pip": [_line(line) for line in requirements.pip_lines(definition)],
        "base": python.get("baseCondaEnvironment"),
    }


def _image(definition: Mapping[str, Any], base_digest: str | None) -> dict[str, Any]:
    docker = definition.get("docker") or {}
    context = docker.get("buildContext") or {}
    folder, dockerfile = context.get("location"), context.get("dockerfilePath") or "Dockerfile"
    return {
        "base": base_digest or docker.get("baseImage"),
        "dockerfile": docker.get("baseDockerfile"),
        "context": [dockerfile, [*_context(Path(folder), dockerfile)]] if folder else None,
        "platform": docker.get("platform"),
    }


def _context(folder: Path, dockerfile: str) -> Iterator[list[str]]:
    for name in dockerignore.files(folder, dockerfile):
        path = folder / name
        executable = "x" if os.access(path, os.X_OK) else ""
        yield [name, f"-> {os.readlink(path)}" if path.is_symlink() else content_of(path), executable]


def _line(line: str) -> list[str]:
    """A line for pip without name and password of an address, and what the file it names holds."""
    path = requirements.path_in(line)
    if path is None or os.path.isdir(path) and line.startswith(("-f", "--find-links")):  # a folder of wheels is an index
        return [_without_secrets(line)]
    if line.startswith(("-e", "--editable")):  # used from where it lies: only what decides its dependencies is of account
        return [line, *(content_of(Path(path, name)) for name in _DEPENDENCIES)]
    if "file:" in line:  # there a path may be percent-encoded
        return [re.sub(r"file:[^\s;#]*/", "file:///", line), content_of(Path(path))]
    return [line.replace(os.path.dirname(path), "", 1), content_of(Path(path))]


def _without_secrets(line: str) -> str:
    """A line without name and password of its addresses, with ``****`` for what is secret elsewhere in them, literal or by reference."""
    before, colon, address = re.sub(r"://[^/]*@", "://", credentials.masked(line)).partition("://")
    return before + colon + credentials.REFERENCE.sub(credentials.MASK, address)


def content_of(path: Path) -> str:
    """A hash of what a file, or the files of a folder, hold; empty if there is none."""
    if path.is_dir():
        whole = hashlib.sha256()
        for root, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if name not in NOT_A_PART and not name.endswith(".egg-info"))
            for name in sorted(names):
                file = Path(root, name)
                whole.update(f"{file.relative_to(path)}\0{content_of(file)}\n".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()
    try:
        found = path.stat()
    except OSError:
        return ""
    return _of_file(str(path), found.st_size, found.st_mtime_ns, found.st_ino)


@functools.lru_cache(maxsize=4096)  # a runner is asked for the same wheel by every run
def _of_file(path: str, size: int, modified: int, inode: int) -> str:
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()
