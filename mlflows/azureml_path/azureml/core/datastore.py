"""azureml.core.datastore."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "Datastore": _targets.DATASTORE,
    },
)
