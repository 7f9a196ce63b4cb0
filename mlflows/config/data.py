"""The data sections of a run configuration, as inputs and outputs of a JobSpec."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from mlflows.config.arguments import RunData
from mlflows.config.run_configuration import RunConfiguration
from mlflows.config.sections import Data, DataReferenceConfiguration, OutputData
from mlflows.data import globs
from mlflows.data.abstract_dataset import AbstractDataset, HasPrefect
from mlflows.data.data_reference import DataReference, reference_input
from mlflows.data.dataset_consumption_config import MODES, DatasetConsumptionConfig
from mlflows.data.datastore import Datastore
from mlflows.data.output_dataset_config import OutputDatasetConfig, OutputFileDatasetConfig
from mlflows.data.resolving import dataset_of
from mlflows.environments.element import Element
from mlflows.exceptions import UserErrorException
from mlflows.spec import JobArgument

logger = logging.getLogger(__name__)

MODEL_LOCATION = "MODEL_LOCATION"
"""SDK v1's name of what a run goes on from."""

_MOST_NAMED = 10


class _Named(NamedTuple):
    """A datastore of which no more is known."""

    name: str


def add(data: RunData, run_config: RunConfiguration, lookup: HasPrefect | None) -> None:
    """Add ``data_references``, ``data`` and ``output_data``.

    Args:
        data: where to.
        run_config: the run configuration; it is not changed.
        lookup: the workspace in which datasets and datastores are looked up that are there by name or id only.

    Raises:
        UserErrorException: a section of a wrong type or value, or data that is not there; the message names the section and the entry.
        ServiceException: the Prefect server refuses, or does not answer.
    """
    kinds = {"data_references": _reference, "data": _data, "output_data": _output}
    for field, make in kinds.items():
        section = getattr(run_config, field)
        if not isinstance(section, Mapping):
            raise UserErrorException(f"{field}: expected a dict of names and sections, got {type(section).__name__}: {section!r}.")
        for name, value in section.items():
            data.take(f"{field}[{name!r}]", lambda: make(name, value, lookup))  # noqa: B023 - called at once


def add_previous(data: RunData, run: Any, path: str) -> None:
    """Add the files of an earlier run that this one goes on from.

    Raises:
        UserErrorException: the run has no such files.
    """
    wanted = globs.inside("resume_from", path)
    files = run.get_file_names()
    if not any(file == wanted or file.startswith(wanted + "/") for file in files):
        raise UserErrorException(
            f"resume_from: run {run.id} has no file {wanted!r}, and none below it. Its files: {', '.join(files[:_MOST_NAMED]) or 'none'}. "
            "Wait until it has ended, or give (run, 'path of a file or folder')."
        )
    its = {"kind": "run_outputs", "run_id": run.id, "path": wanted, "mode": "download"}
    data.take("resume_from", lambda: JobArgument("", {MODEL_LOCATION: its}))


def _reference(name: str, value: Any, lookup: HasPrefect | None) -> JobArgument:
    if isinstance(value, DataReference):
        return _renamed(value._as_job_argument(), name)
    its = _element(value, DataReferenceConfiguration, "a DataReference or its to_config()")
    mode = its.mode.lower() if isinstance(its.mode, str) else its.mode
    made = reference_input(its.datastore_name, its.path_on_datastore, mode, its.path_on_compute, its.overwrite)
    _datastore(made["datastore"], lookup)
    return JobArgument("", {name: made})


def _data(name: str, value: Any, lookup: HasPrefect | None) -> JobArgument:
    if isinstance(value, (DatasetConsumptionConfig, AbstractDataset)):
        return _renamed(value._as_job_argument(), name)
    its = _element(value, Data, "dataset.as_named_input('name') or a Data")
    _log_unused(name, its)
    mode = its.mechanism.lower() if isinstance(its.mechanism, str) else its.mechanism
    if mode not in MODES:
        raise UserErrorException(f"mechanism: {its.mechanism!r} is not one of {', '.join(MODES)}.")
    if isinstance(its.data_location, (DatasetConsumptionConfig, AbstractDataset)):
        return _renamed(its.data_location._as_job_argument(), name)
    location = _plain("data_location", its.data_location)
    dataset, path = location.get("dataset"), location.get("datapath")
    if dataset:
        found = _dataset(_plain("data_location.dataset", dataset), lookup)
        return _renamed(DatasetConsumptionConfig("input", found, mode, its.path_on_compute)._as_job_argument(), name)
    if path:
        place = _plain("data_location.data_path", path)
        made = reference_input(place.get("datastorename"), place.get("relativepath"), mode, its.path_on_compute, its.overwrite)
        _datastore(made["datastore"], lookup)
        return JobArgument("", {name: made})
    raise UserErrorException("data_location: says neither a dataset nor a path. Use dataset.as_named_input('name').as_mount().")


