"""How many processes on how many nodes: SDK v1's three configurations, and what a RunConfiguration makes of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mlflows.environments.element import Element, nearest
from mlflows.exceptions import RunConfigurationException
from mlflows.spec import Distribution

if TYPE_CHECKING:
    from mlflows.config.run_configuration import RunConfiguration

logger = logging.getLogger(__name__)

FRAMEWORKS = ("Python", "PySpark", "CNTK", "TensorFlow", "PyTorch")
_MPI = {"intelmpi": "IntelMpi", "openmpi": "OpenMpi", "mpi": "IntelMpi"}
_TORCH = ("nccl", "gloo")
COMMUNICATORS = ("None", "ParameterServer", "IntelMpi", "OpenMpi", "Nccl", "Gloo")


class MpiConfiguration(Element):
    """``process_count_per_node`` processes on each of ``node_count`` nodes, started by mpirun."""

    process_count_per_node: int
    node_count: int

    def __init__(self, process_count_per_node: int = 1, node_count: int = 1) -> None:
        self.process_count_per_node = process_count_per_node
        self.node_count = node_count


class PyTorchConfiguration(Element):
    """``process_count`` processes in all, ``process_count / node_count`` on each node, with torch's rank variables.

    Without ``process_count`` each node has one process, which starts the others itself (``torchrun`` as command).
    """

    communication_backend: str
    process_count: int | None
    node_count: int

    def __init__(self, communication_backend: str = "Nccl", process_count: int | None = None, node_count: int = 1) -> None:
        """Set the values.

        Raises:
            RunConfigurationException: the backend is not nccl or gloo, in whatever case.
        """
        self.communication_backend = _backend(communication_backend)
        self.process_count = process_count
        self.node_count = node_count


class TensorflowConfiguration(Element):
    """``worker_count`` workers, one on each node, and ``parameter_server_count`` parameter servers, which TF_CONFIG tells of each other."""

    worker_count: int
    parameter_server_count: int

    def __init__(self, worker_count: int = 1, parameter_server_count: int = 1) -> None:
        self.worker_count = worker_count
        self.parameter_server_count = parameter_server_count


def set_distribution(run_config: RunConfiguration, distributed: object) -> None:
    """Write a ``distributed_job_config`` into a run configuration.

    Raises:
        RunConfigurationException: it is none of the three configurations.
    """
    if isinstance(distributed, MpiConfiguration):
        run_config.mpi, run_config.framework, run_config.communicator = distributed, "Python", "IntelMpi"
        run_config.node_count = distributed.node_count
    elif isinstance(distributed, PyTorchConfiguration):
        run_config.pytorch, run_config.framework = distributed, "PyTorch"
        run_config.communicator, run_config.node_count = distributed.communication_backend, distributed.node_count
    elif isinstance(distributed, TensorflowConfiguration):
        run_config.tensorflow, run_config.framework, run_config.communicator = distributed, "TensorFlow", "ParameterServer"
        run_config.node_count = distributed.worker_count
    else:
        raise RunConfigurationException(
            "distributed_job_config: expected an MpiConfiguration, PyTorchConfiguration or TensorflowConfiguration, "
            f"got {type(distributed).__name__}: {distributed!r}."
        )


def distribution_of(run_config: RunConfiguration) -> Distribution:
    """What a run configuration asks for, whether ``distributed_job_config`` wrote it or a person did.

    Raises:
        RunConfigurationException: an unknown framework or communicator, a count below 1, processes that cannot be shared out evenly,
            nodes that nothing would start.
    """
    _check_framework(run_config.framework)
    communicator = _check_communicator(run_config.communicator)
    nodes = whole("node_count", run_config.node_count)
    if communicator in _MPI:
        return _mpi(run_config.mpi, nodes, _MPI[communicator])
    if communicator in _TORCH:
        return _pytorch(run_config.pytorch, nodes, communicator)
    if communicator == "parameterserver":
        return _tensorflow(run_config.tensorflow, nodes)
    return _single(run_config, nodes)


def whole(field: str, value: Any, least: int = 1) -> int:
    """``value``, if it is a whole number of at least ``least``.

    Raises:
        RunConfigurationException: it is not.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise RunConfigurationException(f"{field}: {value!r} is not a whole number of at least {least}.")


