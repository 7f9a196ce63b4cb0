"""DataReference: a path in a datastore, and how a script gets at it."""

from __future__ import annotations

import os
import re
from typing import Any, Protocol

from mlflows.exceptions import UserErrorException

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
        UserErrorException: a bad mode or name.
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
        self.datastore = datastore
        self.data_reference_name = _checked_name(data_reference_name) or _name_for(datastore, path_on_datastore)
        self.path_on_datastore = path_on_datastore
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite

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

    def _as(self, mode: str, path_on_compute: str | None, overwrite: bool) -> DataReference:
        return DataReference(self.datastore, self.data_reference_name, self.path_on_datastore, mode, path_on_compute, overwrite)

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.data_reference_name}"

    def __repr__(self) -> str:
        return f"DataReference({self.datastore.name!r}, {self.data_reference_name!r}, {self.path_on_datastore!r}, mode={self.mode!r})"


def _checked_name(name: str | None) -> str | None:
    if name is not None and (not isinstance(name, str) or not re.fullmatch(r"\w+", name)):
        raise UserErrorException(f"data_reference_name: {name!r} is not the name of a variable. Use letters, digits and underscores.")
    return name


def _name_for(datastore: HasDatastoreName, path: str | None) -> str:
    return os.urandom(16).hex() if path else datastore.name
