"""From what a person writes as arguments and command to strings, and to the inputs and outputs among them."""

from __future__ import annotations

import numbers
import os
import re
import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from mlflows.exceptions import UserErrorException
from mlflows.spec import JobArgument

_EXPANDED_NAMES = r"(?:AZUREML_\w+|AZ_BATCH\w+|OMPI_COMM_WORLD_\w+|MASTER_ADDR|MASTER_PORT|WORLD_SIZE|NODE_RANK|RANK|LOCAL_RANK)"
_EXPANDED = re.compile(rf"(\${_EXPANDED_NAMES}\b|\$\{{{_EXPANDED_NAMES}\}})")

_PLACEHOLDER = re.compile(r"\b(DatasetConsumptionConfig|DatasetOutputConfig):(\w+)")
"""What SDK v1 puts in the place of an input or output; some write it themselves, beside run_config.data."""

_NAME = re.compile(r"\w+", re.ASCII)
_TAKEN = re.compile(
    r"(AZUREML|AZ_BATCH|MLFLOW|OMPI_|PMIX?_|PREFECT_|PYTHON|LD_|NCCL_|CUDA_|BASH_).*"
    r"|PATH|HOME|PWD|USER|SHELL|TMPDIR|TERM|LANG|TZ|ENV|IFS|CDPATH|VIRTUAL_ENV|CONDA_PREFIX"
    r"|MASTER_ADDR|MASTER_PORT|WORLD_SIZE|NODE_RANK|RANK|LOCAL_RANK|LOCAL_WORLD_SIZE|TF_CONFIG"
)


def is_taken(name: str) -> bool:
    """Whether a script, its interpreter or its shell needs the variable of this name for something else than an input or output."""
    return bool(_TAKEN.fullmatch(name))


