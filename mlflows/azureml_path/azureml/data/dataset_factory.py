"""azureml.data.dataset_factory."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "FileDatasetFactory": _targets.FACTORIES["FileDatasetFactory"],
        "TabularDatasetFactory": _targets.FACTORIES["TabularDatasetFactory"],
        "DataType": "mlflows.data.data_type:DataType",
    },
)
