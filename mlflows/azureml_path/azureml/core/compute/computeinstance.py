"""azureml.core.compute.computeinstance."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "ComputeInstance": "mlflows.compute.targets:ComputeInstance",
    },
)
