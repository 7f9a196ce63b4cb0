"""The sections of a RunConfiguration that are values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlflows.config.run_definition import data_section
from mlflows.environments.element import Element
from mlflows.environments.sections import DEFAULT_SHM_SIZE
from mlflows.exceptions import UserErrorException

_DEFAULT_SHM_SIZE = DEFAULT_SHM_SIZE


class HistoryConfiguration(Element):
    """What is kept of a run.

    ``output_collection``: upload ``./outputs`` when it ends. ``snapshot_project``: run on a copy of the folder.
    ``directories_to_watch``: folders uploaded while it goes on.
    """

    output_collection: bool
    snapshot_project: bool
    directories_to_watch: list[str]

    def __init__(self) -> None:
        self.output_collection = True
        self.snapshot_project = True
        self.directories_to_watch = ["logs"]


class DockerConfiguration(Element):
    """Whether the script runs in a container of its environment's image, and how.

    ``shm_size``: shared memory, such as ``2g``. ``arguments``: further arguments of ``docker run``.
    """

    use_docker: bool
    shared_volumes: bool
    arguments: list[str]
    shm_size: str

    def __init__(
        self, use_docker: bool = False, shared_volumes: bool = True, arguments: list[str] = [], shm_size: str = _DEFAULT_SHM_SIZE
    ) -> None:
        self.use_docker = use_docker
        self.shared_volumes = shared_volumes
        self.arguments = list(arguments) if isinstance(arguments, (list, tuple)) else arguments
        self.shm_size = shm_size


class DataReferenceConfiguration(Element):
    """A path on a datastore that a run reads or writes; ``mode`` is mount, download or upload."""

    datastore_name: str | None
    mode: str
    path_on_datastore: str | None
    path_on_compute: str | None
    overwrite: bool
    _keys: ClassVar[Mapping[str, str]] = {"datastore_name": "dataStoreName", "path_on_datastore": "pathOnDataStore"}

    def __init__(
        self,
        datastore_name: str | None = None,
        mode: str = "mount",
        path_on_datastore: str | None = None,
        path_on_compute: str | None = None,
        overwrite: bool = False,
    ) -> None:
        self.datastore_name = datastore_name
        self.mode = mode
        self.path_on_datastore = path_on_datastore
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite


class RegisteredDataset(Element):
    """Which registered dataset: by its id, or by its name and version, the newest if none. SDK v1 has it as ``runconfig.Dataset``."""

    dataset_id: str | None
    dataset_name: str | None
    dataset_version: str | int | None
    _keys: ClassVar[Mapping[str, str]] = {"dataset_id": "id", "dataset_name": "name", "dataset_version": "version"}

    def __init__(self, dataset_id: str | None = None, dataset_name: str | None = None, dataset_version: str | int | None = None) -> None:
        self.dataset_id = dataset_id
        self.dataset_name = dataset_name
        self.dataset_version = dataset_version


class DataLocation(Element):
    """Where an input is: a dataset, or a path as ``{"datastoreName": ..., "relativePath": ...}``."""

    dataset: Any
    data_path: Any

    def __init__(self, dataset: Any = None, data_path: Any = None) -> None:
        self.dataset = dataset
        self.data_path = data_path


class Data(Element):
    """An input: a dataset's location and how the run gets it (``mechanism``: direct, mount, download)."""

    data_location: Any
    create_output_directories: bool | None
    mechanism: str
    environment_variable_name: str | None
    path_on_compute: str | None
    overwrite: bool
    options: dict[str, Any] | None

    def __init__(
        self,
        data_location: Any = None,
        create_output_directories: bool | None = None,
        mechanism: str = "direct",
        environment_variable_name: str | None = None,
        path_on_compute: str | None = None,
        overwrite: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.data_location = data_location
        self.create_output_directories = create_output_directories
        self.mechanism = mechanism
        self.environment_variable_name = environment_variable_name
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite
        self.options = options

    @staticmethod
    def create(data: Any) -> Data:
        """The section of a dataset, or of one as a named input.

        Raises:
            UserErrorException: it is neither.
            ServiceException: the dataset is looked up, and the Prefect server does not answer.
        """
        make = getattr(data, "_as_job_argument", None)
        inputs = make().inputs if make is not None else {}
        if [its["kind"] for its in inputs.values()] != ["dataset"]:
            raise UserErrorException(f"data: expected a dataset or dataset.as_named_input('name'), got {data!r}.")
        ((name, its),) = inputs.items()
        section = data_section(name, its)
        return Data(section["dataLocation"], None, its["mode"], name, its["path_on_compute"])


class OutputData(Element):
    """An output: where it goes and how (``mechanism``: mount, upload)."""

    output_location: Any
    mechanism: str
    additional_options: Any

    def __init__(self, output_location: Any = None, mechanism: str = "mount", additional_options: Any = None) -> None:
        self.output_location = output_location
        self.mechanism = mechanism
        self.additional_options = additional_options


class AmlComputeConfiguration(Element):
    """Wishes to a cluster: size and priority of its machines."""

    vm_size: str | None
    vm_priority: str | None
    name: str | None
    retain_cluster: bool
    cluster_max_node_count: int | None

    def __init__(self) -> None:
        self.vm_size = None
        self.vm_priority = None
        self.name = None
        self.retain_cluster = False
        self.cluster_max_node_count = None


class KubernetesComputeConfiguration(Element):
    """Wishes to a Kubernetes cluster: the name of a set of resources."""

    instance_type: str | None

    def __init__(self) -> None:
        self.instance_type = None


class ResourceConfiguration(Element):
    """Resources of one node, as older scripts ask a Kubernetes cluster for them."""

    gpu_count: int | None
    cpu_count: float | None
    memory_request_in_gb: float | None

    def __init__(self) -> None:
        self.gpu_count = None
        self.cpu_count = None
        self.memory_request_in_gb = None


class AmlK8sComputeConfiguration(Element):
    """Older name of KubernetesComputeConfiguration."""

    resource_configuration: ResourceConfiguration

    def __init__(self) -> None:
        self.resource_configuration = ResourceConfiguration()


class SparkConfiguration(Element):
    """Spark settings; kept for compatibility, there is no Spark here."""

    configuration: dict[str, Any]

    def __init__(self) -> None:
        self.configuration = {"spark.app.name": "Azure ML Experiment", "spark.yarn.maxAppAttempts": 1}


class HdiConfiguration(Element):
    """HDInsight settings; kept for compatibility, without effect."""

    yarn_deploy_mode: str

    def __init__(self) -> None:
        self.yarn_deploy_mode = "cluster"


class ApplicationEndpointConfiguration(Element):
    """An interactive service beside the script; kept for compatibility, without effect."""

    type: str | None
    port: int | None
    properties: dict[str, str] | None

    def __init__(self, type: str | None = None, port: int | None = None, properties: dict[str, str] | None = None) -> None:
        self.type = type
        self.port = port
        self.properties = properties


class ParallelTaskConfiguration(Element):
    """Settings of parallel tasks; kept for compatibility, without effect."""

    max_retries_per_worker: int
    worker_count_per_node: int
    terminal_exit_codes: list[int] | None
    configuration: dict[str, Any]

    def __init__(self) -> None:
        self.max_retries_per_worker = 0
        self.worker_count_per_node = 1
        self.terminal_exit_codes = None
        self.configuration = {}
