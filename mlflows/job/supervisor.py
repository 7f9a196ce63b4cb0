"""Runs the processes of one job folder: starts them, keeps their logs, ends them, writes how it ended.

Usage: python supervisor.py <job folder>, or without a folder as a spare that is told later

Standard library only, Python 3.6 syntax, no third party, no network: it runs beside the user's script, in whatever image that needs.
It imports little, because every run waits for it.
"""

import os
import sys

if __name__ == "__main__":  # run as a file: its folder must not shadow the standard library, its package must be found
    _HERE = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    sys.path.append(os.path.dirname(os.path.dirname(_HERE)))

import fcntl  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402

from mlflows.job import files, gpu, layout, mpi, processes, pump, ranks  # noqa: E402
from mlflows.job.report import Outcome, report  # noqa: E402

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

ALREADY_SUPERVISED = 75
"""Exit code: another supervisor holds this folder."""

KILL_SECONDS = 5.0
"""How long to wait for processes after SIGKILL before giving up on them (they hang in the kernel)."""

PUMP_SECONDS = 30.0
"""How long the log may take to be written after the last process has ended."""

CANCEL_FILE = "cancel.json"


def main(folder):
    # type: (str) -> int
    """Exit code: 0 whenever status.json was written, however the job ended; 75 if the folder is taken."""
    folder = os.path.abspath(folder)
    for name in (layout.USER_LOGS, layout.SYSTEM_LOGS, layout.EVENTS, layout.UPLOADS, layout.MAILBOX):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    lock = os.open(os.path.join(folder, layout.SYSTEM_LOGS, "supervisor.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return ALREADY_SUPERVISED
    job = files.read_json(os.path.join(folder, layout.JOB_FILE))
    if not isinstance(job, dict):
        sys.stderr.write("mlflows supervisor: {} is not a readable job file\n".format(os.path.join(folder, layout.JOB_FILE)))
        return 2
    if _ended_before(folder, job["attempt"]):
        return 0
    Supervisor(folder, job, lock).run()
    return 0


def _ended_before(folder, attempt):
    # type: (str, int) -> bool
    """Whether this very attempt has its status already: then nothing runs twice. What an earlier attempt left is removed."""
    status = files.read_json(os.path.join(folder, layout.STATUS_FILE))
    if status is None:
        return False
    if status.get("attempt") == attempt:
        return True
    for name in (layout.STATUS_FILE, CANCEL_FILE):
        if os.path.exists(os.path.join(folder, name)):
            os.unlink(os.path.join(folder, name))
    return False


class Supervisor:
    """The life of one job, from lock to status file, in one thread that sleeps until a signal or a deadline."""

    def __init__(self, folder, job, lock):
        # type: (str, dict[str, Any], int) -> None
        self.folder = folder
        self.job = job
        self.started = time.time()
        self.ranks = []  # type: list[ranks.Rank]
        self.records = []  # type: list[ranks.Rank]
        self.outcome = None  # type: Outcome | None
        self._lock = lock
        self._began = time.monotonic()
        self._terminations = 0
        self._pump = None  # type: pump.Pump | None
        self._named_streams = []  # type: list[pump.Stream]
        self._groups = set()  # type: set[int]
        self._sampler = None  # type: gpu.Sampler | None
        self._wakeup, self._waker = os.pipe()
        self._status = files.ReservedFile(os.path.join(folder, layout.STATUS_FILE))
        self._log = os.path.join(folder, layout.SYSTEM_LOGS, "supervisor.log")

    def run(self):
        # type: () -> None
        """Start everything, wait, end everything, write status.json."""
        self._listen()
        self._publish()
        try:
            self._start()
            self._publish()
            self._wait()
        except processes.StartError as error:
            self._decide(Outcome("Failed", "start_error", "The run could not be started: {}".format(error)))
        except Exception as error:  # whatever it is, the processes are ended and somebody is told
            self._decide(Outcome("Failed", "supervisor_error", "The supervisor failed: {!r}".format(error)))
            self.note(_own_traceback())
        finally:
            self._end_all()
            self._finish()

    def note(self, text):
        # type: (str) -> None
        """A line in supervisor.log; a full disk loses it."""
        try:
            with open(self._log, "a") as log:
                log.write("{} {}\n".format(time.strftime("%Y-%m-%dT%H:%M:%S%z"), text))
        except OSError:
            pass

    # starting

    def _listen(self):
        # type: () -> None
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_termination)

    def _on_termination(self, number, frame):
        # type: (int, object) -> None
        self._terminations += 1

    def _publish(self):
        # type: () -> None
        """Let others find and stop this supervisor."""
        pid = os.getpid()
        living = [rank for rank in self.ranks if rank.pid is not None]
        record = {
            "pid": pid,
            "started": self.started,
            "start_ticks": processes.start_ticks(pid),
            "attempt": self.job["attempt"],
            "processes": [{"rank": rank.rank, "node": rank.node, "pid": rank.pid, "pgid": rank.pid} for rank in living],
        }
        try:
            files.write_json(os.path.join(self.folder, layout.SYSTEM_LOGS, "supervisor.json"), record)
        except OSError as error:
            self.note("supervisor.json could not be written: {}".format(error))

    def _start(self):
        # type: () -> None
        if os.path.exists(os.path.join(self.folder, CANCEL_FILE)):
            self._terminations = 1  # the signal came before this process could take it
        if self._terminations or self._seconds_left() == 0:
            return
        environment = ranks.base_environment(self.job, self.folder, dict(os.environ))
        if self.job["kind"] == "mpi":
            self._start_mpi(environment)
            return
        self.ranks = self.records = ranks.plan(self.job, environment)
        streams = [pump.open_stream(self._log_path(rank), b"[rank %d] " % rank.rank) for rank in self.ranks]
        self._start_pump(streams)
        try:
            for number, rank in enumerate(self.ranks):
                self._spawn(rank, streams[number])
        finally:
            for stream in streams:
                os.close(stream.write_end)

    def _start_mpi(self, environment):
        # type: (dict[str, str]) -> None
        launcher = mpi.launcher(self.job, self.folder, mpi.environment(self.job, environment))
        self.ranks, self.records = [launcher], mpi.rank_records(self.job)
        own = pump.open_stream(self._log_path(launcher), b"[mpirun] ")
        self._named_streams = mpi.open_streams(self.job, self.folder)
        self._start_pump([own] + self._named_streams)
        try:
            self._spawn(launcher, own)
        finally:
            os.close(own.write_end)

    def _start_pump(self, streams):
        # type: (list[pump.Stream]) -> None
        several = ranks.world_size(self.job) > 1 or len(streams) > 1
        merged = os.path.join(self.folder, layout.USER_LOGS, layout.STD_LOG) if several else None
        tee = 1 if self.job.get("tee") else None
        self._pump = pump.start(streams, merged, (self._lock, self._wakeup, self._waker), tee)

    def _spawn(self, rank, stream):
        # type: (ranks.Rank, pump.Stream) -> None
        argv = [_bytes(argument) for argument in rank.argv]
        environment = {_bytes(name): _bytes(value) for name, value in rank.environment.items()}
        rank.pid = processes.spawn(argv, environment, self.job["cwd"], stream.write_end)
        self.note("rank {} on node {}: process {}".format(rank.rank, rank.node, rank.pid))

    def _log_path(self, rank):
        # type: (ranks.Rank) -> str
        room = layout.SYSTEM_LOGS if rank.log == mpi.LAUNCHER_LOG else layout.USER_LOGS
        return os.path.join(self.folder, room, rank.log)

    # waiting

    def _wait(self):
        # type: () -> None
        """Return when the job is over: all essential ranks ended, one failed, the deadline passed, or a signal came."""
        self._sampler = gpu.start(os.path.join(self.folder, layout.SYSTEM_LOGS, "gpu.jsonl"))
        while self.outcome is None:
            self._reap()
            self._judge()
            if self.outcome is None:
                self._sleep(self._seconds_left())

    def _judge(self):
        # type: () -> None
        if self._terminations:
            self._decide(Outcome("Canceled", "cancel", self._cancel_message()))
        elif self._seconds_left() == 0:
            self._decide(Outcome("Canceled", "deadline", self._deadline_message()))
        elif all(rank.code is not None for rank in self.ranks if rank.essential):
            self._decide(Outcome("Completed", None, "The run completed", code=0))

    def _seconds_left(self):
        # type: () -> float | None
        """Until the deadline; None if there is none."""
        limits = []
        if self.job.get("max_seconds") is not None:
            limits.append(self._began + self.job["max_seconds"] - time.monotonic())
        if self.job.get("deadline") is not None:
            limits.append(self.job["deadline"] - time.time())
        return max(0.0, min(limits)) if limits else None

    def _sleep(self, seconds):
        # type: (float | None) -> None
        """Until a signal came, or ``seconds`` have passed; samples of the GPUs are taken on the way."""
        watched = [self._wakeup]
        if self._sampler is not None and self._sampler.descriptor is not None:
            watched.append(self._sampler.descriptor)
        if seconds is not None:
            seconds = min(seconds, 86400.0)
        ready = select.select(watched, [], [], seconds)[0]
        if self._wakeup in ready:
            _drain(self._wakeup)
        if self._sampler is not None and self._sampler.descriptor in ready:
            self._sampler.take()

    def _reap(self):
        # type: () -> None
        """Collect every child that has ended; as PID 1 of a container also orphans that are not ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))

    def _ended(self, pid, code):
        # type: (int, int) -> None
        if self._pump is not None and pid == self._pump.pid:
            self._pump = None
        for rank in self.ranks:
            if rank.pid == pid:
                rank.code = code
                if processes.group_lives(pid):
                    self._groups.add(pid)
                self.note("rank {} ended with {}".format(rank.rank, code))
                if code != 0 and self._terminations == 0:
                    self._decide(Outcome("Failed", "exit" if code > 0 else "signal", "", code, rank))

    def _decide(self, outcome):
        # type: (Outcome) -> None
        if self.outcome is None:
            self.outcome = outcome
            self.note("{}{}".format(outcome.state, ": " + outcome.message if outcome.message else ""))

    def _cancel_message(self):
        # type: () -> str
        cancel = files.read_json(os.path.join(self.folder, CANCEL_FILE))
        reason = cancel.get("reason") if isinstance(cancel, dict) else None
        return "The run was canceled{}".format(": {}".format(reason) if reason else "")

    def _deadline_message(self):
        # type: () -> str
        if self.job.get("max_seconds") is not None:
            return "The run was canceled: it took longer than max_run_duration_seconds, {:g} seconds".format(self.job["max_seconds"])
        return "The run was canceled: its deadline has passed ({:g} seconds after its start)".format(self.job["deadline"] - self.started)

    # ending

    def _end_all(self):
        # type: () -> None
        """TERM to everything that still runs, KILL after the grace period or at a second termination signal."""
        grace = self.job.get("grace_seconds", 10)
        if self._remaining():
            self._terminate()
            self._wait_for_end(grace)
        if self._remaining():
            self.note("killing what is left")
            self._kill()

    def _remaining(self):
        # type: () -> bool
        self._reap()
        if any(rank.pid and rank.code is None for rank in self.ranks):
            return True
        self._groups = {group for group in self._groups if processes.group_lives(group)}
        return bool(self._groups) or bool(processes.strays(self.folder))

    def _terminate(self):
        # type: () -> None
        """SIGTERM to all; of an MPI job to its ranks only: mpirun, told itself, would kill them within a second, and it ends after them."""
        others = set(processes.strays(self.folder)) - {rank.pid for rank in self.ranks}
        if self.job["kind"] == "mpi" and others:
            processes.signal_all(sorted(others), signal.SIGTERM)
        else:
            self._signal(signal.SIGTERM)

    def _signal(self, number):
        # type: (int) -> None
        living = {rank.pid for rank in self.ranks if rank.pid and rank.code is None}
        for group in living | self._groups:
            processes.signal_group(group, number)
        processes.signal_all(processes.strays(self.folder), number)

    def _wait_for_end(self, seconds):
        # type: (float) -> None
        end = time.monotonic() + seconds
        while self._terminations < 2 and time.monotonic() < end and self._remaining():
            self._sleep(0.05)

    def _kill(self):
        # type: () -> None
        """Again and again: a process may fork between the look and the blow."""
        end = time.monotonic() + KILL_SECONDS
        while time.monotonic() < end and self._remaining():
            self._signal(signal.SIGKILL)
            self._sleep(0.02)

    def _finish(self):
        # type: () -> None
        ended = time.time()
        if self._sampler is not None:
            self._sampler.stop()
        for stream in self._named_streams:
            os.close(stream.write_end)
        mpi.remove_pipes(self.folder)
        self._await_pump()
        assert self.outcome is not None
        self._status.write_json(report(self.folder, self.job, self.records, self.outcome, self.started, ended))

    def _await_pump(self):
        # type: () -> None
        if self._pump is None:
            return
        self._pump.finish()
        end = time.monotonic() + PUMP_SECONDS
        while self._pump is not None and time.monotonic() < end:
            self._reap()
            if self._pump is not None:
                self._sleep(0.2)
        if self._pump is not None:
            self.note("the log could not be written within {:g} seconds".format(PUMP_SECONDS))
            processes.signal_all([self._pump.pid], signal.SIGKILL)


def _own_traceback():
    # type: () -> str
    import traceback

    return traceback.format_exc()


def _drain(descriptor):
    # type: (int) -> None
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        pass


def _bytes(text):
    # type: (str) -> bytes
    """As the kernel gets it: UTF-8 whatever the locale is, bytes that are not text unharmed."""
    return text.encode("utf-8", "surrogateescape")


def spare():
    # type: () -> int
    """Started ahead of any job, so that one need not wait for it: a JSON line from standard input says the folder and the environment."""
    import json

    line = sys.stdin.readline()
    if not line:  # whoever kept this spare has gone
        return 0
    job = json.loads(line)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    for path, flags, descriptor in (
        (os.devnull, os.O_RDONLY, 0),
        (os.path.join(job["folder"], layout.SYSTEM_LOGS, "supervisor.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 1),
    ):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.dup2(1, 2)
    return main(job["folder"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) > 1 else spare())
