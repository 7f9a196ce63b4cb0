"""Supervisors kept started ahead of the next jobs: a local run then does not wait for its interpreter to start (30 ms).

Only a resident process keeps a spare; in any other ``take`` finds none.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import mlflows

SUPERVISOR = (sys.executable, "-S", "-E", "-s", str(Path(mlflows.__file__).parent / "job" / "supervisor.py"))
"""Its interpreter is this package's own, so that the user's may be of any age; the flags keep the start short."""

SPARES = 2
"""Of submits one after another each finds one ready."""

REFILL_SECONDS = 0.4
"""The next spare is started when the run that took this one is under way."""

_lock = threading.Lock()
_kept: list[subprocess.Popen[bytes]] = []
_keeping = False


def keep() -> None:
    """From now on this process has a spare."""
    global _keeping
    _keeping = True
    _refill()


def take(folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
    """The spare, told to supervise the folder; None if there is none, or if it has died."""
    with _lock:
        spare = _kept.pop() if _kept else None
    if spare is None:
        return None
    refill = threading.Timer(REFILL_SECONDS, _refill)
    refill.daemon = True
    refill.start()
    assert spare.stdin is not None
    try:
        with spare.stdin as told:
            told.write(json.dumps({"folder": str(folder), "environment": dict(environment)}).encode() + b"\n")
    except OSError:
        spare.wait()
        return None
    return spare


def _refill() -> None:
    with _lock:
        while _keeping and len(_kept) < SPARES:
            # a session of its own: what ends this process's group must not end the job that the spare will be
            spare = subprocess.Popen(
                SUPERVISOR, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True
            )
            _kept.append(spare)
