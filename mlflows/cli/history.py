"""runs, show, logs, cancel."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from mlflows.cli.tables import print_table
from mlflows.exceptions import UserErrorException
from mlflows.history import status
from mlflows.history import tags as names
from mlflows.history.run import Run
from mlflows.history.runs import tag_filter
from mlflows.history.tracking import MlflowRun, Tracking
from mlflows.job import layout
from mlflows.workspace import Workspace

HEADER = ("RUN", "EXPERIMENT", "STATUS", "STARTED", "TOOK")
SHORTEST_BEGINNING = 3


def runs(options: argparse.Namespace) -> int:
    """List them."""
    if options.status and options.status not in status.RunStatus.list():
        raise UserErrorException(f"--status: {options.status!r} is not one of {', '.join(status.RunStatus.list())}.")
    tracking = Workspace._here()._tracking()
    wanted = {names.RUN_ID: None, **({names.STATUS: options.status} if options.status else {})}
    found = list(tracking.search_runs(_experiments(tracking, options.experiment), tag_filter(wanted), most=options.number))
    if options.json:
        print(json.dumps([_described(tracking, run) for run in found], indent=2))
        return 0
    print_table([HEADER, *(_row(run) for run in found)])
    return 0


def show(options: argparse.Namespace) -> int:
    """Show one."""
    run = _run(options.run)
    details = run.get_details()
    metrics = run.get_metrics()
    if options.json:
        print(json.dumps({**details, "metrics": metrics, "url": run.get_portal_url()}, indent=2, default=str))
        return 0
    lines = {
        "Run": details["runId"],
        "Experiment": run.experiment.name,
        "Status": details["status"],
        "Target": details.get("target"),
        "Started": details.get("startTimeUtc"),
        "Ended": details.get("endTimeUtc"),
        "Error": _error_of(details),
        "Tags": _pairs(run.get_tags()),
        "Metrics": _pairs(metrics),
        "Page": run.get_portal_url(),
    }
    for title, value in lines.items():
        if value:
            print(f"{title + ':':12}{value}")
    return 0


def logs(options: argparse.Namespace) -> int:
    """Print its log, or follow it."""
    if options.follow and options.json:
        print("mlflows: error: --follow and --json cannot be combined", file=sys.stderr)
        return 2
    run = _run(options.run)
    if options.follow:
        run.wait_for_completion(show_output=True, raise_on_error=False)
        return 0
    all_logs = run.get_details_with_logs()["logFiles"]
    found = {name: text for name, text in all_logs.items() if name.startswith(f"{layout.USER_LOGS}/")}
    if not found:  # it did not come to the script: what was built for it says why
        found = {name: text for name, text in all_logs.items() if name.startswith(f"{layout.BUILD_LOGS}/")}
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for name, text in sorted(found.items()):
        if len(found) > 1:
            print(f"==> {name} <==")
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
    return 0


def cancel(options: argparse.Namespace) -> int:
    """Ask it to stop."""
    run = _run(options.run)
    before = run.get_status()
    if before in status.TERMINAL:
        print(f"{run.id} has ended already: {before}", file=sys.stderr)
        return 0
    run.cancel()
    print(f"{run.id}: asked to stop", file=sys.stderr)
    return 0


def _run(identifier: str) -> Run:
    """The run of this id, or the only one whose id begins so."""
    workspace = Workspace._here()
    try:
        return workspace.get_run(identifier)
    except UserErrorException:
        matching = _beginning_with(workspace._tracking(), identifier)
    if len(matching) == 1:
        return workspace.get_run(matching[0])
    if matching:
        raise UserErrorException(f"Several runs begin with {identifier!r}: {', '.join(matching)}.")
    raise UserErrorException(f"There is no run {identifier!r}. `mlflows runs` lists them.")


def _beginning_with(tracking: Tracking, identifier: str) -> list[str]:
    if len(identifier) < SHORTEST_BEGINNING or not identifier.replace("-", "").replace("_", "").isalnum():
        return []
    where = f"tags.`{names.RUN_ID}` LIKE '{identifier}%'"  # an underscore is any character there
    found = tracking.search_runs(_experiments(tracking, None), where, most=1000)
    return [run.tags[names.RUN_ID] for run in found if run.tags[names.RUN_ID].startswith(identifier)][:10]


def _experiments(tracking: Tracking, name: str | None) -> list[str]:
    if name is None:
        return [str(record["experiment_id"]) for record in _all_experiments(tracking)]
    found = tracking.find_experiment(name)
    if found is None:
        known = ", ".join(record["name"] for record in _all_experiments(tracking))
        raise UserErrorException(f"There is no experiment {name!r}. There are: {known}.")
    return [found]


def _all_experiments(tracking: Tracking) -> Iterator[dict[str, Any]]:
    body: dict[str, Any] = {"max_results": 1000}
    while True:
        answer = tracking.post("experiments/search", body)
        yield from answer.get("experiments", [])
        if not answer.get("next_page_token"):
            return
        body = {**body, "page_token": answer["next_page_token"]}


def _described(tracking: Tracking, run: MlflowRun) -> dict[str, Any]:
    return {
        "run_id": run.tags.get(names.RUN_ID),
        "experiment": run.tags.get(names.EXPERIMENT),
        "status": status.status_of(run.tags, run.status),
        "name": run.tags.get(names.RUN_NAME),
        "target": run.tags.get(names.TARGET),
        "started": _utc(run.start_ms),
        "ended": _utc(run.end_ms),
        "mlflow_run_id": run.run_id,
        "url": tracking.run_url(run.experiment_id, run.run_id),
    }


def _row(run: MlflowRun) -> tuple[str, ...]:
    started = datetime.datetime.fromtimestamp((run.start_ms or 0) / 1000).strftime("%Y-%m-%d %H:%M:%S")
    took = ((run.end_ms or time.time() * 1000) - (run.start_ms or 0)) / 1000
    word = status.status_of(run.tags, run.status)
    return (run.tags[names.RUN_ID], run.tags.get(names.EXPERIMENT, ""), word, started, _duration(took))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _utc(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds")


def _error_of(details: dict[str, Any]) -> str:
    error = details.get("error") or {}
    return str(error.get("error", error).get("message") or "")


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
