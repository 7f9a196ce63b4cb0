"""What happens when a flow run has ended, whichever way."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any

from mlflows import settings
from mlflows.flows import steering
from mlflows.job import layout


def mark_closed(flow: Any, flow_run: Any, state: Any) -> None:
    """Write closed.json: flow and history are closed; who waits for the run may go on."""
    known = steering.forget(str(flow_run.id))
    run_id = known.run_id if known else (flow_run.parameters or {}).get("run_id")
    if not run_id:
        return
    folder = settings.job_folder(run_id)
    if not folder.is_dir():
        return
    temporary = folder / (layout.CLOSED_FILE + ".tmp")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps({"state": state.name, "at": time.time(), "by": os.getpid()}))
        temporary.replace(folder / layout.CLOSED_FILE)
