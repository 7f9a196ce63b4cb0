"""Files of a run as a version of a registered model, in MLflow's registry."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlflows.exceptions import ModelPathNotFoundException, WebserviceException
from mlflows.history import describe
from mlflows.history.artifacts import Artifacts
from mlflows.history.tracking import MlflowRun, Tracking, TrackingError

PROPERTY_PREFIX = "mlflows.property."
FRAMEWORK, FRAMEWORK_VERSION = "mlflows.model_framework", "mlflows.model_framework_version"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-._]{0,254}")


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a model. ``id`` is ``name:version``."""

    name: str
    version: int
    source: str
    run_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    model_framework: str | None = None
    model_framework_version: str | None = None

    @property
    def id(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def url(self) -> str:
        """MLflow's address of it, which its load functions take."""
        return f"models:/{self.name}/{self.version}"


def register(
    tracking: Tracking,
    run: MlflowRun,
    model_name: str,
    model_path: str | os.PathLike[str] | None = None,
    tags: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    model_framework: str | None = None,
    model_framework_version: str | None = None,
    description: str | None = None,
) -> RegisteredModel:
    """A new version of ``model_name``, made of the run's file or folder ``model_path`` (``model_name`` if none).

    Raises:
        WebserviceException: a bad name.
        ModelPathNotFoundException: the run has no such file or folder.
    """
    check_name(model_name)
    path = path_of(model_name, model_path)
    artifacts = Artifacts(tracking, run.run_id, run.artifact_uri)
    if not exists(artifacts, path):
        raise ModelPathNotFoundException(
            f"Model path {path!r} is not among the files of run {run.tags.get('mlflows.run_id', run.run_id)}. Its files: "
            f"{', '.join(describe.file_names(artifacts)[:20]) or 'none'}. A file in ./outputs is there when the run has "
            "ended, or after run.upload_file."
        )
    _create(tracking, model_name)
    kept = {
        **{str(key): "" if value is None else str(value) for key, value in (tags or {}).items()},
        **{PROPERTY_PREFIX + str(key): str(value) for key, value in (properties or {}).items()},
        **{key: value for key, value in ((FRAMEWORK, model_framework), (FRAMEWORK_VERSION, model_framework_version)) if value},
    }
    version = tracking.post(
        "model-versions/create",
        {
            "name": model_name,
            "source": f"{artifacts.uri}/{path}",
            "run_id": run.run_id,
            "description": description or "",
            "tags": [{"key": key, "value": value} for key, value in kept.items()],
        },
    )["model_version"]
    return model_of(version)


def model_of(version: Mapping[str, Any]) -> RegisteredModel:
    """A model version as the server tells it."""
    tags = {tag["key"]: tag.get("value", "") for tag in version.get("tags", ())}
    start = len(PROPERTY_PREFIX)
    return RegisteredModel(
        name=version["name"],
        version=int(version["version"]),
        source=version.get("source", ""),
        run_id=version.get("run_id"),
        tags={key: value for key, value in tags.items() if not key.startswith("mlflows.")},
        properties={key[start:]: value for key, value in tags.items() if key.startswith(PROPERTY_PREFIX)},
        description=version.get("description"),
        model_framework=tags.get(FRAMEWORK),
        model_framework_version=tags.get(FRAMEWORK_VERSION),
    )


def check_name(model_name: str) -> None:
    """Refuse what SDK v1 refuses as a model's name.

    Raises:
        WebserviceException: a bad name.
    """
    if not isinstance(model_name, str) or not _NAME.fullmatch(model_name):
        raise WebserviceException(
            f"Model name {model_name!r} is not valid: 1 to 255 letters, digits, '-', '.' and '_', beginning with a letter or digit"
        )


def path_of(model_name: str, model_path: str | os.PathLike[str] | None) -> str:
    """The model's path among a run's files, without ``./`` and the like; the model's name if none is given."""
    return posixpath.normpath(os.fspath(model_path or model_name)).strip("/")


def exists(artifacts: Artifacts, path: str) -> bool:
    """Whether a file or folder is among a run's artifacts."""
    parent = path.rpartition("/")[0]
    if ".." in path.split("/"):
        return False
    return any(file.path == path or file.path.startswith(path + "/") for file in artifacts.files(parent))


def _create(tracking: Tracking, model_name: str) -> None:
    try:
        tracking.post("registered-models/create", {"name": model_name})
    except TrackingError as error:
        if error.code != "RESOURCE_ALREADY_EXISTS":
            raise
