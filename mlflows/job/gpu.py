"""What the GPUs do, every ten seconds, where there is an nvidia-smi: one JSON line each time."""

import json
import os
import signal
import time

from mlflows.job import mpi, processes

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

SECONDS = 10
FIELDS = ("index", "utilization.gpu", "utilization.memory", "memory.used", "memory.total", "power.draw")
NAMES = ("gpu", "utilization", "memory_utilization", "memory_mib", "memory_total_mib", "power_w")


class Sampler:
    """An nvidia-smi that reports by itself; ``descriptor`` is readable when it has said something, None when it has ended."""

    def __init__(self, pid, descriptor, path):
        # type: (int, int, str) -> None
        self.descriptor = descriptor  # type: int | None
        self._pid = pid
        self._path = path
        self._rest = b""

    def take(self):
        # type: () -> None
        """Write down what it has said."""
        assert self.descriptor is not None
        chunk = os.read(self.descriptor, 65536)
        if not chunk:
            os.close(self.descriptor)
            self.descriptor = None
            return
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        gpus = [gpu for gpu in map(parse, lines) if gpu]
        if gpus:
            self._append({"t": round(time.time(), 3), "gpus": gpus})

    def stop(self):
        # type: () -> None
        """End it."""
        if self.descriptor is not None:
            processes.signal_group(self._pid, signal.SIGKILL)

    def _append(self, sample):
        # type: (dict[str, Any]) -> None
        try:
            with open(self._path, "a") as handle:
                handle.write(json.dumps(sample) + "\n")
        except OSError:
            pass  # a full disk: the next sample may fit again


def start(path):
    # type: (str) -> Sampler | None
    """Start sampling into ``path``; None on a machine without nvidia-smi."""
    program = mpi.which("nvidia-smi", os.environ.get("PATH", os.defpath))
    if program is None:
        return None
    argv = [program, "--query-gpu=" + ",".join(FIELDS), "--format=csv,noheader,nounits", "--loop={}".format(SECONDS)]
    read_end, write_end = os.pipe()
    try:
        pid = processes.spawn([os.fsencode(argument) for argument in argv], dict(os.environb), "/", write_end)
    except processes.StartError:
        os.close(read_end)
        return None
    finally:
        os.close(write_end)
    return Sampler(pid, read_end, path)


def parse(line):
    # type: (bytes) -> dict[str, Any] | None
    """One GPU's line: utilisation in percent, memory in MiB, power in W; a value the driver does not have is None."""
    values = [value.strip() for value in line.decode("utf-8", "replace").split(",")]
    if len(values) != len(FIELDS) or not values[0].isdigit():
        return None
    return {name: _number(value) for name, value in zip(NAMES, values)}  # noqa: B905 (strict= is newer)


def _number(text):
    # type: (str) -> float | None
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return None
