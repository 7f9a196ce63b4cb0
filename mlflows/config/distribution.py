"""What a RunConfiguration says of processes and nodes: written into it, and read from it."""

from __future__ import annotations

import logging
from typing import Any

from mlflows.config.distributed import TORCH_BACKENDS, MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration
from mlflows.config.run_configuration import RunConfiguration
from mlflows.environments.element import nearest
from mlflows.exceptions import RunConfigurationException
from mlflows.spec import Distribution

logger = logging.getLogger(__name__)

FRAMEWORKS = ("Python", "PySpark", "CNTK", "TensorFlow", "PyTorch")
COMMUNICATORS = ("None", "ParameterServer", "IntelMpi", "OpenMpi", "Nccl", "Gloo")
_MPI = {"intelmpi": "IntelMpi", "openmpi": "OpenMpi", "mpi": "IntelMpi"}


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
    if communicator in TORCH_BACKENDS:
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
            "run_config.mpi.process_count_per_node=%s has no effect: run_config.communicator is 'None'. Set it to 'IntelMpi'.", processes
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


def _unknown(field: str, value: Any, known: tuple[str, ...]) -> str:
    return f"{field}: {value!r} is not known. Use one of {', '.join(known)}.{nearest(str(value), list(known))}"
