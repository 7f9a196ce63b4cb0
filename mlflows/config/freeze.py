"""freeze: from a ScriptRunConfig to the JobSpec of one run. Every mistake a person can make is found here, before anything starts."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from mlflows import settings
from mlflows.config.arguments import RunData, freeze_program, split_arguments
from mlflows.config.distribution import distribution_of
from mlflows.config.run_configuration import DEFAULT_ENVIRONMENT_NAME, EnvironmentDefinition, RunConfiguration
from mlflows.config.run_definition import run_definition
from mlflows.config.script_run_config import ScriptRunConfig, docker_of
from mlflows.config.sections import DockerConfiguration, HistoryConfiguration
from mlflows.config.source import check_script, check_source_directory
from mlflows.environments import credentials
from mlflows.environments.checks import check_types
from mlflows.environments.element import nearest
from mlflows.environments.environment import Environment, EnvironmentReference
from mlflows.environments.requirements import localized
from mlflows.environments.resolve import resolve_interpreter
from mlflows.exceptions import ComputeTargetException, ExperimentExecutionException, RunConfigurationException, UserErrorException
from mlflows.spec import MAX_DURATION_SECONDS_DEFAULT, DockerSpec, EnvironmentSpec, JobSpec, refers_to_secret

if TYPE_CHECKING:
    from mlflows.data.abstract_dataset import HasPrefect

__all__ = ["freeze", "run_definition", "secrets_of"]

logger = logging.getLogger(__name__)

LOCAL_TARGET = "local"
_SHM_SIZE = re.compile(r"\d+(\.\d+)?[bkmg]?", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DATA_SECTIONS = ("data_references", "data", "output_data")
_SET_BY_US = ("AZUREML_", "MLFLOWS_", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_")


def freeze(
    config: ScriptRunConfig,
    *,
    workspace: str,
    experiment: str,
    tags: Mapping[str, Any] | None = None,
    compute_targets: Collection[str] = (LOCAL_TARGET,),
    find_environment: Callable[[EnvironmentReference], Environment] | None = None,
    lookup: HasPrefect | None = None,
) -> JobSpec:
    """The JobSpec of one run of ``config``, which is not changed.

    ``compute_targets`` are the names of those that exist. ``find_environment`` finds an environment that is given by name only; without
    it the flow does. In ``lookup``, the workspace, datasets and datastores are looked up that the run configuration has by name or id only;
    objects know their own. Passwords and tokens of the environment, and variables whose names say that they are secret, are references in
    the JobSpec: secrets_of has their values.

    Raises:
        UserErrorException: a value of the wrong type or form; an environment the target cannot provide.
        ExperimentExecutionException: the script does not exist in the folder; there is no target.
        ComputeTargetException: the target does not exist.
        RunConfigurationException: a section of the run configuration has a wrong type or value.
        ServiceException: an input is looked up, and the Prefect server does not answer.
    """
    run_config = _checked_run_config(config)
    target = _target(run_config, compute_targets)
    environment = _found(run_config.environment, find_environment)
    folder = check_source_directory(config.source_directory)
    script, command = _program(config, run_config)
    variables = {} if isinstance(environment, EnvironmentReference) else _variables(environment)
    data = RunData(workspace, variables)
    _add_sections(data, config, lookup)
    program = freeze_program(split_arguments(config.arguments), command, data)
    _log_ignored(run_config)
    docker = _docker(run_config, environment)
    history = _section(run_config.history, HistoryConfiguration, "history")
    return JobSpec(
        source_directory=folder,
        script=check_script(folder, script) if script else None,
        arguments=program.arguments,
        command=program.command,
        experiment=experiment,
        compute_target=target,
        environment=_environment(environment, folder, target),
        environment_variables=variables,
        distribution=distribution_of(run_config),
        docker=_for_target(docker, target),
        max_run_duration_seconds=_duration(run_config.max_run_duration_seconds),
        workspace=workspace,
        inputs=data.inputs,
        outputs=data.outputs,
        tags=_tags(tags),
        snapshot_project=bool(history.snapshot_project),
        output_collection=bool(history.output_collection),
        directories_to_watch=_strings("history.directories_to_watch", history.directories_to_watch),
        resources=_resources(run_config),
    )


def secrets_of(config: ScriptRunConfig) -> dict[str, str]:
    """Name of a Secret block -> value of all that is a reference in the JobSpec and no reference in ``config``."""
    environment = config.run_config.environment
    if not isinstance(environment, Environment):
        return {}
    definition = localized(_plain_definition(environment), os.path.abspath(config.source_directory))
    texts = {name: str(value) for name, value in (environment.environment_variables or {}).items()}
    return {**credentials.taken_out(definition)[1], **_references(environment, texts)[1]}


def _checked_run_config(config: Any) -> RunConfiguration:
    if not isinstance(config, ScriptRunConfig):
        raise UserErrorException(f"config: expected a ScriptRunConfig, got {type(config).__name__}: {config!r}.")
    if not isinstance(config.run_config, RunConfiguration):
        raise UserErrorException(f"run_config: expected a RunConfiguration, got {config.run_config!r}.")
    return config.run_config


def _target(run_config: RunConfiguration, existing: Collection[str]) -> str:
    target = run_config.target
    if not target:
        raise ExperimentExecutionException("target: no compute target is given. Set compute_target, for instance to 'local'.")
    if target == "amlcompute" and not run_config.amlcompute.vm_size and target not in existing:
        raise ExperimentExecutionException("amlcompute.vm_size: target 'amlcompute' needs it. Set it, or name another compute target.")
    if target in existing:
        return target
    names = sorted(existing)
    raise ComputeTargetException(
        f"compute_target: ComputeTargetNotFound: there is no compute target {target!r}. There are: {', '.join(names)}."
        + nearest(target, names)
    )


def _program(config: ScriptRunConfig, run_config: RunConfiguration) -> tuple[str | None, Any]:
    script, command = config.script, config.command
    if not script and not command:
        script, command = run_config.script, run_config.command
    if script and command:
        raise UserErrorException(f"script and command: both are given ({script!r}, {command!r}). Set one of them to None.")
    if not script and not command:
        raise UserErrorException("script and command: neither is given. Give script='train.py', or command='...'.")
    return script, command


def _found(environment: Any, find: Callable[[EnvironmentReference], Environment] | None) -> Environment | EnvironmentReference:
    if isinstance(environment, EnvironmentReference):
        if not isinstance(environment.name, str) or not environment.name:
            raise UserErrorException(f"environment: {environment.name!r} is not the name of an environment. Give a string.")
        if find is None:
            return environment
        environment = find(environment)
    _check_environment(environment)
    return environment  # type: ignore[no-any-return]


def _environment(environment: Environment | EnvironmentReference, folder: str, target: str) -> EnvironmentSpec:
    if isinstance(environment, EnvironmentReference):
        return EnvironmentSpec(environment.name, None if environment.version is None else str(environment.version))
    definition = _definition(environment, folder)
    if environment.name == DEFAULT_ENVIRONMENT_NAME and definition == _definition(EnvironmentDefinition(environment.name), folder):
        return EnvironmentSpec(interpreter=sys.executable if target == LOCAL_TARGET else None)
    spec = EnvironmentSpec(environment.name, environment.version, None, definition)
    if target != LOCAL_TARGET:
        return spec
    return EnvironmentSpec(environment.name, environment.version, resolve_interpreter(spec), definition)


def _check_environment(environment: Any) -> None:
    if not isinstance(environment, Environment):
        shown = credentials.masked(repr(environment))
        raise UserErrorException(f"environment: expected an Environment, got {type(environment).__name__}: {shown}.")
    check_types(environment)
    if environment.r is not None:
        raise UserErrorException("environment.r: R environments are not available. Set it to None.")


def _definition(environment: Environment, folder: str) -> dict[str, Any]:
    definition = _plain_definition(environment)
    python = definition["python"]
    python["interpreterPath"] = _absolute(python["interpreterPath"], folder)
    return credentials.taken_out(localized(definition, folder))[0]


def _plain_definition(environment: Environment) -> dict[str, Any]:
    """With its secrets."""
    definition = environment._serialize_to_dict()
    definition.pop("environmentVariables")  # they have their own place in the JobSpec
    for older in ("enabled", "sharedVolumes", "arguments", "shmSize", "gpuSupport"):
        definition["docker"].pop(older)
    return definition


def _absolute(path: Any, folder: str) -> Any:
    """A relative path with a separator, found from here or from the folder with the code."""
    if not isinstance(path, str) or os.sep not in path:
        return path
    path = os.path.expanduser(path)
    candidates = [os.path.abspath(path), os.path.join(folder, path)]
    return next((candidate for candidate in candidates if os.path.exists(candidate)), candidates[0])


def _variables(environment: Environment) -> dict[str, str]:
    """Variables for the script, with references in the place of secrets."""
    given = _checked_variables(environment.environment_variables)
    variables, values = _references(environment, given)
    for name, value in variables.items():
        if value != given[name]:
            logger.warning(
                "environment_variables: %s looks like a secret and is given literally. It is kept in a Prefect Secret block, and the run "
                "is given the reference %s. Store it yourself, and refer to it, to choose the block.",
                name,
                value,
            )
    return variables


def _references(environment: Environment, variables: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The variables with references in the place of secrets, and the values of these, by block."""
    return credentials.of_a_run(environment.name or "", variables, settings.own_key)


