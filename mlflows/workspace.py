"""Workspace: what a submit.py opens first.

A workspace is a name under which datastores, compute targets and secrets are kept, and the two servers that go with it. There is no
service that knows workspaces: whoever opens one by name has it.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mlflows import settings, workspace_config
from mlflows.compute.targets import ComputeTarget, targets_of
from mlflows.data import snapshot, workspace_file
from mlflows.environments.environment import Environment
from mlflows.exceptions import UserErrorException, WorkspaceException
from mlflows.experiment import Experiment
from mlflows.flows import services
from mlflows.history.run import Run
from mlflows.history.tracking import Tracking
from mlflows.rest import RestClient

if TYPE_CHECKING:
    from _typeshed import StrPath

    from mlflows.data.abstract_dataset import AbstractDataset
    from mlflows.data.datastore_kinds import AbstractDatastore
    from mlflows.history.models import RegisteredModel
    from mlflows.keyvault import Keyvault

LOCAL = "local"
"""Name of the workspace that is used when nothing says otherwise, and what its other attributes say."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}")
_AZURES = (
    *("discovery_url", "service_context", "update_dependencies", "add_private_endpoint", "delete_private_endpoint_connection"),
    *("list_keys", "sync_keys", "diagnose_workspace", "set_connection", "list_connections", "get_connection", "delete_connection"),
)
"""What Workspace of SDK v1 has and this one does not."""

_SERVER_KEYS = ("prefect_api_url", "mlflow_tracking_uri", "prefect_ui_url", "mlflow_ui_url")
_OWN_KEYS = (*_SERVER_KEYS, "container_registry", "azure_storage")


