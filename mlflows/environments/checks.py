"""Whether an environment, and what its constructors are given, has values of the right types: one table of what is expected where."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.credentials import masked
from mlflows.environments.sections import ContainerRegistry, DockerBuildContext, DockerPlatform, DockerSection, PythonSection
from mlflows.exceptions import UserErrorException

if TYPE_CHECKING:
    from mlflows.environments.environment import Environment

Types = tuple[type, ...]

_TEXT: Types = (str, type(None))
_PATH: Types = (str, os.PathLike, type(None))
_FLAG: Types = (bool, int, type(None))
_FIELDS: tuple[tuple[str, Types, str, str], ...] = (
    ("name", _TEXT, "a string", "Give for instance 'training'."),
    ("version", _TEXT, "a string", "Give for instance '3', or None."),
    ("environment_variables", (Mapping, type(None)), "a dict of names and values", "Write for instance {'LEVEL': '3'}."),
    ("inferencing_stack_version", _TEXT, "a string", "Set it to None: it has no effect here."),
    ("python", (PythonSection,), "a PythonSection", "Set its attributes, such as environment.python.conda_dependencies."),
    ("python.user_managed_dependencies", _FLAG, "True or False", "Set it to one of them."),
    ("python.interpreter_path", _PATH, "the path of a python", "Give for instance '/usr/bin/python3'."),
    ("python.base_conda_environment", _TEXT, "a string", "Set it to None."),
    ("python.conda_dependencies", (CondaDependencies, type(None)), "CondaDependencies", "Read a file with CondaDependencies('path')."),
    ("docker", (DockerSection,), "a DockerSection", "Set its attributes, such as environment.docker.base_image."),
    ("docker.base_image", _TEXT, "the name of an image", "Give for instance 'python:3.11-slim'."),
    ("docker.base_dockerfile", _TEXT, "the text of a Dockerfile", "A file is read by Environment.from_dockerfile(name, path)."),
    (
        "docker.build_context",
        (DockerBuildContext, type(None)),
        "a DockerBuildContext",
        "Make one with DockerBuildContext.from_local_directory.",
    ),
    ("docker.build_context.location_type", _TEXT, "a string", "Make it with DockerBuildContext.from_local_directory."),
    ("docker.build_context.location", _PATH, "the path of a folder", "Make it with DockerBuildContext.from_local_directory."),
    ("docker.build_context.dockerfile_path", _PATH, "the path of a file in the folder", "Give for instance 'Dockerfile'."),
    ("docker.platform", (DockerPlatform, type(None)), "a DockerPlatform", "Give for instance DockerPlatform('Linux', 'amd64')."),
    ("docker.platform.os", _TEXT, "the name of a system", "Give for instance 'Linux'."),
    ("docker.platform.architecture", _TEXT, "the name of an architecture", "Give for instance 'amd64'."),
    (
        "docker.base_image_registry",
        (ContainerRegistry, type(None)),
        "a ContainerRegistry",
        "Set its attributes, such as environment.docker.base_image_registry.address.",
    ),
    ("docker.base_image_registry.address", _TEXT, "the address of a registry", "Give for instance 'registry.example.org'."),
    ("docker.base_image_registry.username", _TEXT, "a string", "Give a name, or None."),
    ("docker.base_image_registry.password", _TEXT, "a string", "Give a reference to a Secret block, or None."),
)
"""Attribute, its types, what they are in words, the remedy. A section stands before what is in it."""


def check_types(environment: Environment) -> None:
    """That every attribute has a value of its type.

    Raises:
        UserErrorException: one has not.
    """
    for field, types, expected, remedy in _FIELDS:
        value: Any = environment
        for name in field.split("."):
            value = None if value is None else getattr(value, name)
        _check(f"environment.{field}", value, types, expected, remedy, value_is_shown=not field.endswith("password"))
    for name, value in (environment.environment_variables or {}).items():
        if isinstance(name, str) and not isinstance(value, (str, int, float, os.PathLike)):
            raise UserErrorException(
                f"environment_variables[{name!r}]: expected a string or a number, got a {type(value).__name__}. Write it as a string."
            )


def check_text(field: str, value: object, expected: str, remedy: str) -> None:
    """That an argument is a string, and not an empty one.

    Raises:
        UserErrorException: it is not.
    """
    _check(field, value, (str,), expected, remedy, may_be_empty=False)


def check_path(field: str, value: object, remedy: str) -> None:
    """That an argument is a path: a number would be taken for a file that is open already.

    Raises:
        UserErrorException: it is not.
    """
    _check(field, value, (str, os.PathLike), "a path", remedy, may_be_empty=False)


def check_instance(field: str, value: object, kind: type, remedy: str) -> None:
    """That an argument is an object of a class.

    Raises:
        UserErrorException: it is not.
    """
    _check(field, value, (kind,), f"a {kind.__name__}", remedy)


def _check(
    field: str, value: object, types: Types, expected: str, remedy: str, *, value_is_shown: bool = True, may_be_empty: bool = True
) -> None:
    if isinstance(value, types) and (may_be_empty or value != ""):
        return
    shown = f": {masked(repr(value))[:200]}" if value_is_shown else ""
    raise UserErrorException(f"{field}: expected {expected}, got {type(value).__name__}{shown}. {remedy}")
