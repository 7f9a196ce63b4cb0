"""Files to and from a bucket: one of 2 GB, then 20,000 of 16 KB, against s5cmd and s3fs; and 20,000 files as an input that is cached.

Each transfer is a process of its own, the sides in turn, with nothing left to write when it begins; what has arrived is compared with
what was sent, byte by byte, after the clock has stopped. Server and clients share this machine's processors.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import minio, scratch
from benchmarks.ours import NAME as OURS
from benchmarks.peers import s3fs_get, s5cmd_cp
from benchmarks.report import Goal, Table, ratio, under
from benchmarks.timing import median
from mlflows.data import view

NAME = "data"
LARGE_BYTES = 2_000_000_000
FOLDERS = 200
FILES_IN_EACH = 100
FILE_BYTES = 16384
SCALE_VARIABLE = "MLFLOWS_BENCH_SCALE"
"""A part of these sizes, such as 0.01, to see whether all of it works."""
MOST_RUNS = 3
"""Each run takes minutes."""
GOAL_LARGE = 0.9
GOAL_SMALL = 3.0
GOAL_WARM_SECONDS = 1.0

LARGE, SMALL, TINY = "large", "small", "tiny"
DOWN, UP = "download", "upload"
COLD, WARM, SYNC_COLD, SYNC_WARM = "input, nothing cached", "input, all of it cached", "s5cmd sync, nothing there", "s5cmd sync, all there"
BUCKET = "bench"

DATASTORE = f"""\
import json, os, sys, time
from types import SimpleNamespace
from mlflows.data.datastore_kinds import S3Datastore
from mlflows.data.s3_store import S3Settings

