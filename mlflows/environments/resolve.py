"""Which python runs a job of the local target."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from mlflows.environments.conda_dependencies import CondaDependencies, conda_name, pip_name
from mlflows.environments.sections import DEFAULT_CPU_IMAGE
from mlflows.exceptions import UserErrorException
from mlflows.spec import EnvironmentSpec

logger = logging.getLogger(__name__)

USE_INSTEAD = (
    "Use environment.python.user_managed_dependencies = True and environment.python.interpreter_path = the python of an environment "
    "that has these packages."
)
_NOT_YET = "Building environments is not available in this version yet."
_PART_OF_ANY_PYTHON = frozenset({"python", "pip", "setuptools", "wheel"})
_CHECK_SECONDS = 30


def resolve_interpreter(spec: EnvironmentSpec) -> str:
    """Absolute path of the python that a local job of this environment is started with.

    A given interpreter is checked to exist and to run. With ``user_managed_dependencies`` it is the definition's
    ``interpreterPath``, where SDK v1's default, ``python``, means the one this process runs with. A definition in which there is
    nothing to install, packages of Azure ML aside, takes that one too.

    Raises:
        UserErrorException: the interpreter is missing, does not run or is older than 3.6; the environment needs a build; it is given
            by name only.
    """
    if spec.interpreter:
        return _checked(spec.interpreter)
    if not spec.definition:
        _refuse_name_only(spec.name)
        return sys.executable
    reason = build_needed(spec.definition)
    if reason:
        raise UserErrorException(f"environment {spec.name!r}: {reason} {_NOT_YET} {USE_INSTEAD}")
    _warn_of_unused_image(spec)
    python = spec.definition.get("python") or {}
    if not python.get("userManagedDependencies"):
        logger.info("Environment %r has nothing to install: the script runs on %s.", spec.name, sys.executable)
        return sys.executable
    path = python.get("interpreterPath") or "python"
    return sys.executable if path == "python" else _checked(path)


def build_needed(definition: Mapping[str, Any]) -> str | None:
    """Why a local job of this definition would need something built, as a sentence; None if it does not.

    ``azureml-*`` packages do not count: every job has those names from mlflows itself.
    """
    docker = definition.get("docker") or {}
    for key, name in (("baseDockerfile", "docker.base_dockerfile"), ("buildContext", "docker.build_context")):
        if docker.get(key):
            return f"{name} is set, so an image would have to be built."
    python = definition.get("python") or {}
    if python.get("userManagedDependencies"):
        return None
    if python.get("baseCondaEnvironment"):
        return "python.base_conda_environment is set, so packages would have to be installed on top of it."
    packages = packages_to_install(python.get("condaDependencies") or {})
    return f"the packages {', '.join(packages)} would have to be installed." if packages else None


def packages_to_install(conda_specification: Mapping[str, Any]) -> list[str]:
    """Packages of a conda specification that neither mlflows nor any python brings."""
    dependencies = CondaDependencies(_underlying_structure=conda_specification)
    conda = [package for package in dependencies.conda_packages if not _is_brought(conda_name(package))]
    return conda + [package for package in dependencies.pip_packages if not _is_brought(pip_name(package))]


def _is_brought(name: str) -> bool:
    return name in _PART_OF_ANY_PYTHON or name == "azureml" or name.startswith("azureml-")


def _refuse_name_only(name: str | None) -> None:
    if name:
        raise UserErrorException(
            f"environment: {name!r} is given by name only. Looking up registered environments is not available in this version yet. "
            "Give an Environment object."
        )


def _warn_of_unused_image(spec: EnvironmentSpec) -> None:
    image = (spec.definition.get("docker") or {}).get("baseImage")
    if image and image != DEFAULT_CPU_IMAGE:
        logger.warning("Environment %r: the image %s is not used, a local run has no container.", spec.name, image)


def _checked(path: str) -> str:
    found = _find(path)
    if found == sys.executable:
        return found
    if found is None or not os.path.isfile(found):
        raise UserErrorException(_message(path, "there is no such file."))
    if not os.access(found, os.X_OK):
        raise UserErrorException(_message(path, f"{found} is not executable."))
    _run(path, found)
    return found


def _find(path: str) -> str | None:
    if os.sep in path:
        return os.path.abspath(path)
    import shutil  # brings three compression libraries

    found = shutil.which(path)
    return os.path.abspath(found) if found else None


def _run(path: str, found: str) -> None:
    import subprocess  # 10 ms that a submit with the current python does not need

    code = "import sys; print(sys.version.split()[0]); sys.exit(sys.version_info < (3, 6))"
    try:
        done = subprocess.run([found, "-E", "-S", "-c", code], capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserErrorException(_message(path, f"{found} does not run: {error}."), error) from error
    version = done.stdout.strip()
    if done.returncode == 0 and re.match(r"\d+\.\d+", version):
        return
    if re.match(r"\d+\.\d+", version):
        raise UserErrorException(_message(path, f"{found} is Python {version}, at least 3.6 is needed."))
    error_text = done.stderr.strip()[-300:]
    raise UserErrorException(_message(path, f"{found} is not a Python that runs (exit code {done.returncode}): {error_text}"))


def _message(path: str, problem: str) -> str:
    return f"environment.python.interpreter_path: {path!r}: {problem} Give the path of a python that exists on this machine."