def _mpi(mpi: MpiConfiguration, nodes: int, backend: str) -> Distribution:
    per_node = whole("process_count_per_node", _section(mpi, MpiConfiguration, "mpi").process_count_per_node)
    _warn_of_other_count("mpi", mpi.node_count, nodes)
    return Distribution("mpi", nodes, per_node, backend=backend)


def _pytorch(pytorch: PyTorchConfiguration, nodes: int, backend: str) -> Distribution:
    count = _section(pytorch, PyTorchConfiguration, "pytorch").process_count
    _warn_of_other_count("pytorch", pytorch.node_count, nodes)
    if count is None:
        return Distribution("pytorch", nodes, 1, node_level=True, backend=backend)
    processes = whole("process_count", count)
    if processes % nodes:
        raise RunConfigurationException(
            f"process_count: {processes} processes cannot be shared out evenly over node_count={nodes} nodes. "
            f"Give a multiple of {nodes}, for instance {nodes * (processes // nodes + 1)}."
        )
    return Distribution("pytorch", nodes, processes // nodes, backend=backend)


def _tensorflow(tensorflow: TensorflowConfiguration, nodes: int) -> Distribution:
    workers = whole("worker_count", _section(tensorflow, TensorflowConfiguration, "tensorflow").worker_count)
    servers = whole("parameter_server_count", tensorflow.parameter_server_count, least=0)
    if workers < nodes:
        raise RunConfigurationException(
            f"node_count: {nodes} nodes for worker_count={workers} workers would leave nodes without one. "
            f"Set run_config.tensorflow.worker_count to at least {nodes}."
        )
    return Distribution("tensorflow", nodes, 1, backend="ParameterServer", worker_count=workers, parameter_server_count=servers)


def _single(run_config: RunConfiguration, nodes: int) -> Distribution:
    if nodes > 1:
        raise RunConfigurationException(
            f"node_count: {nodes} nodes, but the communicator is 'None', so nothing would start the script on the others. "
            "Give distributed_job_config, or set run_config.communicator to 'IntelMpi', 'Nccl', 'Gloo' or 'ParameterServer'."
        )
    processes = getattr(run_config.mpi, "process_count_per_node", 1)
    if processes != 1:
        logger.warning(
            "run_config.mpi.process_count_per_node=%s has no effect while run_config.communicator is 'None': set it to 'IntelMpi'.", processes
        )
    return Distribution()


def _section(value: Any, kind: type[Any], field: str) -> Any:
    if isinstance(value, kind):
        return value
    raise RunConfigurationException(f"run_config.{field}: expected a {kind.__name__}, got {type(value).__name__}: {value!r}.")


def _warn_of_other_count(field: str, own: int, nodes: int) -> None:
    if own not in (1, nodes):
        logger.warning("run_config.%s.node_count=%s is left aside: run_config.node_count=%s holds.", field, own, nodes)


def _check_framework(framework: Any) -> None:
    if framework == "PySpark":
        raise RunConfigurationException("framework: 'PySpark' is not available: there is no Spark here. Use 'Python'.")
    if framework not in FRAMEWORKS:
        raise RunConfigurationException(_unknown("framework", framework, FRAMEWORKS))


def _check_communicator(communicator: Any) -> str:
    lower = str(communicator).lower()
    if lower in _MPI or lower in (known.lower() for known in COMMUNICATORS):
        return lower
    raise RunConfigurationException(_unknown("communicator", communicator, COMMUNICATORS))


def _backend(value: Any) -> str:
    if isinstance(value, str) and value.lower() in _TORCH:
        return value.lower()
    raise RunConfigurationException(f"communication_backend: {value!r} is not known. Use 'nccl' or 'gloo'.")


def _unknown(field: str, value: Any, known: tuple[str, ...]) -> str:
    return f"{field}: {value!r} is not known. Use one of {', '.join(known)}.{nearest(str(value), list(known))}"