class Workspace:
    """A workspace.

    Opening one is quick and starts nothing; what needs a server finds or starts it then.

    Raises:
        UserErrorException: a name that is not allowed.
    """

    def __init__(
        self,
        subscription_id: str,
        resource_group: str,
        workspace_name: str,
        auth: Any = None,
        _location: str | None = None,
        _disable_service_check: bool = False,
        _workspace_id: str | None = None,
        sku: str = "basic",
        tags: Mapping[str, str] | None = None,
        _cloud: str = "AzureCloud",
    ) -> None:
        _check_name(workspace_name)
        given = {
            "subscription_id": _text("subscription_id", subscription_id),
            "resource_group": _text("resource_group", resource_group),
            "location": _text("location", _location),
        }
        self._name = workspace_name
        self._record = _known_or_new(workspace_name, {key: value for key, value in given.items() if value}, sku, tags)
        self._lock = threading.Lock()
        self._known_servers: settings.Servers | None = None
        self._known_tracking: Tracking | None = None

    @staticmethod
    def from_config(path: StrPath | None = None, auth: Any = None, _logger: Any = None, _file_name: str | None = None) -> Workspace:
        """The workspace that a ``config.json`` names.

        Looked for, as SDK v1 does, in ``.azureml`` of the folder and all folders above it, then in ``aml_config``, then in the folders
        themselves. Besides Azure's three keys the file may have ``prefect_api_url``, ``mlflow_tracking_uri``,
        ``container_registry``: ``{"address": "host:port/path", "credentials": "<a DockerRegistryCredentials block>"}``, and
        ``azure_storage``: ``{"<account>/<container>": "<the datastore in its place>"}``.

        Args:
            path: the file, or the folder to start from. Without it: the working directory, and if there is no file anywhere, the
                workspace ``local`` on this machine.
            auth: accepted and not used.

        Raises:
            UserErrorException: there is no file where ``path`` says, or it is not valid.
        """
        found = workspace_config.find(path, _file_name)
        if found is None:
            print("mlflows: no config.json here or above, so this is the workspace 'local' on this machine", file=sys.stderr)
        return _opened(found)

    @staticmethod
    def _here() -> Workspace:
        """from_config, without saying that there is no file."""
        return _opened(workspace_config.find(None))

    @staticmethod
    def get(
        name: str,
        auth: Any = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        cloud: str = "AzureCloud",
        id: str | None = None,
    ) -> Workspace:
        """The workspace of this name."""
        return Workspace(subscription_id or "", resource_group or "", name, auth, _location=location)

    @staticmethod
    def create(
        name: str,
        auth: Any = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        create_resource_group: bool = True,
        sku: str = "basic",
        tags: Mapping[str, str] | None = None,
        friendly_name: str | None = None,
        storage_account: Any = None,
        key_vault: Any = None,
        app_insights: Any = None,
        container_registry: Any = None,
        adb_workspace: Any = None,
        primary_user_assigned_identity: Any = None,
        cmk_keyvault: Any = None,
        resource_cmk_uri: Any = None,
        hbi_workspace: bool = False,
        default_cpu_compute_target: Any = None,
        default_gpu_compute_target: Any = None,
        private_endpoint_config: Any = None,
        private_endpoint_auto_approval: bool = True,
        exist_ok: bool = False,
        show_output: bool = True,
        user_assigned_identity_for_cmk_encryption: Any = None,
        system_datastores_auth_mode: str = "accessKey",
        v1_legacy_mode: bool | None = None,
    ) -> Workspace:
        """Make a workspace. What only concerns Azure is accepted and not used.

        Raises:
            WorkspaceException: it exists, and ``exist_ok`` is not given.
        """
        _check_name(name)
        if workspace_file.exists(name) and not exist_ok:
            raise WorkspaceException(f"Workspace {name!r} exists already. Give exist_ok=True, or open it with Workspace.get({name!r}).")
        made = Workspace(subscription_id or "", resource_group or "", name, auth, location, sku=sku, tags=tags)
        made.update(friendly_name=friendly_name)
        if show_output:
            print(f"mlflows: workspace {name!r} is in {settings.workspace_dir(name)}", file=sys.stderr)
        return made

    @staticmethod
    def list(subscription_id: str | None = None, auth: Any = None, resource_group: str | None = None) -> dict[str, list[Workspace]]:
        """The workspaces on this machine, of one subscription and resource group if given: name -> [workspace]."""
        all_of_them = {name: Workspace("", "", name) for name in workspace_file.names()}
        return {
            name: [each]
            for name, each in all_of_them.items()
            if subscription_id in (None, each.subscription_id) and resource_group in (None, each.resource_group)
        }

    @staticmethod
    def setup() -> None:
        """Print how a workspace comes about."""
        print("Workspace.from_config() reads .azureml/config.json; without one, the workspace is 'local', on this machine.")

    def write_config(self, path: StrPath | None = None, file_name: str | None = None) -> None:
        """Write ``.azureml/config.json`` for from_config.

        Args:
            path: the folder; the working directory if none.
            file_name: another name than config.json.

        Raises:
            UserErrorException: ``path`` is not a folder.
        """
        azure = {"subscription_id": self.subscription_id, "resource_group": self.resource_group, "workspace_name": self.name}
        workspace_config.write(path, file_name, {**azure, **self._own_settings()})

    def update(
        self,
        friendly_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        image_build_compute: str | None = None,
        **azure: Any,
    ) -> dict[str, Any]:
        """Change what is known of it; what only concerns Azure is accepted and not used. Returns get_details()."""
        changes = {"friendly_name": _text("friendly_name", friendly_name), "description": _text("description", description)}
        with workspace_file.changing(self.name) as record:
            record.update({key: value for key, value in changes.items() if value})
            if tags is not None:
                record["tags"] = _tags(tags)
            self._record = dict(record)
        return self.get_details()

    def delete(self, delete_dependent_resources: bool = False, no_wait: bool = False) -> None:
        """Forget the workspace. With ``delete_dependent_resources`` its datastore on this machine goes too, snapshots and all."""
        workspace_file.remove(self.name)
        if delete_dependent_resources:
            import shutil  # as below: slow to import, and not needed to submit

            shutil.rmtree(settings.workspace_dir(self.name))

    def get_details(self) -> dict[str, Any]:
        """What is known of it, with SDK v1's keys."""
        return {
            "id": f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}/workspaces/{self.name}",
            "name": self.name,
            "type": "mlflows/workspaces",
            "location": self.location,
            "sku": self.sku,
            "tags": self.tags,
            "workspaceid": self.name,
            "friendlyName": str(self._record.get("friendly_name") or self.name),
            "description": str(self._record.get("description") or ""),
            "storageAccount": str(settings.workspace_dir(self.name) / "datastores"),
        }

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    _workspace_name = name

    @property
    def subscription_id(self) -> str:
        """Azure's, as given; else ``local``."""
        return self._word("subscription_id")

    @property
    def resource_group(self) -> str:
        """Azure's, as given; else ``local``."""
        return self._word("resource_group")

    @property
    def location(self) -> str:
        """Azure's region, as given; else ``local``."""
        return self._word("location")

    @property
    def sku(self) -> str:
        """``basic``, unless another was given."""
        return str(self._record.get("sku") or "basic")

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return dict(self._record.get("tags") or {})

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """All compute targets, by name; ``local`` is always there."""
        return targets_of(self)

    @property
    def datastores(self) -> dict[str, AbstractDatastore]:
        """All datastores, by name."""
        from mlflows.data.datastore import datastores_of  # what moves files is not loaded by who only submits

        return datastores_of(self)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """All experiments of the MLflow server, by name."""
        return {experiment.name: experiment for experiment in Experiment.list(self)}

    @property
    def models(self) -> dict[str, RegisteredModel]:
        """The newest version of each model of the MLflow server, by name."""
        from mlflows.history.models import model_of

        versions = [version for model in _registered_models(self._tracking()) for version in model.get("latest_versions", ())]
        found = sorted(map(model_of, versions), key=lambda model: model.version)
        return {model.name: model for model in found}

    @property
    def _nothing(self) -> dict[str, Any]:
        """Of these kinds none can be registered in this version."""
        return {}

    webservices = images = linked_services = private_endpoints = _nothing

    @property
    def datasets(self) -> dict[str, AbstractDataset]:
        """The newest version of each registered dataset, by name."""
        from mlflows.data.dataset import Dataset  # a submit does without

        return Dataset.get_all(self)

    @property
    def environments(self) -> dict[str, Environment]:
        """The newest version of each registered environment, and the curated ones, by name."""
        return Environment.list(self)

    def get_default_datastore(self) -> AbstractDatastore:
        """The default datastore."""
        from mlflows.data.datastore import Datastore

        return Datastore.get_default(self)

    def set_default_datastore(self, name: str) -> None:
        """Make another datastore the default.

        Raises:
            UserErrorException: there is none of this name.
        """
        from mlflows.data.datastore import Datastore

        Datastore.get(self, name).set_as_default()

    def get_default_keyvault(self) -> Keyvault:
        """The workspace's secrets."""
        from mlflows.keyvault import Keyvault

        return Keyvault(self)

    def get_default_compute_target(self, type: str) -> ComputeTarget:
        """This machine.

        Raises:
            ValueError: ``type`` is neither CPU nor GPU.
        """
        if not isinstance(type, str) or type.upper() not in ("CPU", "GPU"):
            raise ValueError(f"type: {type!r} is neither 'CPU' nor 'GPU'.")
        return self.compute_targets[LOCAL]

    def get_mlflow_tracking_uri(self, _with_auth: bool = False) -> str:
        """Address of the MLflow server; started if it has to be."""
        return self._servers().mlflow_tracking_uri

    def get_run(self, run_id: str) -> Run:
        """The run of this id.

        Raises:
            UserErrorException: there is none.
        """
        found: Run = Run.get(self, run_id)
        return found

    def __repr__(self) -> str:
        return f"Workspace.create(name={self.name!r}, subscription_id={self.subscription_id!r}, resource_group={self.resource_group!r})"

    def __getattr__(self, name: str) -> NoReturn:
        if name in _AZURES:
            raise AttributeError(f"Workspace.{name} is a matter of Azure's service; there is nothing in its place, so leave it out")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _word(self, key: str) -> str:
        return str(self._record.get(key) or LOCAL)

    def _server_settings(self) -> dict[str, str]:
        return {key: self._record[key] for key in _SERVER_KEYS if self._record.get(key)}

    def _container_registry(self) -> dict[str, Any] | None:
        """Where images are pushed to: ``{"address": ..., "credentials": <name of a block>}``."""
        return self._record.get("container_registry")

    def _own_settings(self) -> dict[str, Any]:
        return {key: self._record[key] for key in _OWN_KEYS if self._record.get(key)}

    def _servers(self) -> settings.Servers:
        """The servers of this workspace, started if nobody configured any."""
        with self._lock:
            if self._known_servers is None:
                self._known_servers = services.ensure_up(self._server_settings())
            return self._known_servers

    def _tracking(self) -> Tracking:
        servers = self._servers()
        if self._known_tracking is None:
            self._known_tracking = Tracking(servers.mlflow_tracking_uri, servers.mlflow_ui_url)
        return self._known_tracking

    def _prefect(self) -> RestClient:
        return RestClient(self._servers().prefect_api_url, settings.prefect_headers())

    def _environment(self, definition: Mapping[str, Any]) -> Environment:
        """The environment of a run's definition."""
        return Environment._deserialize(definition)

    def _take_snapshot(self, path: StrPath) -> str:
        """Store a folder, or one file as a folder of its own; the snapshot's id."""
        if not os.path.isfile(path):
            return snapshot.take(Path(path), snapshot.store_of(self.name)).id
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            shutil.copy2(path, folder)
            return snapshot.take(Path(folder), snapshot.store_of(self.name)).id

    def _restore_snapshot(self, identifier: str, path: StrPath) -> str:
        """Write a snapshot to a new folder in ``path``; the folder."""
        from mlflows.data import snapshot_sharing  # speaks to datastores, which a submit need not

        snapshot_sharing.pull(self, identifier)
        target = Path(path) / f"snapshot_{identifier[:16]}"
        snapshot.materialize(identifier, snapshot.store_of(self.name), target)
        return str(target)

    def _experiment(self, name: str) -> Experiment:
        """An experiment that MLflow has, whatever its name."""
        return Experiment(self, name, _skip_name_validation=True)


