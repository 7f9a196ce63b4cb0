"""Where names come from that depend on the place: in a job the script-side classes, elsewhere those of the submitting side."""

import os
import sys

from mlflows._lazy import OLDEST

_IN_JOB = "MLFLOWS_JOB_FOLDER" in os.environ
_BY_MAILBOX = _IN_JOB and sys.version_info < OLDEST

RUN = "mlflows.job.run:Run" if _IN_JOB else "mlflows.history.run:Run"
WORKSPACE = "mlflows.job.proxies:Workspace" if _BY_MAILBOX else "mlflows.workspace:Workspace"
EXPERIMENT = "mlflows.job.proxies:Experiment" if _BY_MAILBOX else "mlflows.experiment:Experiment"
KEYVAULT = "mlflows.job.proxies:Keyvault" if _BY_MAILBOX else "mlflows.keyvault:Keyvault"
DATASET = "mlflows.job.datasets:Dataset" if _BY_MAILBOX else "mlflows.data.dataset:Dataset"
DATASTORE = "mlflows.job.datastores:Datastore" if _BY_MAILBOX else "mlflows.data.datastore:Datastore"
DATASETS = {
    name: "mlflows.job.datasets:" + name if _BY_MAILBOX else "mlflows.data.dataset:" + name
    for name in ("AbstractDataset", "FileDataset", "TabularDataset")
}
FACTORIES = {
    name: "mlflows.job.datasets:" + name if _BY_MAILBOX else "mlflows.data.dataset_factory:" + name
    for name in ("FileDatasetFactory", "TabularDatasetFactory")
}
IN_JOB_ONLY = {"Model": "mlflows.job.proxies:Model"} if _IN_JOB else {}
