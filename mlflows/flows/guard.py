"""Keeps the resident runner running: a small process that starts it again when it dies. Standard library only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

TAKEN = 75
"""Exit code of a runner that found another one at work."""
SHORTEST_LIFE_SECONDS = 20.0
MOST_PAUSE_SECONDS = 30.0


def main() -> int:
    """Run the runner until asked to stop; the exit code is 0 then."""
    pause = 0.5
    for number in (signal.SIGTERM, signal.SIGINT):
        # the runner is in the same process group and gets the signal, too
        signal.signal(number, lambda *_: os._exit(0))
    while True:
        began = time.monotonic()
        code = subprocess.call([sys.executable, "-m", "mlflows.flows.runner"], stdin=subprocess.DEVNULL)
        if code == 0:
            return 0
        # one that dies at once would otherwise be started without end
        pause = 0.5 if time.monotonic() - began > SHORTEST_LIFE_SECONDS else min(2 * pause, MOST_PAUSE_SECONDS)
        what = "another one is at work" if code == TAKEN else f"it ended with {code}"
        print(f"mlflows guard: no runner here: {what}; trying again in {pause:.1f} s", file=sys.stderr, flush=True)
        time.sleep(pause)


if __name__ == "__main__":
    sys.exit(main())