address, key, secret = (os.environ["AWS_" + name] for name in ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
settings = S3Settings({BUCKET!r}, endpoint=address, access_key_id=key, secret_access_key=secret)
datastore = S3Datastore(SimpleNamespace(name="bench"), "bench", settings)
"""
"""As Datastore.get makes it, without a server to ask."""
DOWNLOAD = DATASTORE + "datastore.download(sys.argv[1], prefix=sys.argv[2])"
UPLOAD = DATASTORE + "datastore.upload(sys.argv[1], sys.argv[2])"
INPUT = (
    DATASTORE
    + """\
from mlflows import Dataset
from mlflows.data import view

began = time.perf_counter()
files = Dataset.File.from_files((datastore, sys.argv[2]), validate=False)._files()
listed = time.perf_counter() - began
view.fill(files, sys.argv[1], writable=False)
print(json.dumps([listed, time.perf_counter() - began]))
"""
)
"""As a run has it: the supervisor is there, with its imports."""


@dataclass(frozen=True)
class Sample:
    """Seconds of a whole process; its CPU seconds, and the server's; the last line it printed."""

    seconds: float
    cpu: float
    server_cpu: float
    printed: str = ""


@dataclass(frozen=True)
class Load:
    """What is moved: so many files, and bytes in all of them together."""

    title: str
    files: int
    size: int


@dataclass(frozen=True)
class Side:
    """Command lines that copy a prefix of the bucket into a folder of its name, and a folder to a prefix."""

    download: Callable[[str, Path], list[str]]
    upload: Callable[[Path, str], list[str]]


Samples = dict[str, dict[str, list[Sample]]]
"""Side -> download or upload -> samples."""


def measure(runs: int) -> list[Table]:
    """Nothing, and a line that says why, where MinIO or Go are not there."""
    program, go = minio.find(), s5cmd_cp.find_go()
    if program is None or go is None:
        lacks = f"no MinIO in {minio.PROGRAMS} (infra/dev/minio.sh)" if program is None else "no Go to build s5cmd with (https://go.dev/dl)"
        print(f"no data: {lacks}", file=sys.stderr)
        return []
    runs = min(runs, MOST_RUNS)
    s5cmd, python = s5cmd_cp.program(go), scratch.interpreter(s3fs_get.PACKAGE, s3fs_get.REQUIREMENTS)
    loads = _loads()
    with tempfile.TemporaryDirectory(prefix="mlflows-bench-") as folder, minio.running(program, Path(folder) / "server") as server:
        bench = _Bench(Path(folder), server, s5cmd)
        sides = _sides(s5cmd, python)
        bench.prepare(loads, sides)
        transfers = {name: bench.transfers(name, sides, runs) for name in loads}
        inputs = bench.inputs(runs)
    return [*(table(name, loads[name], transfers[name], runs) for name in loads), input_table(inputs, loads[SMALL], runs)]


def table(name: str, load: Load, samples: Samples, runs: int) -> Table:
    """Medians by side, each rate with its ratio to ours, and the goals: of the large file both ways, of the small ones down."""
    unit, amount = ("MB/s", load.size / 1e6) if name == LARGE else ("files/s", load.files)
    rates = {way: {side: amount / median([each.seconds for each in ways[way]]) for side, ways in samples.items()} for way in (DOWN, UP)}
    rows = []
    for side, ways in samples.items():
        cells = []
        for way in (DOWN, UP):
            gigabytes = load.size / 1e9
            used = [median([getattr(each, what) for each in ways[way]]) / gigabytes for what in ("cpu", "server_cpu")]
            cells += [f"{rates[way][side]:.0f}", ratio(rates[way][side], rates[way][OURS]), *(f"{value:.2f}" for value in used)]
        rows.append((side, cells))
    columns = [column for way in ("down", "up") for column in (f"{way}: {unit}", "ratio", "CPU s/GB", "server's")]
    goals = [_against_best(way, rates[way]) for way in (DOWN, UP)] if name == LARGE else [_against_s3fs(rates[DOWN])]
    return Table(f"{load.title} from and to MinIO, whole process (median of {runs})", columns, rows, goals)


def input_table(samples: Mapping[str, Sequence[Sample]], load: Load, runs: int) -> Table:
    """Medians; of ours also what was printed: seconds for the listing, and for listing and folder together."""
    rows = []
    for case, values in samples.items():
        inner = [json.loads(each.printed) for each in values] if case in (COLD, WARM) else []
        cells = [f"{median([each.seconds for each in values]):.2f}", f"{median([each.cpu for each in values]):.2f}"]
        rows.append((case, cells + [f"{median([pair[at] for pair in inner]):.3f}" if inner else "" for at in (0, 1)]))
    warm = median([json.loads(each.printed)[1] for each in samples[WARM]])
    return Table(
        f"{load.title} in a folder, seconds (median of {runs}; nothing cached: once)",
        ["whole process", "CPU", "listing", "listing and folder"],
        rows,
        [under(f"listing and folder under {GOAL_WARM_SECONDS:.0f} s when all is cached", warm, GOAL_WARM_SECONDS, "s")],
    )


class _Bench:
    """A server with a bucket, the files that are sent, and room for what is received."""

    def __init__(self, folder: Path, server: minio.Server, s5cmd: Path) -> None:
        self._source = folder / "source"
        self._folder, self._server, self._s5cmd = folder, server, s5cmd
        self._environment = {**server.environment, "MLFLOWS_HOME": str(folder / "home")}

    def prepare(self, loads: Mapping[str, Load], sides: Mapping[str, Side]) -> None:
        """What is downloaded is the same for all. Each has run once, so that its programs are compiled and in memory."""
        _write_large(self._source / LARGE, loads[LARGE].size)
        _write_small(self._source / SMALL, loads[SMALL].files // FILES_IN_EACH)
        _write_large(self._source / TINY, FILE_BYTES)
        self._run(s5cmd_cp.make_bucket(self._s5cmd, BUCKET))
        for name in (LARGE, SMALL, TINY):
            self._run(s5cmd_cp.upload(self._s5cmd, self._source / name, BUCKET, name))
        self.transfers(TINY, sides, runs=1)

    def transfers(self, name: str, sides: Mapping[str, Side], runs: int) -> Samples:
        """Each side in turn, both ways."""
        samples: Samples = {side: {DOWN: [], UP: []} for side in sides}
        for _ in range(runs):
            for side, commands in sides.items():
                with self._received(name) as received:
                    samples[side][DOWN].append(self._run(commands.download(name, received)))
            for side, commands in sides.items():
                sent = f"sent/{name}"
                samples[side][UP].append(self._run(commands.upload(self._source / name, sent)))
                with self._received(name, sent) as received:
                    self._run(s5cmd_cp.download(self._s5cmd, BUCKET, sent, received))
                self._run(s5cmd_cp.remove(self._s5cmd, BUCKET, sent))
        return samples

    def inputs(self, runs: int) -> dict[str, list[Sample]]:
        """Ours as a run has it; s5cmd's sync into a folder that has it all."""
        ours = [sys.executable, "-c", INPUT, str(self._folder / "input" / SMALL), SMALL]
        sync = s5cmd_cp.sync(self._s5cmd, BUCKET, SMALL, self._folder / "synced")
        samples: dict[str, list[Sample]] = {COLD: [self._input(ours)], WARM: [], SYNC_COLD: [self._run(sync)], SYNC_WARM: []}
        for _ in range(runs):
            samples[WARM].append(self._input(ours))
            samples[SYNC_WARM].append(self._run(sync))
        return samples

    def _input(self, argv: Sequence[str]) -> Sample:
        sample = self._run(argv)
        self._compare(SMALL, self._folder / "input" / SMALL)
        view.remove(str(self._folder / "input"))
        return sample

    @contextmanager
    def _received(self, name: str, prefix: str | None = None) -> Iterator[Path]:
        """A folder that what comes into it is compared in and removed from."""
        received = self._folder / "received"
        received.mkdir()
        yield received
        self._compare(name, received / (prefix or name))
        shutil.rmtree(received)

    def _compare(self, name: str, folder: Path) -> None:
        """Raises RuntimeError if names or bytes differ."""
        done = subprocess.run(["diff", "--recursive", "--brief", self._source / name, folder], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name}: what arrived is not what was sent:\n{(done.stdout + done.stderr)[-2000:]}")

    def _run(self, argv: Sequence[str]) -> Sample:
        """Raises RuntimeError with what was printed if the command fails."""
        os.sync()
        with (self._folder / "output").open("w+b") as output:
            before, began = self._server.cpu_seconds(), time.perf_counter()
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environment)
            _, status, usage = os.wait4(process.pid, 0)
            spent, served = time.perf_counter() - began, self._server.cpu_seconds() - before
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            printed = output.read().decode(errors="replace")
        if process.returncode:
            raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}:\n{printed[-4000:]}")
        return Sample(spent, usage.ru_utime + usage.ru_stime, served, (printed.splitlines() or [""])[-1])


