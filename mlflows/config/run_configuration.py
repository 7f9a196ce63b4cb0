"""RunConfiguration: where and how a script runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from mlflows.config import runconfig_file
from mlflows.config.distributed import MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration
from mlflows.config.run_definition import data_section, output_section, reference_section
from mlflows.config.sections import (
    AmlComputeConfiguration,
    AmlK8sComputeConfiguration,
    ApplicationEndpointConfiguration,
    Data,
    DataReferenceConfiguration,
    DockerConfiguration,
    HdiConfiguration,
    HistoryConfiguration,
    KubernetesComputeConfiguration,
    OutputData,
    ParallelTaskConfiguration,
    SparkConfiguration,
)
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.element import Element
from mlflows.environments.environment import Environment
from mlflows.exceptions import UserErrorException

DEFAULT_ENVIRONMENT_NAME = "default-environment"


class EnvironmentDefinition(Environment):
    """Older name of Environment, which may be without a name."""

    def __init__(self, name: str | None = None) -> None:
        self._set_defaults(name)


class RunConfiguration(Element):
    """Everything about a run but its folder: target, environment, processes, history, data."""

    script: str | None
    arguments: list[Any]
    command: str | list[Any]
    framework: str
    communicator: str
    max_run_duration_seconds: int | None
    node_count: int
    priority: int | None
    environment: Environment
    history: HistoryConfiguration
    docker: DockerConfiguration
    mpi: MpiConfiguration
    pytorch: PyTorchConfiguration
    tensorflow: TensorflowConfiguration
    data_references: dict[str, Any]
    data: dict[str, Any]
    output_data: dict[str, Any]
    datacaches: list[Any]
    amlcompute: AmlComputeConfiguration
    kubernetescompute: KubernetesComputeConfiguration
    amlk8scompute: AmlK8sComputeConfiguration
    spark: SparkConfiguration
    hdi: HdiConfiguration
    paralleltask: ParallelTaskConfiguration
    services: dict[str, Any]
    credential_passthrough: bool
    source_directory_data_store: str | None

    _properties: ClassVar[tuple[str, ...]] = ("target",)
    _item_types: ClassVar[Mapping[str, type[Element]]] = {
        "data_references": DataReferenceConfiguration,
        "data": Data,
        "output_data": OutputData,
        "services": ApplicationEndpointConfiguration,
    }
    _obsolete_keys: ClassVar[frozenset[str]] = frozenset(
        {"aiSuperComputer", "autoPrepareEnvironment", "batchai", "cmk8sCompute", "commandReturnCodeConfig", "containerInstance"}
        | {"exposedPorts", "identity", "instanceTypes", "jobName", "parameters", "useAbsolutePath", "globalArguments"}
    )

    def __init__(
        self,
        script: str | None = None,
        arguments: list[Any] | str | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        _history_enabled: bool | None = None,
        _path: str | None = None,
        _name: str | None = None,
        command: str | list[Any] | None = None,
    ) -> None:
        self.script = script
        self.arguments = arguments if arguments is not None else []  # type: ignore[assignment]  # a string is split later
        self.command = command if command is not None else ""
        self._target = "local"
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self.max_run_duration_seconds = None
        self.node_count = 1
        self.priority = None
        self.environment = EnvironmentDefinition(DEFAULT_ENVIRONMENT_NAME)
        if conda_dependencies is not None:
            self.environment.python.conda_dependencies = conda_dependencies
        self._path = _path
        self._name = _name
        self._set_sections()

    def _set_sections(self) -> None:
        self.history = HistoryConfiguration()
        self.docker = DockerConfiguration()
        self.mpi = MpiConfiguration()
        self.pytorch = PyTorchConfiguration()
        self.tensorflow = TensorflowConfiguration()
        self.data_references = {}
        self.data = {}
        self.output_data = {}
        self.datacaches = []
        self.amlcompute = AmlComputeConfiguration()
        self.kubernetescompute = KubernetesComputeConfiguration()
        self.amlk8scompute = AmlK8sComputeConfiguration()
        self.spark = SparkConfiguration()
        self.hdi = HdiConfiguration()
        self.paralleltask = ParallelTaskConfiguration()
        self.services = {}
        self.credential_passthrough = False
        self.source_directory_data_store = None

    @property
    def target(self) -> str:
        """Name of the compute target; setting it takes a name or a ComputeTarget, whose name is kept.

        Raises:
            UserErrorException: it is neither.
        """
        return self._target

    @target.setter
    def target(self, value: Any) -> None:
        name = value if isinstance(value, str) else getattr(value, "name", None)
        if not isinstance(name, str):
            raise UserErrorException(f"target: expected the name of a compute target or a ComputeTarget, got {value!r}.")
        self._target = name

    @property
    def environment_variables(self) -> dict[str, str]:
        """The environment's variables for the script."""
        return self.environment.environment_variables

    @environment_variables.setter
    def environment_variables(self, value: dict[str, str]) -> None:
        self.environment.environment_variables = value

    @property
    def auto_prepare_environment(self) -> bool:
        """Has no effect: environments are always prepared."""
        return True

    @auto_prepare_environment.setter
    def auto_prepare_environment(self, value: bool) -> None:
        return None

    def save(self, path: str | os.PathLike[str] | None = None, name: str | None = None, separate_environment_yaml: bool = False) -> None:
        """Write ``<path>/.azureml/<name>.runconfig``; ``path`` is here by default, or the very file.

        With ``separate_environment_yaml`` the environment goes to ``environment.yml`` beside it.

        Raises:
            FileNotFoundError: the folder does not exist.
            UserErrorException: no name is known.
        """
        target = runconfig_file.to_write(path or self._path or os.curdir, name or self._name)
        runconfig_file.write(target, self._written(), separate_environment_yaml)

    def _written(self) -> dict[str, Any]:
        """With sections where a person has put objects that stand for data."""
        written = self._serialize_to_dict()
        for key, section in {"dataReferences": self.data_references, "data": self.data, "outputData": self.output_data}.items():
            written[key] = {name: _section_of(value) for name, value in section.items()}
        return written

    @staticmethod
    def load(path: str | os.PathLike[str], name: str | None = None) -> RunConfiguration:
        """Read ``<path>/.azureml/<name>.runconfig`` (or the older ``aml_config``); ``path`` may be the very file.

        Raises:
            UserErrorException: there is no such file, or it is not a run configuration.
        """
        file = runconfig_file.to_read(path, name)
        result = RunConfiguration._deserialize(runconfig_file.read(file))
        result._path, result._name = runconfig_file.place(file)
        return result

    @staticmethod
    def delete(path: str | os.PathLike[str], name: str | None) -> None:
        """Remove what ``save`` wrote.

        Raises:
            UserErrorException: there is no such file.
        """
        os.remove(runconfig_file.to_read(path, name))


def _section_of(value: Any) -> Any:
    make = getattr(value, "_as_job_argument", None)
    if make is None:
        return value._serialize_to_dict() if isinstance(value, Element) else value
    argument = make()
    for name, its in argument.inputs.items():
        return data_section(name, its) if its["kind"] == "dataset" else reference_section(its)
    return next(output_section(its) for its in argument.outputs.values())
