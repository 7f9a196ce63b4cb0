"""What a script in a job reaches through its run: experiment, workspace, secrets, inputs and outputs, registered models.

Names and paths come from the environment; the rest is asked for through the mailbox. On interpreters too old for the rest of the package,
``azureml.core`` gives these classes under the names of SDK v1.
"""

import os

import mlflows
from mlflows.exceptions import UserErrorException
from mlflows.job import here, uploads
from mlflows.job.absent import Absent

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any, Iterator  # noqa: F401

_INPUTS_VARIABLE = "AZUREML_DATASET_ENVIRONMENT_VARS"  # "name:mode,name:mode"
_OUTPUTS_VARIABLE = "AZUREML_DATASET_FILE_OUTPUTS"  # "name;name"


class Experiment(Absent):
    """The experiment of a job."""

    def __init__(self, workspace, name):
        # type: (Any, str) -> None
        self.workspace = workspace
        self.workspace_object = workspace
        self.name = name
        self._whole = "Experiment(Workspace.get({!r}), {!r})".format(workspace.name, name)
        self.id = os.environ.get("AZUREML_EXPERIMENT_ID") or os.environ.get("MLFLOW_EXPERIMENT_ID")

    @classmethod
    def _of_job(cls):
        # type: () -> Experiment
        name = os.environ.get("MLFLOWS_EXPERIMENT") or os.environ.get("AZUREML_ARM_PROJECT_NAME") or ""
        return cls(Workspace.from_config(), name)

    def __repr__(self):
        # type: () -> str
        return "Experiment(Name: {}, Workspace: {})".format(self.name, self.workspace.name)


class Workspace(Absent):
    """The workspace of a job."""

    def __init__(self, subscription_id, resource_group, workspace_name, **kwargs):
        # type: (str, str, str, object) -> None
        self.name = workspace_name
        self._whole = "Workspace.get({!r})".format(workspace_name)
        self.subscription_id = subscription_id
        self.resource_group = resource_group

    @classmethod
    def from_config(cls, path=None, auth=None, _logger=None, _file_name=None):
        # type: (str | None, object, object, str | None) -> Workspace
        """The workspace of this job, whatever the file says: a script cannot leave it."""
        names = ("AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME")
        return cls(*[os.environ.get(name, "") for name in names])

    @classmethod
    def get(cls, name, auth=None, subscription_id=None, resource_group=None, **kwargs):
        # type: (str, object, str | None, str | None, object) -> Workspace
        """The workspace of this job.

        Raises:
            UserErrorException: the name is another workspace's.
        """
        workspace = cls.from_config()
        if name != workspace.name:
            raise UserErrorException("Inside a job only its own workspace {!r} can be reached, not {!r}".format(workspace.name, name))
        return workspace

    @property
    def location(self):
        # type: () -> str
        """Where the workspace is."""
        return str(self.get_details().get("location") or "")

    @property
    def datasets(self):
        # type: () -> _Named
        """Registered datasets by name."""
        return _Named(self, _of_package("Dataset").get_by_name, _of_package("Dataset").get_all)

    @property
    def datastores(self):
        # type: () -> _Named
        """Datastores by name."""
        return _Named(self, _of_package("Datastore").get, _all_datastores)

    def get_default_datastore(self):
        # type: () -> Any
        """The default datastore."""
        return _of_package("Datastore").get_default(self)

    def get_details(self):
        # type: () -> dict[str, Any]
        """What is known of the workspace."""
        return dict(here.current().ask("workspace"))

    def get_default_keyvault(self):
        # type: () -> Keyvault
        """The secrets of the workspace."""
        return Keyvault(self)

    def get_mlflow_tracking_uri(self, _with_auth=False):
        # type: (bool) -> str
        """Address of the MLflow server of this run."""
        return os.environ.get("MLFLOW_TRACKING_URI", "")

    def __repr__(self):
        # type: () -> str
        names = (self.name, self.subscription_id, self.resource_group)
        return "Workspace(name={!r}, subscription_id={!r}, resource_group={!r})".format(*names)


class Keyvault(Absent):
    """Secrets, read only."""

    def __init__(self, workspace):
        # type: (Workspace) -> None
        self.workspace = workspace

    def get_secret(self, name):
        # type: (str) -> str
        """One secret."""
        return str(here.current().ask("get_secret", name=name))

    def get_secrets(self, secrets):
        # type: (list[str]) -> dict[str, Any]
        """Several: name -> value."""
        return dict(here.current().ask("get_secrets", names=list(secrets)))


