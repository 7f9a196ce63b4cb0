"""Processes of this machine. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

from mlflows.job.layout import FOLDER_VARIABLE


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5), stat field 22): with its pid it names the process for good.

    None: no such process, or only a zombie.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def job_processes(folder: Path | None = None) -> dict[str, list[int]]:
    """Live processes of this user by the job folder in their environment: all that a run has started, however far they went.

    Args:
        folder: only those of this one.
    """
    found: dict[str, list[int]] = {}
    mark = f"{FOLDER_VARIABLE}=".encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environ = Path(entry.path, "environ").read_bytes()
        except OSError:  # gone, or somebody else's
            continue
        if mark not in environ:
            continue
        values = [item[len(mark) :].decode(errors="surrogateescape") for item in environ.split(b"\0") if item.startswith(mark)]
        if values and (folder is None or values[0] == str(folder)) and start_ticks(int(entry.name)) is not None:
            found.setdefault(values[0], []).append(int(entry.name))
    return found
