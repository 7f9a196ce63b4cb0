"""azureml.core.run."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "Run": _targets.RUN,
        "_OfflineRun": "mlflows.job.offline:_OfflineRun",
        "_SubmittedRun": "mlflows.job.run:_SubmittedRun",
        "RunStatus": "mlflows.history.status:RunStatus",
    },
)
