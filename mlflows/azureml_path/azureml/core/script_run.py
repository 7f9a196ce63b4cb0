"""azureml.core.script_run."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "ScriptRun": "mlflows.history.run:ScriptRun",
    },
)
