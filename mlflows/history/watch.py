"""One thread that looks at the folders of all runs of this process and wakes whoever waits for a change there.

A hundred idle runs cost a hundred times a few ``stat`` calls every 50 ms, not a hundred threads waking up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

INTERVAL = 0.05

_lock = threading.Lock()
_watched: dict[int, Callable[[], None]] = {}
_thread: threading.Thread | None = None


def watch(look: Callable[[], None]) -> int:
    """Call ``look`` every 50 ms until ``unwatch``; it must be quick and raise nothing. A ticket for unwatch."""
    global _thread
    with _lock:
        ticket = max(_watched, default=0) + 1
        _watched[ticket] = look
        if _thread is None:
            _thread = threading.Thread(target=_run, name="mlflows-watch", daemon=True)
            _thread.start()
    return ticket


def unwatch(ticket: int) -> None:
    """Stop calling; the thread ends with its last customer."""
    with _lock:
        _watched.pop(ticket, None)


def _run() -> None:
    global _thread
    while True:
        with _lock:
            if not _watched:
                _thread = None
                return
            looks = list(_watched.values())
        for look in looks:
            look()
        time.sleep(INTERVAL)
