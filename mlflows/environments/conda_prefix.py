"""A conda environment: solved and linked by py-rattler (extra ``conda``), its pip packages installed by uv."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflows.environments import requirements, venv
from mlflows.environments.conda_dependencies import conda_name
from mlflows.environments.work import EnvironmentBuildError, Resolve, Work

FOLDER = "prefix"
DEFAULT_CHANNELS = ("conda-forge",)
"""Where none is given."""
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
"""What conda means by the channel ``defaults``."""


def interpreter_in(folder: Path) -> Path:
    """The python of the environment made in a folder."""
    return folder / FOLDER / "bin" / "python"


def build(work: Work, definition: Mapping[str, Any], resolve: Resolve | None) -> Path:
    """Make ``prefix/`` in the work's folder.

    Solving takes a process of its own, which can be ended, and which keeps the solver's 80 MB out of this one.

    Returns:
        Its python.

    Raises:
        EnvironmentBuildError: what could not be solved or installed, and why; the extra is not installed.
        BuildStopped: see Work.run.
    """
    missing = requirements.missing_solver(definition)
    if missing:
        raise EnvironmentBuildError(missing)
    solve(work, definition, resolve)
    target = interpreter_in(work.folder)
    if not target.exists():
        named = ", ".join(channels_of(definition, work.environment))
        raise EnvironmentBuildError(f"the package python of {named} has no bin/python. Use another channel.")
    add_pip_packages(work, definition, resolve)
    return target


def solve(work: Work, definition: Mapping[str, Any], resolve: Resolve | None) -> None:
    """Solve the conda packages, and link them into ``prefix/``; errors as build's."""
    specs, channels = specs_of(definition), channels_of(definition, work.environment)
    work.say(f"Solving {', '.join(specs)} from {', '.join(channels)}")
    secrets: list[str] = []
    asked = {
        "prefix": str(work.folder / FOLDER),
        "channels": [venv.revealed(channel, _noting(resolve, secrets), work) for channel in channels],
        "specs": specs,
        "alias": channel_alias(work.environment),
        "hidden": secrets,
    }
    source = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (source, work.environment.get("PYTHONPATH", "")) if part)
    command = [sys.executable, "-m", "mlflows.environments.conda_solver"]
    code, output = work.run(command, {"PYTHONPATH": path}, json.dumps(asked))
    if code != 0:
        raise EnvironmentBuildError(f"the conda packages cannot be installed: {_reason(output)} Change {requirements.FIELD}.")


def add_pip_packages(work: Work, definition: Mapping[str, Any], resolve: Resolve | None) -> None:
    """Install what the definition asks pip for into ``prefix/``; errors as build's."""
    target, lines, variables = interpreter_in(work.folder), requirements.pip_lines(definition), venv.uv_variables(work)
    venv.install(work, target, lines, resolve, variables)
    venv.add_pip(work, target, lines, resolve, variables)  # conda adds it to every python, the solver does not


def specs_of(definition: Mapping[str, Any]) -> list[str]:
    """What the solver is asked for: the conda packages, python among them."""
    specs = requirements.conda_packages(definition)
    return specs if any(conda_name(spec) == "python" for spec in specs) else ["python", *specs]


def channel_alias(environment: Mapping[str, str] = os.environ) -> str:
    """Where channels are that are given by name."""
    return str(_setting("channel_alias", environment) or "https://conda.anaconda.org/")


def channels_of(definition: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Channels as addresses or names, the strongest first; ``defaults`` is what conda is configured to mean by it."""
    found: list[str] = []
    for channel in requirements.channels(definition) or _setting("channels", environment) or DEFAULT_CHANNELS:
        if channel in ("defaults", "default"):
            found += _setting("default_channels", environment) or _DEFAULTS
        elif channel != "nodefaults":
            found.append(channel)
    return list(dict.fromkeys(found))


def _setting(name: str, environment: Mapping[str, str]) -> Any:
    """A setting of conda's, from its variable or the person's ``.condarc``; None if there is none."""
    value = environment.get(f"CONDA_{name.upper()}")
    if value:
        return value if name == "channel_alias" else value.split(",")
    path = Path(environment.get("CONDARC") or Path(environment.get("HOME") or Path.home()) / ".condarc")
    if not path.is_file():
        return None
    import yaml  # only where conda is configured

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError):
        return None
    return settings.get(name) if isinstance(settings, dict) else None


def _noting(resolve: Resolve | None, secrets: list[str]) -> Resolve | None:
    if resolve is None:
        return None

    def resolved(name: str) -> str:
        secrets.append(resolve(name))
        return secrets[-1]

    return resolved


def _reason(output: str, most: int = 1500) -> str:
    """What the solver said, in one paragraph."""
    lines = output.splitlines()
    first = next((index for index, line in enumerate(lines) if line.startswith("error: ")), max(0, len(lines) - 10))
    text = " ".join(re.sub("[│├└─]", "", " ".join(lines[first:]).removeprefix("error: ")).split())
    return (text if len(text) <= most else text[:most] + " ...").rstrip(".") + "."
