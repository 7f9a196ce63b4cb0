"""A trivial script, submitted warm: from the start of the submitting process to the script's first line and to Completed."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from benchmarks import ours, scratch
from benchmarks.peers import metaflow_flow, mlflow_project, prefect_flow, submitit_job, torchx_app
from benchmarks.report import Goal, Table, ratio, seconds, under
from benchmarks.timing import Command, Timing, in_turn, median

NAME = "submit"
PEERS = (metaflow_flow, submitit_job, torchx_app, prefect_flow, mlflow_project)
GOAL_SECONDS = 0.35
GOAL_SHARE = 0.5


def measure(runs: int) -> list[Table]:
    """Time our own submit and each peer's, in turn."""
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlflows-bench-")))
        commands: dict[str, Command] = {ours.NAME: stack.enter_context(ours.prepared(_subfolder(root, "ours")))}
        for peer in PEERS:
            python = scratch.interpreter(peer.PACKAGE, peer.REQUIREMENTS)
            label = f"{peer.NAME} ({scratch.version(python, peer.PACKAGE)})"
            commands[label] = stack.enter_context(peer.prepared(_subfolder(root, peer.PACKAGE), python))
        timings = in_turn(commands, runs)
    return [table(timings, runs)]


def table(timings: dict[str, list[Timing]], runs: int) -> Table:
    """Medians, each with its ratio to ours, and the goals."""
    first = {name: median([timing.first_line for timing in values]) for name, values in timings.items()}
    whole = {name: median([timing.whole for timing in values]) for name, values in timings.items()}
    mine = whole[ours.NAME]
    rows = [
        (name, [seconds(first[name]), ratio(first[name], first[ours.NAME]), seconds(whole[name]), ratio(whole[name], mine)])
        for name in sorted(whole, key=lambda name: whole[name])
    ]
    return Table(
        f"warm submit of a trivial script, seconds, whole submitting process (median of {runs})",
        ["to first line", "ratio", "to Completed", "ratio"],
        rows,
        _goals(whole),
    )


def _goals(whole: dict[str, float]) -> list[Goal]:
    mine = whole[ours.NAME]
    fastest = min((value, name) for name, value in whole.items() if name != ours.NAME)
    share = mine / fastest[0]
    return [
        under(f"Completed under {GOAL_SECONDS} s", mine, GOAL_SECONDS, "s"),
        Goal(f"under {GOAL_SHARE} of the fastest peer, {fastest[1]}", f"{share:.2f}", share < GOAL_SHARE),
    ]


def _subfolder(root: Path, name: str) -> Path:
    path = root / name
    path.mkdir()
    return path
