"""The name of what a definition makes: a hash of what decides the result, and of nothing else."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from mlflows.environments import credentials, dockerignore, requirements
from mlflows.exceptions import UserErrorException

Kind = Literal["venv", "image"]

RECIPE: dict[Kind, int] = {"venv": 1, "image": 1}
"""Raised when the same definition is to be built anew because our way of building has changed."""
_NOT_A_PART = frozenset({".git", ".hg", ".svn", "__pycache__", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
"""Folders of a source tree that are no part of the package it makes."""
_DEPENDENCIES = ("pyproject.toml", "setup.py", "setup.cfg")
_BLOCK = 1 << 20


def digest(definition: Mapping[str, Any], kind: Kind, *, base_digest: str | None = None) -> str:
    """16 hexadecimal digits.

    For a ``venv``: the request for a python, conda packages and channels, the lines for pip in their order, the contents of local files
    they name. For an ``image`` also the base image (``base_digest``: the digest behind its name, where it is known), the Dockerfile, the
    files of the build context, the platform. Neither name and version, nor environment variables, passwords or ``azureml-*`` packages.
    """
    parts: dict[str, Any] = {"recipe": [kind, RECIPE[kind]], "packages": _packages(definition, kind)}
    if kind == "venv":
        parts["machine"] = os.uname().machine
    else:
        parts["image"] = _image(definition, base_digest)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _packages(definition: Mapping[str, Any], kind: Kind) -> dict[str, Any] | None:
    python = definition.get("python") or {}
    if python.get("userManagedDependencies"):
        return None
    conda = requirements.conda_packages(definition)
    solved = requirements.needs_conda(definition)
    return {
        "conda": sorted(map(_without_secrets, conda)) if solved else conda,
        "channels": [_without_secrets(channel) for channel in requirements.channels(definition)] if solved else [],
        "pip": [_line(line, kind) for line in requirements.pip_lines(definition)],
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


def _line(line: str, kind: Kind) -> list[str]:
    """A line for pip without name and password of an address, and what the file it names holds."""
    path = requirements.path_in(line)
    if path is None or os.path.isdir(path) and line.startswith(("-f", "--find-links")):  # a folder of wheels is an index
        return [_without_secrets(line)]
    if kind == "venv" and line.startswith(("-e", "--editable")):  # used from where it lies: only what decides its dependencies counts
        return [line, *(content_of(Path(path, name)) for name in _DEPENDENCIES)]
    if "file:" in line:  # there a path may be percent-encoded
        return [re.sub(r"file:[^\s;#]*/", "file:///", line), content_of(Path(path))]
    return [line.replace(os.path.dirname(path), "", 1), content_of(Path(path))]


def _without_secrets(line: str) -> str:
    """A line without name and password of its addresses, with ``****`` for what is secret elsewhere in them, literal or by reference."""
    before, colon, address = re.sub(r"://[^/]*@", "://", credentials.masked(line)).partition("://")
    return before + colon + credentials.REFERENCE.sub(credentials.MASK, address)


def not_a_part(project: Path, folder: str | os.PathLike[str], names: Iterable[str]) -> set[str]:
    """Which of the names in a folder of a project are folders that are no part of the package it makes; ``build`` at its root is one."""
    at_the_root = os.path.abspath(folder) == os.path.abspath(project)
    found = (name for name in names if name in _NOT_A_PART or name.endswith(".egg-info") or name == "build" and at_the_root)
    return {name for name in found if os.path.isdir(os.path.join(folder, name))}


def content_of(path: Path) -> str:
    """A hash of what a file, or the files of a folder, hold; empty if there is none.

    Raises:
        UserErrorException: one of them cannot be read.
    """
    if os.path.isdir(path):
        whole = hashlib.sha256()
        for root, folders, names in os.walk(path, onerror=_raise):
            left_out = not_a_part(path, root, folders)
            folders[:] = sorted(name for name in folders if name not in left_out)
            for name in sorted(names):
                file = Path(root, name)
                whole.update(f"{file.relative_to(path)}\0{content_of(file)}\n".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()
    try:
        found = path.stat()
        return _of_file(str(path), found.st_size, found.st_mtime_ns, found.st_ino)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise _unreadable(str(path), error) from error


def _raise(error: OSError) -> None:
    """For os.walk, which would pass over a folder that cannot be listed."""
    raise _unreadable(str(error.filename), error) from error


def _unreadable(path: str, error: OSError) -> UserErrorException:
    return UserErrorException(f"environment: {path} cannot be read: {error.strerror}. Let this user read it, or leave it out.", error)


@functools.lru_cache(maxsize=4096)  # a runner is asked for the same wheel by every run
def _of_file(path: str, size: int, modified: int, inode: int) -> str:
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()
