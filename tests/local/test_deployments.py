"""deployments/prefect.yaml works as it stands: deployed, run by a real worker, Completed in both servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, Services
from mlflows import settings

LINES = """\
prefect work-pool create training --type process
prefect deploy --prefect-file deployments/prefect.yaml --all
prefect worker start --pool training &
prefect deployment run script-run/quickstart --watch
"""
"""As deployments/README.md has them."""


def test_a_worker_runs_the_deployment(services: Services, tmp_path: Path) -> None:
    record = settings.services_record()
    environment = {
        **os.environ,
        "PREFECT_API_URL": record["prefect"]["url"] + "/api",
        "MLFLOW_TRACKING_URI": record["mlflow"]["url"],
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "TMPDIR": str(tmp_path),  # a worker's own folder there may be another user's
        "MLFLOWS_HOME": str(tmp_path / "home"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PWD": str(ROOT),
    }

    create, deploy, work, run = [[sys.executable, "-m", *line.rstrip(" &").split()] for line in LINES.splitlines()]

    def prefect(command: list[str]) -> str:
        done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert LINES in (ROOT / "deployments" / "README.md").read_text()
    prefect(create)
    prefect(deploy)
    log = (tmp_path / "worker.log").open("w")
    worker = subprocess.Popen(work, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        output = prefect(run)
    finally:
        os.killpg(worker.pid, signal.SIGTERM)
        worker.wait(30)
    assert "finished successfully" in output.replace("\n", " "), output + (tmp_path / "worker.log").read_text()
    runs = json.loads(services.mlflows("runs", "-e", "quickstart", "--json"))
    assert runs[0]["status"] == "Completed"
