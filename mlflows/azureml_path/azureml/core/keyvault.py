"""azureml.core.keyvault."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "Keyvault": _targets.KEYVAULT,
    },
)