@dataclass
class RunData:
    """The named inputs and outputs of a run, from wherever a person has written them.

    Attributes:
        workspace: name of the run's workspace.
        variables: names of the variables that the environment sets.
    """

    workspace: str | None = None
    variables: Collection[str] = ()
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    def take(self, place: str, make: Callable[[], JobArgument]) -> str:
        """Add what ``make`` returns; its text.

        Raises:
            UserErrorException: it cannot be made; its name is another's, or a variable's that is needed; it is of another workspace. The
                message begins with ``place``.
        """
        try:
            argument = make()
        except UserErrorException as error:
            raise UserErrorException(f"{place}: {error.message}", error) from error
        if argument.workspace not in (None, self.workspace) and self.workspace is not None:
            raise UserErrorException(
                f"{place}: its datastore is of workspace {argument.workspace!r}, and the run is of {self.workspace!r}. Take a datastore of "
                f"{self.workspace!r}, or submit to an experiment of {argument.workspace!r}."
            )
        self._add(place, "input", argument.inputs, self.inputs, self.outputs)
        self._add(place, "output", argument.outputs, self.outputs, self.inputs)
        return argument.text

    def _add(self, place: str, word: str, new: dict[str, Any], there: dict[str, Any], others: dict[str, Any]) -> None:
        for name, its in new.items():
            self._check_name(place, word, name)
            if name in others:
                raise UserErrorException(f"{place}: {name!r} is the name of an input and of an output. Give one of them another name.")
            if there.setdefault(name, its) != its:
                raise UserErrorException(
                    f"{place}: there are two different {word}s of the name {name!r}. Give one of them another name"
                    + (", for instance with dataset.as_named_input('other')." if word == "input" else ".")
                )

    def _check_name(self, place: str, word: str, name: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserErrorException(f"{place}: {name!r} cannot be the name of an {word}. Use letters, digits and underscores.")
        if is_taken(name):
            raise UserErrorException(
                f"{place}: an {word} of the name {name!r} would replace the variable {name}, which the script needs. Give it another name, "
                f"for instance {'my_' + name.lower()!r}."
            )
        if name in self.variables:
            raise UserErrorException(
                f"{place}: {name!r} is the name of an {word}, and environment_variables sets {name}. Give one of them another name."
            )


@dataclass
class Program:
    """Arguments or command as strings."""

    arguments: list[str] = field(default_factory=list)
    command: str | None = None


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


def freeze_program(arguments: list[Any], command: str | list[Any] | None, data: RunData) -> Program:
    """The strings to start a script with, or the text of the shell command. Inputs and outputs among them are added to ``data``.

    A command list is joined by single spaces, nothing being quoted, as SDK v1 does, but for the paths of data; arguments beside a
    command are appended to it, each quoted for the shell. An object that stands for data has a method ``_as_job_argument()``, which
    returns the ``JobArgument`` that takes its place.

    Raises:
        UserErrorException: an element that is no str, int, float, bool, path or such an object; it is named with its position. For what
            can be wrong with data see RunData.take.
    """
    texts = [_text(data, f"arguments[{index}]", value) for index, value in enumerate(arguments)]
    if not command:
        return Program([_filled_in(data, f"arguments[{index}]", text, "{}") for index, text in enumerate(texts)])
    parts = [command] if isinstance(command, str) else command
    if not isinstance(parts, list):
        raise UserErrorException(f"command: expected a string or a list, got {type(command).__name__}: {command!r}.")
    pieces = [_text(data, f"command[{index}]", value, '"{}"') for index, value in enumerate(parts)]
    pieces = [_filled_in(data, f"command[{index}]", piece, '"{}"') for index, piece in enumerate(pieces)]
    appended = [quote(_filled_in(data, f"arguments[{index}]", text, "{}")) for index, text in enumerate(texts)]
    return Program(command=" ".join([*pieces, *appended]))


def quote(argument: str) -> str:
    """``argument`` for a shell; only the variables that are expanded in a script's arguments too stay variables."""
    pieces = _EXPANDED.split(argument)
    if len(pieces) == 1:
        return shlex.quote(argument)
    return "".join(f'"{piece}"' if index % 2 else shlex.quote(piece) for index, piece in enumerate(pieces) if piece)


def _text(data: RunData, place: str, value: Any, form: str = "{}") -> str:
    """``form``: how a path of data is written."""
    if isinstance(value, str):
        return value
    if isinstance(value, numbers.Real):  # int, float, bool and numpy's scalars
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    stand_in = getattr(value, "_as_job_argument", None)
    if stand_in is None:
        raise UserErrorException(_wrong_element(place, value))
    return form.format(data.take(place, stand_in))


def _filled_in(data: RunData, place: str, text: str, form: str) -> str:
    """With paths for placeholders of inputs and outputs; only now all of these are known."""
    if "Dataset" not in text:
        return text

    def path(found: re.Match[str]) -> str:
        if found[2] not in (data.inputs if found[1] == "DatasetConsumptionConfig" else data.outputs):
            names = ", ".join([*data.inputs, *data.outputs]) or "none"
            raise UserErrorException(f"{place}: {found[0]!r}: the run has no input or output of this name. There are: {names}.")
        return form.format(f"$AZUREML_DATAREFERENCE_{found[2]}")

    return _PLACEHOLDER.sub(path, text)


def _wrong_element(place: str, value: Any) -> str:
    if value is None:
        return f"{place}: None cannot be an argument. Leave the element out, or give a string."
    kind = type(value).__name__
    if kind in ("Data", "OutputData", "DataReferenceConfiguration"):
        field = {"Data": "data", "OutputData": "output_data"}.get(kind, "data_references")
        return f"{place}: a {kind} cannot be an argument. Put it into run_config.{field}['name'], and give $AZUREML_DATAREFERENCE_name."
    if "Dataset" in kind:
        return f"{place}: a {kind} cannot be an argument. Give dataset.as_named_input('name').as_mount(), or a path."
    return f"{place}: a {kind} cannot be an argument: {value!r}. Give a string, a number or a path."
