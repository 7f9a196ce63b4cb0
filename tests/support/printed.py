"""What the quickstart prints, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

RUN_ID = re.compile(r"\bquickstart_\d{10}_[0-9a-f]{8}\b")
PREFECT_LINK = re.compile(r"https?://\S+/runs/flow-run/[0-9a-f-]{36}")
MLFLOW_LINK = re.compile(r"https?://\S+/#/experiments/\d+/runs/[0-9a-f]{32}")


@dataclass(frozen=True)
class Quickstart:
    """The run's id and its two links."""

    run_id: str
    prefect_link: str
    mlflow_link: str


def quickstart(output: str) -> Quickstart:
    """Take them from the output of ``examples/quickstart/submit.py``, and check what else must be there.

    Raises:
        AssertionError: something is missing; the message has the output.
    """
    found = [pattern.search(output) for pattern in (RUN_ID, PREFECT_LINK, MLFLOW_LINK)]
    run_id, prefect_link, mlflow_link = [match.group() if match else "" for match in found]
    assert run_id and prefect_link and mlflow_link, f"no run id or link in\n{output}"
    assert re.search(r"^alpha 0\.05  mse \d+\.\d$", output, re.MULTILINE), f"the script's output was not streamed:\n{output}"
    assert re.search(r"^best_mse: \d+\.\d+$", output, re.MULTILINE), f"no metrics in\n{output}"
    assert output.rstrip().endswith("Status: Completed"), f"not Completed:\n{output}"
    return Quickstart(run_id, prefect_link, mlflow_link)
