"""How many processes on how many nodes: SDK v1's three configurations."""

from __future__ import annotations

from typing import Any

from mlflows.environments.element import Element
from mlflows.exceptions import RunConfigurationException

TORCH_BACKENDS = ("nccl", "gloo")


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


def _backend(value: Any) -> str:
    if isinstance(value, str) and value.lower() in TORCH_BACKENDS:
        return value.lower()
    raise RunConfigurationException(f"communication_backend: {value!r} is not known. Use 'nccl' or 'gloo'.")
