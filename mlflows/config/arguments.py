"""From what a person writes as arguments and command to strings."""

from __future__ import annotations

import numbers
import os
import re
import shlex
from dataclasses import dataclass, field
from typing import Any

from mlflows.exceptions import UserErrorException
from mlflows.spec import JobArgument

_EXPANDED_NAMES = r"(?:AZUREML_\w+|AZ_BATCH\w+|OMPI_COMM_WORLD_\w+|MASTER_ADDR|MASTER_PORT|WORLD_SIZE|NODE_RANK|RANK|LOCAL_RANK)"
_EXPANDED = re.compile(rf"(\${_EXPANDED_NAMES}\b|\$\{{{_EXPANDED_NAMES}\}})")


@dataclass
class Program:
    """Arguments or command as strings, and the named inputs and outputs found among them."""

    arguments: list[str] = field(default_factory=list)
    command: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


def split_arguments(arguments: Any) -> list[Any]:
    """Arguments as a list: a list as it is, the same object; a string split as a shell would.

    Raises:
        UserErrorException: it is neither, or a string with an open quote.
    """
    if isinstance(arguments, list):
        return arguments
    if arguments is None:
        return []
    if isinstance(arguments, tuple):
        return list(arguments)
    if not isinstance(arguments, str):
        raise UserErrorException(f"arguments: expected a list or a string, got {type(arguments).__name__}: {arguments!r}.")
    try:
        return shlex.split(arguments)
    except ValueError as error:
        raise UserErrorException(f"arguments: {arguments!r} cannot be split: {error}. Give a list.", error) from error


def freeze_program(arguments: list[Any], command: str | list[Any] | None) -> Program:
    """The strings to start a script with, or the text of the shell command.

    A command list is joined by single spaces, nothing being quoted, as SDK v1 does; arguments beside a command are appended to it,
    each quoted for the shell. An object that stands for data has a method ``_as_job_argument()``, which returns the ``JobArgument``
    that takes its place.

    Raises:
        UserErrorException: an element that is no str, int, float, bool, path or such an object; it is named with its position.
    """
    program = Program()
    program.arguments = [_text(program, f"arguments[{index}]", value) for index, value in enumerate(arguments)]
    if command:
        parts = [command] if isinstance(command, str) else command
        if not isinstance(parts, list):
            raise UserErrorException(f"command: expected a string or a list, got {type(command).__name__}: {command!r}.")
        texts = [_text(program, f"command[{index}]", value) for index, value in enumerate(parts)]
        program.command = " ".join([*texts, *map(quote, program.arguments)])
        program.arguments = []
    return program


def quote(argument: str) -> str:
    """``argument`` for a shell; only the variables that are expanded in a script's arguments too stay variables."""
    pieces = _EXPANDED.split(argument)
    if len(pieces) == 1:
        return shlex.quote(argument)
    return "".join(f'"{piece}"' if index % 2 else shlex.quote(piece) for index, piece in enumerate(pieces) if piece)


def _text(program: Program, place: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, numbers.Real):  # int, float, bool and numpy's scalars
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    stand_in = getattr(value, "_as_job_argument", None)
    if stand_in is None:
        raise UserErrorException(_wrong_element(place, value))
    argument: JobArgument = stand_in()
    program.inputs.update(argument.inputs)
    program.outputs.update(argument.outputs)
    return argument.text


def _wrong_element(place: str, value: Any) -> str:
    if value is None:
        return f"{place}: None cannot be an argument. Leave the element out, or give a string."
    if "Dataset" in type(value).__name__ and "Config" not in type(value).__name__:
        return f"{place}: a {type(value).__name__} cannot be an argument. Give dataset.as_named_input('name').as_mount(), or a path."
    if "Dataset" in type(value).__name__:
        return (
            f"{place}: runs with a {type(value).__name__} as input are not available in this version yet. Give the script a path, for "
            "instance that of a folder that dataset.download(folder) has filled."
        )
    return f"{place}: a {type(value).__name__} cannot be an argument: {value!r}. Give a string, a number or a path."