def _registered_models(tracking: Tracking) -> Iterator[dict[str, Any]]:
    query: dict[str, Any] = {"max_results": 1000}
    while True:
        answer = tracking.get("registered-models/search", query)
        yield from answer.get("registered_models", ())
        if not answer.get("next_page_token"):
            return
        query = {**query, "page_token": answer["next_page_token"]}


def _opened(path: str | None) -> Workspace:
    config = {} if path is None else workspace_config.read(path)
    name = config.get("workspace_name") or LOCAL
    opened = Workspace(config.get("subscription_id") or "", config.get("resource_group") or "", name)
    own = {key: config[key] for key in _OWN_KEYS if config.get(key)}
    if path is not None and own != opened._own_settings():
        with workspace_file.changing(name) as record:
            for key in _OWN_KEYS:
                record.pop(key, None)
            record.update(own)
            opened._record = dict(record)
    return opened


def _known_or_new(name: str, given: Mapping[str, str], sku: Any, tags: Mapping[str, str] | None) -> dict[str, Any]:
    """The record, written if it is new or says something else than what is given."""
    record = workspace_file.read(name)
    wanted: dict[str, Any] = {**given, **({"tags": _tags(tags)} if tags else {})}
    if record and all(record.get(key) == value for key, value in wanted.items()):
        return record
    with workspace_file.changing(name) as record:
        record.setdefault("name", name)
        record.setdefault("sku", _text("sku", sku) or "basic")
        record.update(wanted)
        return dict(record)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserErrorException(
            f"workspace_name: {name!r} is not the name of a workspace. "
            "Use 3 to 33 letters, digits, hyphens and underscores, a letter or digit first."
        )


def _text(field: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise UserErrorException(f"{field}: expected a string, got {value!r}.")
    return value or ""


def _tags(tags: Any) -> dict[str, str]:
    if not isinstance(tags, Mapping):
        raise UserErrorException(f"tags: expected a dict of names and values, got {tags!r}.")
    return {str(key): str(value) for key, value in tags.items()}
