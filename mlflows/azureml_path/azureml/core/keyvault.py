"""azureml.core.keyvault."""

from azureml import _targets
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "Keyvault": _targets.KEYVAULT,
    },
)
