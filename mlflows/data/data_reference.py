"""DataReference: a path in a datastore, and how a script gets at it."""

from __future__ import annotations

import os
import re
from typing import Any, Protocol

from mlflows.data import globs
from mlflows.exceptions import UserErrorException
from mlflows.spec import JobArgument

MODES = ("mount", "download", "upload")


class HasDatastoreName(Protocol):
    """What a reference needs of its datastore."""

    @property
    def name(self) -> str:
        """The datastore's name."""


class DataReference:
    """A path in a datastore.

    In arguments it stands for the path at which the script finds the data, as ``$AZUREML_DATAREFERENCE_<name>``.

    Args:
        datastore: the datastore.
        data_reference_name: name of the variable; the datastore's name without a path, else made up.
        path_on_datastore: path in it; all of it if none.
        mode: ``mount``, ``download`` or ``upload``.
        path_on_compute: where the script finds the data.
        overwrite: replace what is there.

    Raises:
        UserErrorException: a bad datastore, name, mode or path; ``overwrite`` is neither True nor False.
    """

    def __init__(
        self,
        datastore: HasDatastoreName,
        data_reference_name: str | None = None,
        path_on_datastore: str | None = None,
        mode: str = "mount",
        path_on_compute: str | None = None,
        overwrite: bool = False,
    ) -> None:
        if not isinstance(getattr(datastore, "name", None), str):
            raise UserErrorException(f"datastore: expected a Datastore, got {datastore!r}.")
        if mode not in MODES:
            raise UserErrorException(f"mode: {mode!r} is not one of {', '.join(MODES)}.")
        for field, value in (("path_on_datastore", path_on_datastore), ("path_on_compute", path_on_compute)):
            if value is not None and not isinstance(value, str):
                raise UserErrorException(f"{field}: expected a path, got {value!r}.")
        if not isinstance(overwrite, bool):
            raise UserErrorException(f"overwrite: expected True or False, got {overwrite!r}.")
        _refuse_pattern(path_on_datastore)
        self.datastore = datastore
        self.data_reference_name = _checked_name(data_reference_name) or _name_for(datastore, path_on_datastore)
        self.path_on_datastore = path_on_datastore
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite

    @staticmethod
    def create(data_reference_name: str | None = None, datapath: Any = None, datapath_compute_binding: Any = None) -> DataReference:
        """A reference to the path of a DataPath.

        Args:
            data_reference_name: name of the variable.
            datapath: the DataPath.
            datapath_compute_binding: how the script gets at it; mounted if none.

        Raises:
            ValueError: there is no path, or the binding is none.
        """
        if not hasattr(datapath, "create_data_reference"):
            raise ValueError(f"datapath: expected a DataPath, got {datapath!r}.")
        made: DataReference = datapath.create_data_reference(data_reference_name, datapath_compute_binding)
        return made

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """A reference to a path below this one."""
        parts = [part.strip("/") for part in (self.path_on_datastore, path) if part]
        return DataReference(self.datastore, data_reference_name, "/".join(parts) or None, self.mode, self.path_on_compute, self.overwrite)

    def as_mount(self) -> DataReference:
        """The same, mounted."""
        return self._as("mount", None, False)

    def as_download(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """The same, copied to where the script runs."""
        return self._as("download", path_on_compute, overwrite)

    def as_upload(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """The same, to which what the script writes is copied."""
        return self._as("upload", path_on_compute, overwrite)

    def to_config(self) -> dict[str, Any]:
        """Its section of a run configuration."""
        return {
            "dataStoreName": self.datastore.name,
            "pathOnDataStore": self.path_on_datastore,
            "mode": self.mode,
            "pathOnCompute": self.path_on_compute,
            "overwrite": self.overwrite,
        }

    def _as_job_argument(self) -> JobArgument:
        """See JobArgument.

        Raises:
            UserErrorException: the path leads out of the datastore.
        """
        its = reference_input(self.datastore.name, self.path_on_datastore, self.mode, self.path_on_compute, self.overwrite)
        return JobArgument(str(self), {self.data_reference_name: its}, {}, workspace_of(self.datastore))

    def _as(self, mode: str, path_on_compute: str | None, overwrite: bool) -> DataReference:
        return DataReference(self.datastore, self.data_reference_name, self.path_on_datastore, mode, path_on_compute, overwrite)

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.data_reference_name}"

    def __repr__(self) -> str:
        return f"DataReference({self.datastore.name!r}, {self.data_reference_name!r}, {self.path_on_datastore!r}, mode={self.mode!r})"


def reference_input(datastore: Any, path: Any, mode: Any, path_on_compute: Any, overwrite: Any) -> dict[str, Any]:
    """A path in a datastore as an input of a JobSpec.

    Raises:
        UserErrorException: no datastore, a bad mode, or a path that leads out of the datastore or has a pattern; the message names the
            field.
    """
    if not isinstance(datastore, str) or not datastore:
        raise UserErrorException(f"datastore_name: expected the name of a datastore, got {datastore!r}.")
    if mode not in MODES:
        raise UserErrorException(f"mode: {mode!r} is not one of {', '.join(MODES)}.")
    for field, value in (("path_on_datastore", path), ("path_on_compute", path_on_compute)):
        if value is not None and not isinstance(value, str):
            raise UserErrorException(f"{field}: expected a path, got {value!r}.")
    if not isinstance(overwrite, bool):
        raise UserErrorException(f"overwrite: expected True or False, got {overwrite!r}.")
    _refuse_pattern(path)
    return {
        "kind": "reference",
        "mode": mode,
        "datastore": datastore,
        "path": globs.inside("path_on_datastore", path or "") or None,
        "path_on_compute": path_on_compute or None,
        "overwrite": overwrite,
    }


def workspace_of(datastore: Any) -> str | None:
    """Name of a datastore's workspace."""
    name: str | None = getattr(getattr(datastore, "workspace", None), "name", None)
    return name


def _checked_name(name: str | None) -> str | None:
    if name is not None and (not isinstance(name, str) or not re.fullmatch(r"\w+", name, re.ASCII)):
        raise UserErrorException(f"data_reference_name: {name!r} is not the name of a variable. Use letters, digits and underscores.")
    return name


def _refuse_pattern(path: str | None) -> None:
    if path is not None and globs.has_pattern(path):
        raise UserErrorException(
            f"path_on_datastore: {path!r} has a pattern, and a reference is one file or folder. Give its path, or a dataset: "
            "Dataset.File.from_files((datastore, pattern)) takes patterns."
        )


def _name_for(datastore: HasDatastoreName, path: str | None) -> str:
    return os.urandom(16).hex() if path else datastore.name
