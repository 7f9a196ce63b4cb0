"""Which processes make up a job, and what each is told about itself and the others."""

import json
import os
import re

from mlflows.job import layout

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any, Callable  # noqa: F401

TENSORFLOW_PORT = 2222
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")

_OF_AN_OUTER_JOB = re.compile(
    r"(MASTER_ADDR|MASTER_PORT|WORLD_SIZE|NODE_RANK|RANK|LOCAL_RANK|LOCAL_WORLD_SIZE|GROUP_RANK|TF_CONFIG|AZ_BATCH\w*"
    r"|MLFLOWS_(JOB_FOLDER|RANK|WORLD_SIZE|PARENT_RUN_ID)|OMPI_COMM\w*|OMPI_UNIVERSE_SIZE|PMIX_\w*|PMI_\w*|TORCHELASTIC_\w*)$"
)
_NAMES = r"(AZUREML_\w+|AZ_BATCH\w+|OMPI_COMM_WORLD_\w+|MASTER_ADDR|MASTER_PORT|WORLD_SIZE|NODE_RANK|RANK|LOCAL_RANK)"
_REFERENCE = re.compile(r"\$(?:\{" + _NAMES + r"\}|" + _NAMES + r"(?!\w))")


class Rank:
    """One process of a job. ``code`` is its exit code, negative for a signal, None while it lives."""

    def __init__(self, rank, node, argv, environment, log, essential=True):
        # type: (int, int, list[str], dict[str, str], str, bool) -> None
        self.rank = rank
        self.node = node
        self.argv = argv
        self.environment = environment
        self.log = log
        self.essential = essential
        self.pid = None  # type: int | None
        self.code = None  # type: int | None


def world_size(job):
    # type: (dict[str, Any]) -> int
    """Processes of all nodes together."""
    if job["kind"] == "tensorflow":
        return int(job["workers"] + job["parameter_servers"])
    if job["node_level"]:
        return int(job["node_count"])
    return int(job["node_count"] * job["processes_per_node"])


def per_node(job):
    # type: (dict[str, Any]) -> int
    """Processes of one node (of the last one perhaps fewer)."""
    return -(-world_size(job) // int(job["node_count"]))


def base_environment(job, folder, inherited):
    # type: (dict[str, Any], str, dict[str, str]) -> dict[str, str]
    """Variables that all ranks share: those of this process, without the ones of a job around it, and the job's own."""
    environment = {name: value for name, value in inherited.items() if not _OF_AN_OUTER_JOB.match(name)}
    environment["AZUREML_NODE_COUNT"] = str(job["node_count"])
    environment.update(job["env"])
    environment[layout.FOLDER_VARIABLE] = folder
    environment["MLFLOWS_WORLD_SIZE"] = str(world_size(job))
    return environment


def plan(job, environment):
    # type: (dict[str, Any], dict[str, str]) -> list[Rank]
    """The ranks of the nodes that this supervisor has, in order. Not for MPI, whose ranks mpirun starts."""
    shared = dict(environment)
    specific = _VARIABLES[job["kind"]](job, shared)
    ranks = []
    for rank in range(world_size(job)):
        node, local = divmod(rank, per_node(job))
        if node not in job["nodes"]:
            continue
        own = dict(shared, MLFLOWS_RANK=str(rank), **specific(rank, node, local))
        log = layout.rank_log(rank, world_size(job))
        essential = job["kind"] != "tensorflow" or rank < job["workers"]
        ranks.append(Rank(rank, node, command(job, own), own, log, essential))
    return ranks


def command(job, environment):
    # type: (dict[str, Any], dict[str, str]) -> list[str]
    """What a rank executes: its shell command, or its arguments, literal but for the rank's own variables."""
    if job["shell"] is not None:
        return ["/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh", "-c", job["shell"]]
    return [expand(argument, environment) for argument in job["argv"]]


def expand(argument, environment):
    # type: (str, dict[str, str]) -> str
    """Replace ``$NAME`` and ``${NAME}`` of AZUREML_*, AZ_BATCH* and the rank variables; unknown ones and any other ``$`` stay."""
    if "$" not in argument:
        return argument
    return _REFERENCE.sub(lambda match: environment.get(match.group(1) or match.group(2), match.group(0)), argument)


def _plain(job, shared):
    # type: (dict[str, Any], dict[str, str]) -> Callable[[int, int, int], dict[str, str]]
    return lambda rank, node, local: {}


def _pytorch(job, shared):
    # type: (dict[str, Any], dict[str, str]) -> Callable[[int, int, int], dict[str, str]]
    shared["MASTER_ADDR"] = job["hosts"][0]
    shared["MASTER_PORT"] = str(master_port(job))
    shared["WORLD_SIZE"] = str(world_size(job))
    shared["LOCAL_WORLD_SIZE"] = str(per_node(job))
    shared["AZUREML_FRAMEWORK"] = "PyTorch"
    shared["AZUREML_COMMUNICATOR"] = job["backend"]

    def specific(rank, node, local):
        # type: (int, int, int) -> dict[str, str]
        number = 0 if job["node_level"] else rank
        return {"NODE_RANK": str(node), "RANK": str(number), "LOCAL_RANK": str(local)}

    return specific


def _tensorflow(job, shared):
    # type: (dict[str, Any], dict[str, str]) -> Callable[[int, int, int], dict[str, str]]
    size, width, hosts = world_size(job), per_node(job), job["hosts"]
    on_one_machine = all(host in LOCAL_HOSTS for host in hosts)
    ports = free_ports(size) if on_one_machine else [TENSORFLOW_PORT + rank % width for rank in range(size)]
    addresses = ["{}:{}".format(hosts[rank // width], ports[rank]) for rank in range(size)]
    cluster = {"worker": addresses[: job["workers"]]}
    if job["parameter_servers"]:
        cluster["ps"] = addresses[job["workers"] :]
    shared["AZUREML_FRAMEWORK"] = "TensorFlow"
    shared["AZUREML_COMMUNICATOR"] = job["backend"]

    def specific(rank, node, local):
        # type: (int, int, int) -> dict[str, str]
        is_worker = rank < job["workers"]
        task = {"type": "worker" if is_worker else "ps", "index": rank if is_worker else rank - job["workers"]}
        return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})}

    return specific


_VARIABLES = {"none": _plain, "pytorch": _pytorch, "tensorflow": _tensorflow}


def master_port(job):
    # type: (dict[str, Any]) -> int
    """The port the ranks meet at: the job's, or a free one of this machine."""
    return int(job["master_port"] or free_ports(1)[0])


def free_ports(count):
    # type: (int) -> list[int]
    """Ports that nobody listens on just now."""
    import socket  # 4 ms, which a job of one process need not wait for

    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
