"""Time processes from outside: from their start to a line of their output, and to their end."""

from __future__ import annotations

import concurrent.futures
import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """A process to time. ``environment`` is added to ours; ``marker`` is the text of the line waited for."""

    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    marker: str = "first line"


@dataclass(frozen=True)
class Timing:
    """Seconds from the start of a process to the marker in its output and to its end."""

    first_line: float
    whole: float


def time_command(command: Command) -> Timing:
    """Run ``command`` once.

    Raises:
        RuntimeError: it failed, or the marker never came; the message holds its output.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command.argv,
        cwd=command.cwd,
        env={**os.environ, **command.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    first = None
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        if first is None and command.marker in line:
            first = time.perf_counter() - started
        lines.append(line)
    code = process.wait()
    whole = time.perf_counter() - started
    if code != 0 or first is None:
        seen = "missing" if first is None else "seen"
        raise RuntimeError(f"{' '.join(command.argv)}\nexit code {code}, {command.marker!r} {seen}:\n{''.join(lines)}")
    return Timing(first, whole)


def at_once(command: Command, count: int) -> float:
    """Start ``command`` this many times together; seconds until the last one has ended.

    Raises:
        RuntimeError: one of them failed; the message holds its output.
    """
    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        for waiting in [threads.submit(time_command, command) for _ in range(count)]:
            waiting.result()
    return time.perf_counter() - started


def in_turn(commands: Mapping[str, Command], runs: int) -> dict[str, list[Timing]]:
    """Time each command ``runs`` times, one after the other in turn, so that a slow spell of the machine meets all of them.

    One run of each before that is not counted: it fills caches and creates databases.
    """
    for command in commands.values():
        time_command(command)
    timings: dict[str, list[Timing]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            timings[name].append(time_command(command))
    return timings


def median(values: Sequence[float]) -> float:
    """Median of the values."""
    return statistics.median(values)
