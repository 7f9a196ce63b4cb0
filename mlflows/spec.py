"""JobSpec: what a person's configuration becomes, and all that the flow is given.

Plain frozen dataclasses of JSON values, so that submitting needs the standard library only; Prefect validates them with
pydantic and draws its form from them. No value here is a secret: a secret is a reference, ``{{ prefect.blocks.secret.NAME }}``,
that the home resolves at the last moment.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Dict, List, Literal, Optional

MAX_DURATION_SECONDS_DEFAULT = 2592000
"""30 days, SDK v1's default."""

_SECRET_NAME = re.compile(r"(password|passwd|secret|token|key|credentials?|connection_?string)$", re.IGNORECASE)
_SECRET_REFERENCE = re.compile(r"\s*\{\{\s*prefect\.blocks\.secret\.[A-Za-z0-9-]+\s*\}\}\s*")


def looks_secret(name: str) -> bool:
    """Whether a variable of this name would hold a secret: its name ends in PASSWORD, SECRET, TOKEN, KEY or the like."""
    return bool(_SECRET_NAME.search(name))


def refers_to_secret(value: str) -> bool:
    """Whether a value is a reference to a secret, ``{{ prefect.blocks.secret.NAME }}`` and nothing else."""
    return bool(_SECRET_REFERENCE.fullmatch(value))


@dataclass(frozen=True)
class JobArgument:
    """What an object that stands for data becomes among a script's arguments: a text, and the inputs and outputs it means."""

    text: str
    inputs: Dict[str, Any] = field(default_factory=dict)
    outputs: Dict[str, Any] = field(default_factory=dict)
    workspace: Optional[str] = None
    """Name of the workspace whose datastores are meant; none: any."""


@dataclass(frozen=True)
class Distribution:
    """How many processes on how many nodes, and who tells them about each other."""

    __pydantic_config__: ClassVar[Dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}

    kind: Literal["none", "mpi", "pytorch", "tensorflow"] = "none"
    """Launcher: none (one process), mpi (mpirun), pytorch (rank variables), tensorflow (TF_CONFIG)."""
    node_count: int = 1
    """Nodes; on the local target each is a process group."""
    processes_per_node: int = 1
    """Processes the launcher starts on each node."""
    node_level: bool = False
    """pytorch without a process count: one process a node, which starts the others itself (torchrun as command)."""
    backend: str = "None"
    """SDK v1's communicator: nccl, gloo, IntelMpi, ParameterServer, None."""
    worker_count: int = 1
    """tensorflow: number of workers."""
    parameter_server_count: int = 0
    """tensorflow: number of parameter servers."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """What the script runs in."""

    __pydantic_config__: ClassVar[Dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}

    name: Optional[str] = None
    """Name of a registered or curated environment, or of the one given by definition."""
    version: Optional[str] = None
    """Its version; none: the newest."""
    interpreter: Optional[str] = None
    """Python interpreter to use as it is. None together with no definition: the one the flow runs with."""
    definition: Dict[str, Any] = field(default_factory=dict)
    """The whole definition, in the form of azureml_environment.json."""


@dataclass(frozen=True)
class DockerSpec:
    """SDK v1's DockerConfiguration."""

    __pydantic_config__: ClassVar[Dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}

    use_docker: bool = False
    """Run in a container of the environment's image."""
    shm_size: str = "2g"
    """Shared memory of the container."""
    shared_volumes: bool = True
    """Kept for compatibility."""
    arguments: List[str] = field(default_factory=list)
    """Extra arguments of docker run."""


@dataclass(frozen=True)
class JobSpec:
    """One run of one script, ready to be started."""

    __pydantic_config__: ClassVar[Dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}

    source_directory: str
    """Folder with the code; absolute, on the machine that takes the snapshot."""
    script: Optional[str] = None
    """Script to run, relative to the folder. Either this or command."""
    arguments: List[str] = field(default_factory=list)
    """Arguments of the script, one element each."""
    command: Optional[str] = None
    """Shell command, instead of script and arguments."""
    experiment: str = "Default"
    """Experiment the run belongs to."""
    compute_target: str = "local"
    """Where it runs."""
    environment: EnvironmentSpec = field(default_factory=EnvironmentSpec)
    """What it runs in."""
    environment_variables: Dict[str, str] = field(default_factory=dict)
    """Variables for the script. Secrets as references: {{ prefect.blocks.secret.NAME }}."""
    distribution: Distribution = field(default_factory=Distribution)
    """Processes and nodes."""
    docker: DockerSpec = field(default_factory=DockerSpec)
    """Container settings."""
    max_run_duration_seconds: int = MAX_DURATION_SECONDS_DEFAULT
    """The run is canceled after this many seconds."""
    workspace: str = "local"
    """Name of the workspace."""
    snapshot: Optional[str] = None
    """Identifier of the code's snapshot; none: the flow takes one of source_directory."""
    inputs: Dict[str, Any] = field(default_factory=dict)
    """Named inputs (datasets, data references)."""
    outputs: Dict[str, Any] = field(default_factory=dict)
    """Named outputs."""
    tags: Dict[str, str] = field(default_factory=dict)
    """Tags of the run."""
    properties: Dict[str, str] = field(default_factory=dict)
    """Properties of the run; written once."""
    display_name: Optional[str] = None
    """Name shown for the run; its id if none."""
    parent_run_id: Optional[str] = None
    """Id of the parent run."""
    snapshot_project: bool = True
    """history.snapshot_project: False runs the code where it stands, uncopied."""
    output_collection: bool = True
    """history.output_collection: upload ./outputs when the run ends."""
    directories_to_watch: List[str] = field(default_factory=lambda: ["logs"])
    """history.directories_to_watch: uploaded while the run goes on."""
    resources: Dict[str, Any] = field(default_factory=dict)
    """Wishes to the compute target: instance_type, vm_size, priority."""

    def to_dict(self) -> Dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, value: Dict[str, Any]) -> JobSpec:
        """The inverse of to_dict.

        Raises:
            TypeError: an unknown key.
        """
        value = dict(value)
        for name, part in (("environment", EnvironmentSpec), ("distribution", Distribution), ("docker", DockerSpec)):
            if isinstance(value.get(name), dict):
                value[name] = part(**value[name])
        return cls(**value)

    def replace(self, **changes: Any) -> JobSpec:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)
