"""azureml.core.script_run_config."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "ScriptRunConfig": "mlflows.config.script_run_config:ScriptRunConfig",
        "MAX_DURATION_SECONDS_DEFAULT": "mlflows.config.script_run_config:MAX_DURATION_SECONDS_DEFAULT",
    },
)
