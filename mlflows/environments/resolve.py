"""Which python runs a job of the local target: one that is there, or one that has to be made."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from mlflows.environments import requirements
from mlflows.environments.sections import DEFAULT_CPU_IMAGE
from mlflows.exceptions import UserErrorException
from mlflows.spec import EnvironmentSpec

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 30


def resolve_interpreter(spec: EnvironmentSpec) -> str | None:
    """Absolute path of the python that a local job of this environment is started with; None: one has to be made, see builds.

    A given interpreter is checked to exist and to run. With ``user_managed_dependencies`` it is the definition's
    ``interpreterPath``, where SDK v1's default, ``python``, means the one this process runs with. A definition in which there is
    nothing to install, packages of Azure ML aside, takes that one too. Of one that has to be made, everything is checked that can be
    said without asking an index.

    Raises:
        UserErrorException: the interpreter is missing, does not run or is older than 3.6; the environment needs an image; its packages
            cannot be right; it is given by name only.
    """
    if spec.interpreter:
        return _checked(spec.interpreter)
    if not spec.definition:
        _refuse_name_only(spec.name)
        return sys.executable
    _refuse_image(spec)
    requirements.check_base(spec.definition)
    _warn_of_unused_image(spec)
    python = spec.definition.get("python") or {}
    if needs_build(spec.definition):
        requirements.check(spec.definition)
        _refuse_without_solver(spec.definition)
        return None
    if not python.get("userManagedDependencies"):
        _tell_python(spec)
        return sys.executable
    path = python.get("interpreterPath") or "python"
    return sys.executable if path == "python" else _checked(path)


def needs_build(definition: Mapping[str, Any]) -> bool:
    """Whether a local job of this definition needs a python made for it.

    ``azureml-*`` packages do not count: every job has those names from mlflows itself. Nor does a version of python that is asked for
    without any package.

    Raises:
        UserErrorException: the packages are no lists of packages.
    """
    python = definition.get("python") or {}
    if python.get("userManagedDependencies"):
        return False
    requirements.check_form(definition)
    return bool(requirements.packages_to_install(python.get("condaDependencies") or {}))


def _tell_python(spec: EnvironmentSpec) -> None:
    """Which python it is that nothing is installed into, and whether it is the one asked for."""
    request, own = requirements.python_request(spec.definition), "{}.{}.{}".format(*sys.version_info)
    if request is None or _is_met(request):
        logger.info("Environment %r has nothing to install: the script runs on %s.", spec.name, sys.executable)
    elif request in requirements.PYTHON_BY_DEFAULT:
        logger.info(
            "Environment %r has nothing to install: the script runs on %s, python %s (%s is what SDK v1 asks for where nobody does).",
            spec.name,
            sys.executable,
            own,
            request,
        )
    else:
        logger.warning(
            "Environment %r asks for python %s and has nothing to install: the script runs on %s, python %s. Name a package, and the "
            "python asked for is used.",
            spec.name,
            request,
            sys.executable,
            own,
        )


def _is_met(request: str) -> bool:
    """Whether this python is the one asked for, at least by its minor version."""
    own = sys.version_info[:3]
    try:
        wanted = requirements.conditions(request)
    except UserErrorException:
        return False
    return requirements.satisfies(own, wanted) or any(operator in ("=", "==") and version[:2] == own[:2] for operator, version in wanted)


def _refuse_image(spec: EnvironmentSpec) -> None:
    docker = spec.definition.get("docker") or {}
    for key, field in (("baseDockerfile", "docker.base_dockerfile"), ("buildContext", "docker.build_context")):
        if docker.get(key):
            raise UserErrorException(
                f"environment {spec.name!r}: {field} is set, so an image would have to be built, and a run of the target 'local' has no "
                f"container. Set environment.{field} = None and name the packages in environment.python.conda_dependencies."
            )


def _refuse_without_solver(definition: Mapping[str, Any]) -> None:
    missing = requirements.missing_solver(definition)
    if missing:
        from mlflows.environments import builds  # what is known needs no solver; 30 ms that nobody else pays
        from mlflows.environments.digest import digest

        if builds.known(digest(definition, "venv")) is None:
            raise UserErrorException(missing)


def _refuse_name_only(name: str | None) -> None:
    if name:
        raise UserErrorException(
            f"environment: {name!r} is given by name only, and what it stands for is not known here. Give an Environment object."
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