def _checked_variables(variables: Any) -> dict[str, str]:
    if variables is None:
        return {}
    if not isinstance(variables, Mapping):
        raise UserErrorException(f"environment_variables: expected a dict of names and values, got {variables!r}.")
    return {_variable_name(name): _variable_value(name, value) for name, value in variables.items()}


def _variable_name(name: Any) -> str:
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise UserErrorException(
            f"environment_variables: {name!r} is not a name of a variable. Use letters, digits and underscores, no digit first."
        )
    if name.startswith(_SET_BY_US):
        logger.warning("environment_variables: %s is set for every run by mlflows; the value given may not reach the script.", name)
    return name


def _variable_value(name: str, value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        raise UserErrorException(
            f"environment_variables[{name!r}]: expected a string or a number, got a {type(value).__name__}. Write it as a string."
        )
    text = str(value)
    if "\0" in text:
        raise UserErrorException(f"environment_variables[{name!r}]: the value contains a NUL character. Remove it.")
    if "prefect.blocks.secret." in text and not refers_to_secret(text):
        raise UserErrorException(
            f"environment_variables[{name!r}]: a reference to a secret must be the whole value: {{{{ prefect.blocks.secret.NAME }}}}, "
            "NAME of letters, digits and hyphens. Put the other parts into variables of their own, or all of it into the secret."
        )
    return text


def _docker(run_config: RunConfiguration, environment: Environment | EnvironmentReference) -> DockerSpec:
    docker = _section(run_config.docker, DockerConfiguration, "docker")
    older = docker_of(environment)
    if older.use_docker and not docker.use_docker:
        docker = older
    size = str(docker.shm_size)
    if not _SHM_SIZE.fullmatch(size):
        raise RunConfigurationException(f"docker.shm_size: {docker.shm_size!r} is not a size. Write a number and a unit, such as '2g'.")
    arguments = _strings("docker.arguments", docker.arguments)
    return DockerSpec(bool(docker.use_docker), size, bool(docker.shared_volumes), arguments)


def _for_target(docker: DockerSpec, target: str) -> DockerSpec:
    if docker.use_docker and target == LOCAL_TARGET:
        raise UserErrorException(
            "docker.use_docker: True, but running in a container on the target 'local' is not available in this version yet. Set "
            "use_docker=False (and environment.docker.enabled = False)."
        )
    return docker


def _duration(seconds: Any) -> int:
    if seconds is None:
        return MAX_DURATION_SECONDS_DEFAULT
    if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds > 0:
        return seconds
    raise UserErrorException(f"max_run_duration_seconds: {seconds!r} is not a whole number of seconds above 0. Give for instance 3600.")


def _add_sections(data: RunData, config: ScriptRunConfig, lookup: HasPrefect | None) -> None:
    run_config = config.run_config
    if config._previous or any(getattr(run_config, field) for field in DATA_SECTIONS):
        from mlflows.config import data as sections  # datasets and datastores are slow to load, and most runs have none there

        sections.add(data, run_config, lookup)
        if config._previous:
            sections.add_previous(data, *config._previous)


def _log_ignored(run_config: RunConfiguration) -> None:
    for field in ("services", "credential_passthrough", "source_directory_data_store", "datacaches"):
        if getattr(run_config, field):
            logger.warning("run_config.%s has no effect here.", field)


def _tags(tags: Any) -> dict[str, str]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        raise UserErrorException(f"tags: expected a dict of names and values, got {tags!r}.")
    return {str(key): "" if value is None else str(value) for key, value in tags.items()}


def _resources(run_config: RunConfiguration) -> dict[str, Any]:
    asked = run_config.amlk8scompute.resource_configuration
    wishes = {
        "instance_type": run_config.kubernetescompute.instance_type,
        "vm_size": run_config.amlcompute.vm_size,
        "vm_priority": run_config.amlcompute.vm_priority,
        "priority": run_config.priority,
        "gpu_count": asked.gpu_count,
        "cpu_count": asked.cpu_count,
        "memory_request_in_gb": asked.memory_request_in_gb,
    }
    for name, value in wishes.items():
        if not isinstance(value, (str, int, float, type(None))):
            raise RunConfigurationException(f"{name}: expected a name or a number, got {type(value).__name__}: {value!r}.")
    return {name: value for name, value in wishes.items() if value is not None}


def _strings(field: str, values: Any) -> list[str]:
    if values is None:
        return []
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, str) for value in values):
        raise RunConfigurationException(f"{field}: expected a list of strings, got {values!r}.")
    return list(values)


def _section(value: Any, kind: type[Any], field: str) -> Any:
    if isinstance(value, kind):
        return value
    raise RunConfigurationException(f"run_config.{field}: expected a {kind.__name__}, got {type(value).__name__}: {value!r}.")