def _loads() -> dict[str, Load]:
    scale = float(os.environ.get(SCALE_VARIABLE) or 1)
    large, folders = int(LARGE_BYTES * scale), max(int(FOLDERS * scale), 1)
    files = folders * FILES_IN_EACH
    return {
        LARGE: Load(f"1 file of {large / 1e9:g} GB", 1, large),
        SMALL: Load(f"{files:,} files of {FILE_BYTES} bytes", files, files * FILE_BYTES),
    }


def _sides(s5cmd: Path, python: Path) -> dict[str, Side]:
    ours = [sys.executable, "-c"]
    return {
        OURS: Side(
            lambda prefix, folder: [*ours, DOWNLOAD, str(folder), f"{prefix}/"], lambda folder, prefix: [*ours, UPLOAD, str(folder), prefix]
        ),
        s5cmd_cp.NAME: Side(
            lambda prefix, folder: s5cmd_cp.download(s5cmd, BUCKET, prefix, folder),
            lambda folder, prefix: s5cmd_cp.upload(s5cmd, folder, BUCKET, prefix),
        ),
        s3fs_get.NAME: Side(
            lambda prefix, folder: s3fs_get.download(python, BUCKET, prefix, folder),
            lambda folder, prefix: s3fs_get.upload(python, folder, BUCKET, prefix),
        ),
    }


def _write_large(folder: Path, size: int) -> None:
    folder.mkdir(parents=True)
    with (folder / "data.bin").open("wb") as file:
        for begin in range(0, size, 1 << 23):
            file.write(os.urandom(min(1 << 23, size - begin)))


def _write_small(folder: Path, folders: int) -> None:
    """Each of other content."""
    for number in range(folders):
        subfolder = folder / f"part_{number:03}"
        subfolder.mkdir(parents=True)
        for file in range(FILES_IN_EACH):
            (subfolder / f"image_{file:03}.bin").write_bytes(os.urandom(FILE_BYTES))


def _against_best(way: str, rates: Mapping[str, float]) -> Goal:
    best, side = max((rate, side) for side, rate in rates.items() if side != OURS)
    share = rates[OURS] / best
    return Goal(f"{way} at least {GOAL_LARGE} of the quickest peer, {side}", f"{share:.2f}", share >= GOAL_LARGE)


def _against_s3fs(rates: Mapping[str, float]) -> Goal:
    share = rates[OURS] / rates[s3fs_get.NAME]
    return Goal(f"{DOWN} at least {GOAL_SMALL:.0f} times {s3fs_get.NAME}", f"{share:.2f}", share >= GOAL_SMALL)
