"""azureml.data.datapath."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "DataPath": "mlflows.data.datapath:DataPath",
        "DataPathComputeBinding": "mlflows.data.datapath:DataPathComputeBinding",
    },
)
