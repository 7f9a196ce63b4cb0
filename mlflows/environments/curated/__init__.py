"""Curated environments: the names of Azure's that public code has, and what stands behind them today.

Each file of this folder is one, a conda specification. Azure's former ones are of pythons and packages that are not to be had any
more: their names stand for today's environment of the same framework, and whoever asks is told the difference.
"""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from typing import Any

from mlflows.environments.conda_dependencies import CondaDependencies, conda_name, pip_name
from mlflows.environments.sections import DockerSection, PythonSection, SparkSection

RESERVED = "AzureML"
"""Prefix that a registered environment's name cannot have."""
VERSION = "1"
"""Version of all of them; another when a file changes."""

_FOLDER = Path(__file__).parent
_FRAMEWORK = re.compile(
    r"AzureML-(?:ACPT-)?(?P<framework>pytorch|tensorflow|scikit-learn|sklearn|minimal)-?(?P<version>\d[\d.]*)?", re.IGNORECASE
)
_PYTHON = re.compile(r"-py(?P<major>\d)\.?(?P<minor>\d+)\b", re.IGNORECASE)
_GPU = re.compile(r"gpu|cuda", re.IGNORECASE)
_TODAY = {
    "minimal": "AzureML-Minimal",
    "sklearn": "AzureML-sklearn-1.5",
    "scikit-learn": "AzureML-sklearn-1.5",
    "pytorch": "AzureML-pytorch-2.8",
    "tensorflow": "AzureML-tensorflow-2.19",
    "tensorflow on gpu": "AzureML-tensorflow-2.19-gpu",
}
_PACKAGE = {"sklearn": "scikit-learn", "pytorch": "torch"}
"""Framework -> package, where their names differ."""

_told: set[tuple[str, str | None]] = set()


def names() -> list[str]:
    """The names of today's."""
    return sorted(path.stem for path in _FOLDER.glob("*.yml"))


def is_reserved(name: str) -> bool:
    """Whether a name can only be a curated environment's."""
    return name.startswith(RESERVED)


def today(name: str) -> str | None:
    """Name of the environment that stands for ``name``: itself, or today's of the same framework; None for other names."""
    if name in names():
        return name
    match = _FRAMEWORK.match(name)
    if match is None:
        return None
    framework = match.group("framework").lower()
    return _TODAY[f"{framework} on gpu" if framework == "tensorflow" and _GPU.search(name) else framework]


def definition(name: str, version: str | None = None) -> dict[str, Any] | None:
    """The definition under the name that was asked for; None if there is no such environment.

    Where the name or the version is one of former times, the difference is printed, once for each.
    """
    used = today(name)
    if used is None:
        return None
    if used != name or version not in (None, VERSION):
        _tell(name, version, used)
    python = PythonSection(conda_dependencies=_dependencies(used))
    return {
        "name": name,
        "version": VERSION,
        "environmentVariables": {},
        "python": python._serialize_to_dict(),
        "docker": DockerSection()._serialize_to_dict(),
        "spark": SparkSection()._serialize_to_dict(),
        "r": None,
        "inferencingStackVersion": None,
    }


@functools.lru_cache
def _dependencies(name: str) -> CondaDependencies:
    return CondaDependencies(_FOLDER / f"{name}.yml")


def _tell(name: str, version: str | None, used: str) -> None:
    if (name, version) in _told:
        return
    _told.add((name, version))
    asked = name + (f" version {version}" if version not in (None, VERSION) else "")
    content = _asked_for(name)
    print(
        f"mlflows: {asked}{f' ({content})' if content else ''} is not to be had any more. Used in its place: {_said(used)}",
        file=sys.stderr,
    )


def _asked_for(name: str) -> str:
    """What a name says about its content: ``scikit-learn 0.24, python 3.7``."""
    framework, python = _FRAMEWORK.match(name), _PYTHON.search(name)
    said = []
    if framework and framework.group("version"):
        word = framework.group("framework").lower()
        said.append(f"{_PACKAGE.get(word, word)} {framework.group('version').rstrip('.')}")
    if python:
        said.append(f"python {python.group('major')}.{python.group('minor')}")
    return ", ".join(said)


def _said(name: str) -> str:
    """Name and content of one of today's."""
    dependencies = _dependencies(name)
    conda = [package.replace("=", " ") for package in dependencies.conda_packages if conda_name(package) == "python"]
    pip = [package for package in dependencies.pip_packages if not pip_name(package).startswith("azureml-")]
    return f"{name} ({', '.join([*conda, *pip])})"
