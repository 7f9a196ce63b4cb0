"""azureml.core.workspace."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "Workspace": _targets.WORKSPACE,
    },
)
