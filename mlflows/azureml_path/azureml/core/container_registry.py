"""azureml.core.container_registry."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "ContainerRegistry": "mlflows.environments.sections:ContainerRegistry",
    },
)
