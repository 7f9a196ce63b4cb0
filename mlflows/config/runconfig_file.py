"""Run configurations as files: ``.azureml/<name>.runconfig``, YAML."""

from __future__ import annotations

import os
from typing import Any

from mlflows.exceptions import UserErrorException

FOLDERS = (".azureml", "aml_config")
"""Where files are looked for, the first one found being used; new ones go to the first."""
SUFFIX = ".runconfig"
ENVIRONMENT_FILE = "environment.yml"


def to_write(path: str | os.PathLike[str], name: str | None) -> str:
    """The file to write for a folder and a name, or for the file that ``path`` itself is.

    Raises:
        FileNotFoundError: the folder does not exist.
        UserErrorException: ``path`` is a folder and there is no name.
    """
    path = os.path.abspath(path)
    if _is_file_name(path):
        _require_folder(os.path.dirname(path))
        return path
    _require_folder(path)
    if not name:
        raise UserErrorException(f"name: a run configuration needs one to be saved in {path}. Give save(path, name='...').")
    existing = [folder for folder in FOLDERS if os.path.isdir(os.path.join(path, folder))]
    return os.path.join(path, (existing or FOLDERS)[0], name + SUFFIX)


def to_read(path: str | os.PathLike[str], name: str | None) -> str:
    """The file of a folder and a name, or the file that ``path`` itself is.

    Raises:
        UserErrorException: there is no such file.
    """
    path = os.path.abspath(path)
    if os.path.isfile(path):
        return path
    if not name:
        raise UserErrorException(f"name: there is no file {path}; for a folder give the name of the run configuration too.")
    candidates = [os.path.join(path, folder, name + SUFFIX) for folder in (*FOLDERS, "")]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise UserErrorException(f"name: there is no run configuration {name!r} in {path}. Looked for {', '.join(candidates)}.")


def place(file: str) -> tuple[str, str]:
    """Folder and name that a file stands for."""
    folder, base = os.path.split(file)
    if os.path.basename(folder) in FOLDERS:
        folder = os.path.dirname(folder)
    return folder, os.path.splitext(base)[0]


def write(file: str, value: dict[str, Any], separate_environment: bool) -> None:
    """Write a configuration; its environment to ``environment.yml`` beside it if asked to."""
    os.makedirs(os.path.dirname(file), exist_ok=True)
    if separate_environment:
        _dump(os.path.join(os.path.dirname(file), ENVIRONMENT_FILE), value["environment"])
        value = {**value, "environment": ENVIRONMENT_FILE}
    _dump(file, value)


def read(file: str) -> dict[str, Any]:
    """A configuration as a dictionary, with an environment or conda file it names put in its place.

    Raises:
        UserErrorException: a file is missing, is not YAML or not a mapping.
    """
    value = _load(file)
    if isinstance(value.get("environment"), str):
        value["environment"] = _load(_beside(file, value["environment"], "environment"))
    python = (value.get("environment") or {}).get("python") or {}
    conda_file = python.get("condaDependenciesFile")
    if conda_file and not python.get("condaDependencies"):
        python["condaDependenciesFile"] = _beside(file, conda_file, "environment.python.condaDependenciesFile")
    return value


def _beside(file: str, relative: str, field: str) -> str:
    folder = os.path.dirname(file)
    candidates = [os.path.join(base, relative) for base in (folder, os.path.dirname(folder), os.getcwd())]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise UserErrorException(f"{field}: {relative!r}, named in {file}, does not exist. Looked for {', '.join(candidates)}.")


def _load(file: str) -> dict[str, Any]:
    import yaml  # only those who use files need it

    try:
        with open(file, encoding="utf-8") as stream:
            value = yaml.safe_load(stream)
    except yaml.YAMLError as error:
        raise UserErrorException(f"{file} is not YAML: {error}.", error) from error
    if not isinstance(value, dict):
        raise UserErrorException(f"{file} is not a run configuration: expected a mapping, got {type(value).__name__}.")
    return value


def _dump(file: str, value: dict[str, Any]) -> None:
    import yaml

    with open(file, "w", encoding="utf-8") as stream:
        yaml.safe_dump(value, stream, sort_keys=False, default_flow_style=False)


def _is_file_name(path: str) -> bool:
    return path.endswith((SUFFIX, ".yml", ".yaml")) and not os.path.isdir(path)


def _require_folder(folder: str) -> None:
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"path: the folder {folder} does not exist.")
