"""azureml.core.compute.kubernetescompute."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "KubernetesCompute": "mlflows.compute.targets:KubernetesCompute",
    },
)