class _Named:
    """``workspace.datasets`` and ``workspace.datastores``: mappings that ask when they are used."""

    def __init__(self, workspace, get, get_all):
        # type: (Workspace, Any, Any) -> None
        self._workspace = workspace
        self._get = get
        self._get_all = get_all

    def __getitem__(self, name):
        # type: (str) -> Any
        try:
            return self._get(self._workspace, name)
        except UserErrorException as error:
            raise KeyError(error.message)

    def __contains__(self, name):
        # type: (str) -> bool
        return self.get(name) is not None

    def get(self, name, default=None):
        # type: (str, Any) -> Any
        """One of them, or ``default``."""
        try:
            return self[name]
        except KeyError:
            return default

    def keys(self):
        # type: () -> list[str]
        """Their names."""
        return list(self._get_all(self._workspace))

    def items(self):
        # type: () -> list[tuple[str, Any]]
        """Names and what they name."""
        return list(self._get_all(self._workspace).items())

    def values(self):
        # type: () -> list[Any]
        """All of them."""
        return list(self._get_all(self._workspace).values())

    def __iter__(self):
        # type: () -> Iterator[str]
        return iter(self.keys())

    def __len__(self):
        # type: () -> int
        return len(self.keys())


class Model(Absent):
    """A registered model, as the answer describes it (id, name, version, ...)."""

    def __init__(self, *args, **kwargs):
        # type: (object, object) -> None
        raise UserErrorException("Models cannot be looked up inside a job; register one with run.register_model")

    @classmethod
    def _from_answer(cls, answer):
        # type: (dict[str, Any]) -> Model
        model = _filled(cls, answer)  # type: Model
        return model

    @staticmethod
    def register(workspace, model_path, model_name, tags=None, properties=None, description=None, **kwargs):
        # type: (object, str, str, dict[str, Any] | None, dict[str, Any] | None, str | None, object) -> Model
        """Upload a local file or folder to the run, and register it.

        Raises:
            UserErrorException: no such file, or it was registered before.
        """
        job, name = here.current(), "models/{}/{}".format(model_name, os.path.basename(os.path.normpath(os.fspath(model_path))))
        uploads.upload(job, None, name, model_path)
        details = {"tags": tags, "properties": properties, "description": description}  # type: dict[str, Any]
        return Model._from_answer(job.ask("register_model", model_name=model_name, model_path=name, **details))


def _filled(cls, answer):
    # type: (type[Any], dict[str, Any]) -> Any
    made = object.__new__(cls)
    made.__dict__.update(answer)
    return made


def _of_package(name):
    # type: (str) -> Any
    """The class of this name that the package has for this interpreter: its own, or one of this room on an old one."""
    return getattr(mlflows, name)


def _all_datastores(workspace):
    # type: (Workspace) -> dict[str, Any]
    return {name: _of_package("Datastore").get(workspace, name) for name in here.current().ask("datastores")}


def input_datasets():
    # type: () -> _Inputs
    """Inputs of this job by name."""
    pairs = [entry.partition(":") for entry in os.environ.get(_INPUTS_VARIABLE, "").split(",") if entry]
    return _Inputs({name: mode for name, _, mode in pairs})


def output_datasets():
    # type: () -> dict[str, str]
    """Folders to write into, by output name."""
    names = [name for name in os.environ.get(_OUTPUTS_VARIABLE, "").split(";") if name]
    return {name: path for name, path in ((name, _variable(name)) for name in names) if path is not None}


class _Inputs:
    """``run.input_datasets``: a path for what was mounted or downloaded, a dataset for a direct input."""

    def __init__(self, modes):
        # type: (dict[str, str]) -> None
        self._modes = modes

    def __getitem__(self, name):
        # type: (str) -> object
        value = _variable(name) if name in self._modes else None
        if value is None:
            raise KeyError("{!r} is not an input of this run; its inputs: {}".format(name, ", ".join(sorted(self._modes)) or "none"))
        return _of_package("Dataset").get_by_id(Workspace.from_config(), value) if self._modes[name] == "direct" else value

    def get(self, name, default=None):
        # type: (str, object) -> object
        """The input, or ``default``."""
        return self[name] if name in self._modes else default

    def keys(self):
        # type: () -> list[str]
        """Names of the inputs."""
        return list(self._modes)

    def items(self):
        # type: () -> list[tuple[str, object]]
        """Names and inputs."""
        return [(name, self[name]) for name in self._modes]

    def values(self):
        # type: () -> list[Any]
        """The inputs."""
        return [self[name] for name in self._modes]

    def __contains__(self, name):
        # type: (str) -> bool
        return name in self._modes

    def __iter__(self):
        # type: () -> Iterator[Any]
        return iter(self._modes)

    def __len__(self):
        # type: () -> int
        return len(self._modes)


def _variable(name):
    # type: (str) -> str | None
    return os.environ.get(name, os.environ.get(name.upper()))