def _output(name: str, value: Any, lookup: HasPrefect | None) -> JobArgument:
    if isinstance(value, OutputDatasetConfig) and hasattr(value, "_as_job_argument"):
        return _renamed(value._as_job_argument(), name)
    its = _element(value, OutputData, "an OutputFileDatasetConfig or an OutputData")
    path = _plain("output_location", its.output_location).get("datapath")
    place = _plain("output_location.data_path", path)
    options = _plain("additional_options", its.additional_options)
    destination = None
    if place.get("datastorename"):
        destination = (_datastore(place["datastorename"], lookup), place.get("relativepath"))
    made = OutputFileDatasetConfig("output", destination, options.get("pathoncompute"))
    mode = its.mechanism.lower() if isinstance(its.mechanism, str) else its.mechanism
    if mode not in ("mount", "upload"):
        raise UserErrorException(f"mechanism: {its.mechanism!r} is not one of mount, upload.")
    if mode == "upload":
        upload = _plain("upload_options", options.get("uploadoptions"))
        patterns = _plain("source_globs", upload.get("sourceglobs")).get("globpatterns")
        made = made.as_upload(bool(upload.get("overwrite")), patterns)
    registration = _plain("registration_options", options.get("registrationoptions"))
    if registration.get("name"):
        made = made.register_on_complete(registration["name"], registration.get("description"), registration.get("tags"))
    return _renamed(made._as_job_argument(), name)


def _renamed(argument: JobArgument, name: str) -> JobArgument:
    """The key in the section is the name."""
    inputs, outputs = list(argument.inputs.values()), list(argument.outputs.values())
    return replace(argument, inputs=dict(zip([name], inputs, strict=False)), outputs=dict(zip([name], outputs, strict=False)))


def _dataset(location: Mapping[str, Any], lookup: HasPrefect | None) -> AbstractDataset:
    if location.get("definition"):
        return dataset_of(lookup, location["definition"])
    id, name, version = (location.get(key) for key in ("id", "name", "version"))
    if not id and not name:
        raise UserErrorException("data_location.dataset: has neither an id nor a name. Give those of a registered dataset.")
    if lookup is None:
        raise UserErrorException(f"data_location.dataset: {id or name!r} cannot be looked up without a workspace. Give the dataset itself.")
    if id:
        return AbstractDataset.get_by_id(lookup, id)
    return AbstractDataset.get_by_name(lookup, str(name), "latest" if version is None else version)


def _datastore(name: str, lookup: HasPrefect | None) -> Any:
    return _Named(name) if lookup is None else Datastore.get(lookup, name)


def _element(value: Any, kind: type[Element], expected: str) -> Any:
    if isinstance(value, Mapping):
        return kind._deserialize(value)
    if not isinstance(value, kind):
        raise UserErrorException(f"expected {expected}, got {type(value).__name__}: {value!r}.")
    return value


def _plain(field: str, value: Any) -> dict[str, Any]:
    """A section inside a section, its keys in small letters without underscores."""
    if value is None:
        return {}
    if isinstance(value, Element):
        value = value._serialize_to_dict()
    if not isinstance(value, Mapping):
        raise UserErrorException(f"{field}: expected a section, got {type(value).__name__}: {value!r}.")
    return {str(key).replace("_", "").lower(): each for key, each in value.items()}


def _log_unused(name: str, its: Data) -> None:
    if its.environment_variable_name not in (None, name):
        logger.warning("data[%r].environment_variable_name has no effect here: the variable has the input's name.", name)
    for field in ("create_output_directories", "options"):
        if getattr(its, field):
            logger.warning("data[%r].%s has no effect here.", name, field)
