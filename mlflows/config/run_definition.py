"""The run definition: what ``run.get_details()["runDefinition"]`` shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlflows.spec import JobSpec, looks_secret, refers_to_secret

MASK = "********"

_SECRET_OPTION = re.compile(r"(password|passwd|secret|connection_string|(api|access|account|secret|auth)_(key|token))$")

_FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}


def run_definition(spec: JobSpec) -> dict[str, Any]:
    """A JobSpec in SDK v1's form: camelCase keys. Literal values of variables and options that look secret are masked."""
    distribution = spec.distribution
    return {
        "script": spec.script,
        "command": spec.command or "",
        "useAbsolutePath": False,
        "arguments": masked_arguments(spec.arguments),
        "sourceDirectoryDataStore": None,
        "framework": _FRAMEWORKS.get(distribution.kind, "Python"),
        "communicator": _communicator(distribution.backend),
        "target": spec.compute_target,
        "dataReferences": {name: reference_section(its) for name, its in spec.inputs.items() if its.get("kind") != "dataset"},
        "data": {name: data_section(name, its) for name, its in spec.inputs.items() if its.get("kind") == "dataset"},
        "outputData": {name: output_section(its) for name, its in spec.outputs.items()},
        "jobName": spec.display_name,
        "maxRunDurationSeconds": spec.max_run_duration_seconds,
        "nodeCount": distribution.node_count,
        "instanceTypes": _instance_types(spec),
        "priority": spec.resources.get("priority"),
        "credentialPassthrough": False,
        "environment": _environment(spec),
        "history": {
            "outputCollection": spec.output_collection,
            "snapshotProject": spec.snapshot_project,
            "directoriesToWatch": list(spec.directories_to_watch),
        },
        **_launchers(spec),
        "amlCompute": {"vmSize": spec.resources.get("vm_size"), "vmPriority": spec.resources.get("vm_priority")},
        "kubernetesCompute": {"instanceType": spec.resources.get("instance_type")},
        "docker": {
            "useDocker": spec.docker.use_docker,
            "sharedVolumes": spec.docker.shared_volumes,
            "shmSize": spec.docker.shm_size,
            "arguments": list(spec.docker.arguments),
        },
    }


def data_section(name: str, its: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset among a JobSpec's inputs. Of one that is not registered the definition is shown, too: its id is made up."""
    dataset = {"id": its["id"], "name": its.get("name"), "version": _text(its.get("version"))}
    if not its.get("name"):
        dataset["definition"] = its["definition"]
    return {
        "dataLocation": {"dataset": dataset, "dataPath": None},
        "createOutputDirectories": False,
        "mechanism": its["mode"].capitalize(),
        "environmentVariableName": name,
        "pathOnCompute": its.get("path_on_compute"),
        "overwrite": False,
        "options": None,
    }


def reference_section(its: Mapping[str, Any]) -> dict[str, Any]:
    """A path in a datastore, or of an earlier run's files, among a JobSpec's inputs."""
    section = {
        "dataStoreName": its.get("datastore"),
        "mode": its.get("mode", "").capitalize(),
        "pathOnDataStore": its.get("path"),
        "pathOnCompute": its.get("path_on_compute"),
        "overwrite": bool(its.get("overwrite")),
    }
    return {**section, "runId": its["run_id"]} if "run_id" in its else section


def output_section(its: Mapping[str, Any]) -> dict[str, Any]:
    """One of a JobSpec's outputs."""
    register = its.get("register")
    registration = {**register, "properties": {}, "datasetRegistrationOptions": {"reading": its.get("reading")}} if register else None
    upload = {"overwrite": its.get("overwrite"), "sourceGlobs": {"globPatterns": its.get("source_globs")}}
    is_upload = its.get("mode") == "upload"
    return {
        "outputLocation": {
            "dataset": None,
            "dataPath": {"datastoreName": its.get("datastore"), "relativePath": its.get("path")},
        },
        "mechanism": its.get("mode", "").capitalize(),
        "additionalOptions": {
            "pathOnCompute": its.get("source"),
            "registrationOptions": registration,
            "uploadOptions": upload if is_upload else None,
            "mountOptions": None if is_upload else {"disableMetadataCache": False},
        },
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def masked_arguments(arguments: list[str]) -> list[str]:
    """Arguments with the value of options such as ``--api-key`` masked."""
    result: list[str] = []
    hide = False
    for argument in arguments:
        option, equals, value = argument.partition("=")
        secret_option = argument.startswith("-") and _is_secret_option(option)
        if hide and not argument.startswith("-"):
            result.append(_masked(argument))
        elif secret_option and equals:
            result.append(f"{option}={_masked(value)}")
        else:
            result.append(argument)
        hide = secret_option and not equals
    return result


def _environment(spec: JobSpec) -> dict[str, Any]:
    environment = spec.environment
    definition = dict(environment.definition)
    python = dict(definition.get("python") or {"userManagedDependencies": True})
    if environment.interpreter:
        python["interpreterPath"] = environment.interpreter
    docker = definition.get("docker") or {"baseImage": None, "baseDockerfile": None, "baseImageRegistry": None}
    return {
        **definition,
        "name": environment.name,
        "version": environment.version,
        "python": python,
        "environmentVariables": _masked_variables(spec.environment_variables),
        "docker": docker,
        "spark": definition.get("spark") or {"repositories": [], "packages": [], "precachePackages": True},
    }


def _launchers(spec: JobSpec) -> dict[str, Any]:
    distribution = spec.distribution
    processes = distribution.node_count * distribution.processes_per_node
    torch = distribution.kind == "pytorch"
    tensorflow = distribution.kind == "tensorflow"
    return {
        "mpi": {"processCountPerNode": distribution.processes_per_node if distribution.kind == "mpi" else 1},
        "pyTorch": {
            "communicationBackend": distribution.backend if torch else "nccl",
            "processCount": processes if torch and not distribution.node_level else None,
        },
        "tensorflow": {
            "workerCount": distribution.worker_count if tensorflow else 1,
            "parameterServerCount": distribution.parameter_server_count if tensorflow else 1,
        },
    }


def _communicator(backend: str) -> str:
    return backend.capitalize() if backend in ("nccl", "gloo") else backend


def _instance_types(spec: JobSpec) -> list[str]:
    wanted = spec.resources.get("instance_type")
    return [wanted] if wanted else []


def _masked_variables(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: _masked(value) if looks_secret(name) else value for name, value in variables.items()}


def _masked(value: str) -> str:
    return value if refers_to_secret(value) or not value else MASK


def _is_secret_option(option: str) -> bool:
    """Fewer words than for variables: ``--pad-token`` and ``--sort-key`` are ordinary options of training scripts."""
    words = option.lstrip("-").lower().replace("-", "_")
    return bool(_SECRET_OPTION.search(words))
