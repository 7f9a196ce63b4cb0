"""Several processes that begin at the same moment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SECONDS = 240


def shared_out(command: Sequence[str], work: Sequence[Any], processes: int, environment: Mapping[str, str] | None = None) -> list[Any]:
    """Have several processes do some work together; what they answer, in no order.

    Each prints ``ready``, reads its share of the work as a line of JSON, and prints a list of answers as JSON. None gets its share before
    all are ready.
    """
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"

    def ask(index: int) -> str:
        answer, _ = started[index].communicate(json.dumps(work[index::processes]) + "\n", timeout=SECONDS)
        return answer

    with ThreadPoolExecutor(processes) as pool:
        answers = list(pool.map(ask, range(processes)))
    assert [process.returncode for process in started] == [0] * processes
    return [each for answer in answers for each in json.loads(answer)]
