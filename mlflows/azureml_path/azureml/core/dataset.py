"""azureml.core.dataset."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "Dataset": _targets.DATASET,
    },
)
