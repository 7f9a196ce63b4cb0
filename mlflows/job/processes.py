"""Starting and ending processes by the plainest means: fork, exec, signals, /proc."""

import errno
import os
import signal

from mlflows.job import layout


class StartError(Exception):
    """A process could not be started; the message names what was missing."""


def spawn(argv, environment, directory, output):
    # type: (list[bytes], dict[bytes, bytes], str, int) -> int
    """Start a process in a session of its own, stdin from /dev/null, both outputs to descriptor ``output``; its pid.

    Raises:
        StartError: no such program or directory, no permission, an argument with a null byte.
    """
    fault_read, fault_write = os.pipe()  # closed by a successful exec
    pid = os.fork()
    if pid == 0:
        _become(argv, environment, directory, output, fault_write)
    os.close(fault_write)
    fault = os.read(fault_read, 4096).decode("utf-8", "replace")
    os.close(fault_read)
    if fault:
        os.waitpid(pid, 0)
        raise StartError(fault)
    return pid


def _become(argv, environment, directory, output, fault):
    # type: (list[bytes], dict[bytes, bytes], str, int, int) -> None
    """In the child: turn into the program, or tell ``fault`` why not."""
    step = "the working directory {!r}".format(directory)
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(directory)
        step = "the program {!r}".format(os.fsdecode(argv[0]))
        os.execvpe(argv[0], argv, environment)
    except (OSError, ValueError) as error:
        os.write(fault, "{} cannot be started: {}".format(step, _reason(error)).encode("utf-8", "replace")[:4096])
    finally:
        os._exit(127)


def _reason(error):
    # type: (Exception) -> str
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return "it does not exist (or the interpreter named in its first line does not)"
    if number == errno.EACCES:
        return "permission denied (not executable?)"
    if number == errno.ENOEXEC:
        return "it is neither a program of this machine's architecture nor a script with an interpreter in its first line"
    if number == errno.E2BIG:
        return "its arguments and environment variables are longer than the kernel allows"
    return str(error)


def signal_group(pid, number):
    # type: (int, int) -> None
    """Signal the process group that ``pid`` leads, if it is still there."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def group_lives(group):
    # type: (int) -> bool
    """Whether a process group has members other than zombies, which stay for ever where PID 1 does not collect orphans."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    states = [(fields[0], int(fields[2])) for fields in map(_stat, _pids()) if fields]
    return not states or any(state not in (b"Z", b"X") and its_group == group for state, its_group in states)


def signal_all(pids, number):
    # type: (list[int], int) -> None
    """Signal each process, if it is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def strays(folder):
    # type: (str) -> list[int]
    """Live processes that carry the job folder in their environment, wherever they have wandered (Linux; elsewhere none)."""
    mark = os.fsencode("{}={}".format(layout.FOLDER_VARIABLE, folder))
    own = os.getpid()
    return [pid for pid in _pids() if pid != own and _carries(pid, mark)]


def _pids():
    # type: () -> list[int]
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _carries(pid, mark):
    # type: (int, bytes) -> bool
    try:
        with open("/proc/{}/environ".format(pid), "rb", 0) as handle:
            content = handle.read()
    except OSError:
        return False
    return mark in content and mark in content.split(b"\0")


def start_ticks(pid):
    # type: (int) -> int | None
    """When a process started, in clock ticks since boot (proc(5), stat field 22); None where that cannot be known."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def _stat(pid):
    # type: (int) -> list[bytes]
    """Fields of /proc/<pid>/stat from the third (the state) on; empty if there are none."""
    try:
        with open("/proc/{}/stat".format(pid), "rb", 0) as handle:
            return handle.read().rpartition(b")")[2].split()
    except OSError:
        return []
