"""azureml.widgets."""

from mlflows._lazy import extend_path, lazy

__path__ = extend_path(__path__, __name__)

lazy(
    __name__,
    {
        "RunDetails": "mlflows.history.details:RunDetails",
    },
)
