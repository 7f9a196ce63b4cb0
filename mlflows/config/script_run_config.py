"""ScriptRunConfig: one run of one script, as a person writes it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from mlflows.config.arguments import split_arguments
from mlflows.config.distributed import MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration
from mlflows.config.distribution import set_distribution
from mlflows.config.run_configuration import DEFAULT_ENVIRONMENT_NAME, EnvironmentDefinition, RunConfiguration
from mlflows.config.sections import DataReferenceConfiguration, DockerConfiguration
from mlflows.environments.environment import Environment, EnvironmentReference
from mlflows.environments.sections import DockerSection
from mlflows.exceptions import RunConfigurationException, UserErrorException
from mlflows.spec import MAX_DURATION_SECONDS_DEFAULT

if TYPE_CHECKING:
    DistributedJobConfig = MpiConfiguration | PyTorchConfiguration | TensorflowConfiguration

logger = logging.getLogger(__name__)


class ScriptRunConfig:
    """A folder, what to run in it, and where and how.

    Attributes: ``source_directory, script, arguments, command, run_config``. All may be changed until the run is submitted; whether
    they fit together is checked then, by ``freeze``.
    """

    MAX_DURATION_SECONDS_DEFAULT = MAX_DURATION_SECONDS_DEFAULT

    def __init__(
        self,
        source_directory: str | os.PathLike[str],
        script: str | None = None,
        arguments: list[Any] | str | None = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: dict[str, Any] | None = None,
        compute_target: Any = None,
        environment: Environment | EnvironmentReference | None = None,
        distributed_job_config: DistributedJobConfig | None = None,
        resume_from: Any = None,
        max_run_duration_seconds: int = MAX_DURATION_SECONDS_DEFAULT,
        command: str | list[Any] | None = None,
        docker_runtime_config: DockerConfiguration | None = None,
    ) -> None:
        """Put a configuration together.

        With ``run_config``, which holds them, ``compute_target, environment, distributed_job_config, docker_runtime_config`` and
        ``max_run_duration_seconds`` are left aside with a logged warning; ``script, arguments, command`` hold against those in it.

        Args:
            source_directory: folder with the code.
            script: Python script in that folder.
            arguments: arguments of the script, a list or a string in the shell's quoting. Beside ``command``, appended to it.
            run_config: a run configuration; used as it is, not copied.
            compute_target: a ComputeTarget or its name; by default ``local``.
            environment: what the script runs in, or the name of a registered one; by default the current interpreter.
            distributed_job_config: processes and nodes.
            resume_from: DataPath of an earlier run's model, given to the script as ``--resume-from``; also an earlier run, of which the
                script gets ``outputs``, or ``(run, "outputs/model")``.
            max_run_duration_seconds: the run is canceled after so many seconds; 30 days by default.
            command: shell command, instead of ``script``; a list is joined by single spaces, nothing being quoted.
            docker_runtime_config: container settings.

        Raises:
            UserErrorException: ``script`` together with ``command``, which SDK v1 leaves to the service; ``run_config``,
                ``resume_from`` or ``arguments`` of a wrong type.
            RunConfigurationException: ``distributed_job_config`` or ``docker_runtime_config`` of a wrong type.
        """
        _check_types(script, command, run_config, resume_from, docker_runtime_config)
        self.source_directory = source_directory
        settings = {
            "compute_target": compute_target,
            "environment": environment,
            "distributed_job_config": distributed_job_config,
            "docker_runtime_config": docker_runtime_config,
            "max_run_duration_seconds": None if max_run_duration_seconds == MAX_DURATION_SECONDS_DEFAULT else max_run_duration_seconds,
        }
        if run_config is None:
            self.run_config = _new_run_config(**settings)
        else:
            self.run_config = run_config
            _warn_ignored([name for name, value in settings.items() if value is not None])
        self._set_program(script, arguments, command)
        if resume_from is not None:
            self._resume(resume_from)

    def _set_program(self, script: str | None, arguments: Any, command: Any) -> None:
        inherited = self.run_config
        program_given = bool(script or command)
        self.script = script if program_given else inherited.script
        self.command = command if program_given else inherited.command
        if isinstance(self.command, (list, tuple)):
            self.command = list(self.command)  # SDK v1 kept the caller's list and wrote into it
        for field, value in (("script", script), ("command", command), ("arguments", arguments)):
            _warn_overridden(field, value, getattr(inherited, field))
        self.arguments = split_arguments(arguments if arguments is not None else inherited.arguments)

    _previous: tuple[Any, str] | None = None
    """An earlier run, and the path of the files of it that this one goes on from."""

    def _resume(self, data_path: Any) -> None:
        self.arguments = [*self.arguments, "--resume-from", "$AZUREML_DATAREFERENCE_MODEL_LOCATION"]
        if not _is_path(data_path):
            self._previous = _previous(data_path)
            return
        self.run_config.data_references["MODEL_LOCATION"] = DataReferenceConfiguration(
            datastore_name=data_path.datastore_name, mode="mount", path_on_datastore=data_path.path_on_datastore
        )

    def __repr__(self) -> str:
        return (
            f"ScriptRunConfig(source_directory={os.fspath(self.source_directory)!r}, script={self.script!r}, command={self.command!r}, "
            f"arguments={self.arguments!r}, target={self.run_config.target!r})"
        )


def docker_of(environment: Any) -> DockerConfiguration:
    """Container settings from their older place, ``environment.docker``."""
    docker = getattr(environment, "docker", None)
    if not isinstance(docker, DockerSection):  # a value of another type is told by freeze
        return DockerConfiguration()
    result = DockerConfiguration(bool(docker.enabled), docker.shared_volumes, docker.arguments)
    result.shm_size = docker.shm_size or result.shm_size
    return result


def _new_run_config(
    compute_target: Any, environment: Any, distributed_job_config: Any, docker_runtime_config: Any, max_run_duration_seconds: Any
) -> RunConfiguration:
    result = RunConfiguration()
    result.target = compute_target or "local"
    result.environment = environment or EnvironmentDefinition(DEFAULT_ENVIRONMENT_NAME)
    result.max_run_duration_seconds = MAX_DURATION_SECONDS_DEFAULT if max_run_duration_seconds is None else max_run_duration_seconds
    result.docker = docker_runtime_config or docker_of(result.environment)
    if distributed_job_config is not None:
        set_distribution(result, distributed_job_config)
    return result


def _check_types(script: Any, command: Any, run_config: Any, resume_from: Any, docker: Any) -> None:
    if script and command:
        raise UserErrorException(f"script and command: both are given ({script!r}, {command!r}). Give one of them.")
    if run_config is not None and not isinstance(run_config, RunConfiguration):
        raise UserErrorException(f"run_config: expected a RunConfiguration, got {type(run_config).__name__}: {run_config!r}.")
    if resume_from is not None and not _is_path(resume_from):
        _previous(resume_from)
    if docker and not isinstance(docker, DockerConfiguration):
        raise RunConfigurationException(f"docker_runtime_config: expected a DockerConfiguration, got {type(docker).__name__}: {docker!r}.")


def _is_path(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("datastore_name", "path_on_datastore"))


def _previous(value: Any) -> tuple[Any, str]:
    run, path = value if isinstance(value, tuple) and len(value) == 2 else (value, "outputs")
    if not hasattr(run, "get_file_names") or not isinstance(getattr(run, "id", None), str):
        raise UserErrorException(
            f"resume_from: expected a DataPath, got {type(value).__name__}: {value!r}. An earlier run will do, too, and "
            "(run, 'outputs/model')."
        )
    if not isinstance(path, str) or not path.strip("/") or ".." in path.split("/"):
        raise UserErrorException(f"resume_from: {path!r} is not the path of files of a run. Give for instance 'outputs/model'.")
    return run, path


def _warn_ignored(names: list[str]) -> None:
    if names:
        logger.warning("%s left aside: run_config is given and holds. Set them in run_config.", ", ".join(names))


def _warn_overridden(field: str, value: Any, inherited: Any) -> None:
    if value is not None and inherited and value != inherited:
        logger.warning("%s of run_config is left aside: the one given to ScriptRunConfig holds.", field)
