"""DataPath: a path in a datastore, as datasets take it."""

from __future__ import annotations

from typing import Any

from mlflows.data.data_reference import MODES, DataReference
from mlflows.exceptions import UserErrorException


class DataPath:
    """A path in a datastore.

    Args:
        datastore: the datastore.
        path_on_datastore: path or pattern in it; all of it if none.
        name: accepted and kept.

    Raises:
        ValueError: there is no datastore.
        UserErrorException: the datastore or the path is none.
    """

    def __init__(self, datastore: Any = None, path_on_datastore: str | None = None, name: str | None = None) -> None:
        if datastore is None:
            raise ValueError("datastore: None. Give a datastore, for instance workspace.get_default_datastore().")
        if not isinstance(getattr(datastore, "name", None), str):
            raise UserErrorException(f"datastore: expected a Datastore, got {datastore!r}.")
        for field, value in (("path_on_datastore", path_on_datastore), ("name", name)):
            if value is not None and not isinstance(value, str):
                raise UserErrorException(f"{field}: expected text, got {value!r}.")
        self._datastore = datastore
        self._path_on_datastore = path_on_datastore
        self._name = name

    @property
    def datastore_name(self) -> str:
        """Name of the datastore."""
        name: str = self._datastore.name
        return name

    @property
    def path_on_datastore(self) -> str | None:
        """Path in the datastore."""
        return self._path_on_datastore

    def create_data_reference(
        self, data_reference_name: str | None = None, datapath_compute_binding: DataPathComputeBinding | None = None
    ) -> DataReference:
        """A reference to the same path, for a script.

        Raises:
            ValueError: the binding is not one.
        """
        binding = DataPathComputeBinding() if datapath_compute_binding is None else datapath_compute_binding
        if not isinstance(binding, DataPathComputeBinding):
            raise ValueError(f"datapath_compute_binding: expected a DataPathComputeBinding, got {binding!r}.")
        return binding.create_data_reference(data_reference_name, self)

    @staticmethod
    def create_from_data_reference(data_reference: DataReference) -> DataPath:
        """The path that a reference is to.

        Raises:
            ValueError: it is not a reference.
        """
        if not isinstance(data_reference, DataReference):
            raise ValueError(f"data_reference: expected a DataReference, got {data_reference!r}.")
        return DataPath(data_reference.datastore, data_reference.path_on_datastore)

    def __repr__(self) -> str:
        return f"DataPath({self.datastore_name!r}, {self._path_on_datastore!r})"


class DataPathComputeBinding:
    """How a script gets at a DataPath.

    Args:
        mode: ``mount``, ``download`` or ``upload``.
        path_on_compute: where the script finds the data.
        overwrite: replace what is there.

    Raises:
        UserErrorException: a bad mode or path; ``overwrite`` is neither True nor False.
    """

    def __init__(self, mode: str = "mount", path_on_compute: str | None = None, overwrite: bool = False) -> None:
        if mode not in MODES:
            raise UserErrorException(f"mode: {mode!r} is not one of {', '.join(MODES)}.")
        if path_on_compute is not None and not isinstance(path_on_compute, str):
            raise UserErrorException(f"path_on_compute: expected a path, got {path_on_compute!r}.")
        if not isinstance(overwrite, bool):
            raise UserErrorException(f"overwrite: expected True or False, got {overwrite!r}.")
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite

    def create_data_reference(self, data_reference_name: str | None = None, datapath: DataPath | None = None) -> DataReference:
        """A reference to a path, in this way.

        Raises:
            ValueError: there is no path.
        """
        if not isinstance(datapath, DataPath):
            raise ValueError(f"datapath: expected a DataPath, got {datapath!r}.")
        return DataReference(
            datapath._datastore, data_reference_name, datapath.path_on_datastore, self.mode, self.path_on_compute, self.overwrite
        )

    @staticmethod
    def create_from_data_reference(data_reference: DataReference) -> DataPathComputeBinding:
        """The way of a reference.

        Raises:
            ValueError: it is not a reference.
        """
        if not isinstance(data_reference, DataReference):
            raise ValueError(f"data_reference: expected a DataReference, got {data_reference!r}.")
        return DataPathComputeBinding(data_reference.mode, data_reference.path_on_compute, data_reference.overwrite)
