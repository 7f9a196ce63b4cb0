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
DATASET = "mlflows.job.proxies:Dataset" if _IN_JOB else "mlflows.data.dataset:Dataset"
IN_JOB_ONLY = {"Model": "mlflows.job.proxies:Model"} if _IN_JOB else {}
