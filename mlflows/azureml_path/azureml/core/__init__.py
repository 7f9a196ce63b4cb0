"""azureml.core."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import extend_path, lazy

__path__ = extend_path(__path__, __name__)

VERSION = "1.61.0"
"""The version of SDK v1 whose names these are; scripts print and compare it."""

__version__ = VERSION

_SUBMODULES = (
    "authentication",
    "compute_target",
    "conda_dependencies",
    "container_registry",
    "dataset",
    "datastore",
    "environment",
    "experiment",
    "keyvault",
    "run",
    "runconfig",
    "script_run",
    "script_run_config",
    "workspace",
    "compute",
)

lazy(
    __name__,
    {
        "Run": _targets.RUN,
        "ScriptRun": "mlflows.history.run:ScriptRun",
        "Workspace": _targets.WORKSPACE,
        "Experiment": _targets.EXPERIMENT,
        "ScriptRunConfig": "mlflows.config.script_run_config:ScriptRunConfig",
        "RunConfiguration": "mlflows.config.run_configuration:RunConfiguration",
        "Environment": "mlflows.environments.environment:Environment",
        "ContainerRegistry": "mlflows.environments.sections:ContainerRegistry",
        "Dataset": _targets.DATASET,
        "Datastore": _targets.DATASTORE,
        "ComputeTarget": "mlflows.compute.targets:ComputeTarget",
        "Keyvault": _targets.KEYVAULT,
        **_targets.IN_JOB_ONLY,
        **{name: "azureml.core." + name for name in _SUBMODULES},
    },
)
