"""The folder with the code and the script in it."""

from __future__ import annotations

import os
from typing import Any

from mlflows.environments.element import nearest
from mlflows.exceptions import ExperimentExecutionException, UserErrorException


def check_source_directory(source_directory: Any) -> str:
    """The folder's absolute path.

    Raises:
        UserErrorException: it is not the path of a folder that exists.
    """
    if not isinstance(source_directory, (str, os.PathLike)) or not os.fspath(source_directory):
        raise UserErrorException(f"source_directory: expected the path of a folder, got {source_directory!r}. Use '.' for this folder.")
    path = os.path.abspath(os.fspath(source_directory))
    if os.path.isdir(path):
        return path
    if os.path.exists(path):
        raise UserErrorException(f"source_directory: {path} is not a folder. Give the folder, and the file in it as script.")
    raise UserErrorException(f"source_directory: the folder {path} does not exist. Give the folder with the script.")


def check_script(folder: str, script: Any) -> str:
    """The script's path relative to the folder.

    Raises:
        ExperimentExecutionException: there is no such file in the folder.
        UserErrorException: it is not a path.
    """
    if not isinstance(script, (str, os.PathLike)):
        raise UserErrorException(f"script: expected the path of a file in source_directory, got {script!r}.")
    given = os.fspath(script)
    path = os.path.normpath(os.path.join(folder, given))
    if not _inside(folder, path):
        raise ExperimentExecutionException(
            f"script: {given!r} is not inside the source_directory {folder}. Move it there, or give a folder that contains it."
        )
    if os.path.isdir(path):
        raise ExperimentExecutionException(f"script: {given!r} is a folder in {folder}. Give a file in it.")
    if not os.path.isfile(path):
        raise ExperimentExecutionException(
            f"script: {given!r} does not exist in the source_directory {folder}. Give its path in that folder.{_hint(folder, given)}"
        )
    return os.path.relpath(path, folder)


def _inside(folder: str, path: str) -> bool:
    return os.path.commonpath([folder, path]) == folder and path != folder


def _hint(folder: str, script: str) -> str:
    from_here = os.path.abspath(script)
    if os.path.isfile(from_here) and _inside(folder, from_here):
        return f" Did you mean {os.path.relpath(from_here, folder)!r}?"
    return nearest(script, [name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))])
