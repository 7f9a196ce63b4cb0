"""Carries the output of the ranks from their pipes into the logs, in a process of its own.

Its own process, because it must outlive the supervisor: if that one is killed, the script neither loses a line nor gets a broken pipe.
Pipes, because a script may open /dev/stderr for writing, which would truncate a log file that it had as stderr.
Bytes are kept as written. The merged log of several ranks has whole lines, each tagged ``[rank N] ``; of a line rewritten with carriage
returns (a progress bar) it has the last state only.
"""

import os
import select
import signal

CHUNK = 1 << 20
LONGEST_LINE = 1 << 24
_F_SETPIPE_SZ = 1031  # fcntl.h; Python names it from 3.10 on


class Stream:
    """Output of one process: the pipe's two ends, the log, and the tag of its lines in the merged log."""

    def __init__(self, read_end, write_end, path, tag):
        # type: (int, int, str, bytes) -> None
        self.read_end = read_end
        self.write_end = write_end
        self.path = path
        self.tag = tag


def open_stream(path, tag):
    # type: (str, bytes) -> Stream
    """A stream through an anonymous pipe."""
    read_end, write_end = os.pipe()
    return Stream(read_end, write_end, path, tag)


def open_named_stream(name, path, tag):
    # type: (str, str, bytes) -> Stream
    """A stream through a named pipe, for writers that are not children. Its write end keeps it open until closed."""
    os.mkfifo(name, 0o600)
    read_end = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    write_end = os.open(name, os.O_WRONLY)
    os.set_blocking(read_end, True)
    return Stream(read_end, write_end, path, tag)


class Pump:
    """The process: its pid, and the pipe by which it is told that nothing more will come."""

    def __init__(self, pid, control):
        # type: (int, int) -> None
        self.pid = pid
        self._control = control

    def finish(self):
        # type: () -> None
        """Let it write what is in the pipes and end, also if a stranger still holds one of them open."""
        try:
            os.write(self._control, b"x")
        except BrokenPipeError:
            pass  # it has ended already


def start(streams, merged_path, closing, tee=None):
    # type: (list[Stream], str | None, tuple[int, ...], int | None) -> Pump
    """Fork the pump. It ends by itself when every write end of every stream is closed.

    Args:
        merged_path: log of all streams together, or None.
        closing: descriptors of the supervisor that the pump must not keep open.
        tee: descriptor that gets what the merged log (or the only log) gets.
    """
    listen, control = os.pipe()
    pid = os.fork()
    if pid:
        for descriptor in [listen] + [stream.read_end for stream in streams]:
            os.close(descriptor)
        return Pump(pid, control)
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        for descriptor in closing + (control,) + tuple(stream.write_end for stream in streams):
            os.close(descriptor)
        _pump(streams, listen, merged_path, tee)
    finally:
        os._exit(0)


def _pump(streams, listen, merged_path, tee):
    # type: (list[Stream], int, str | None, int | None) -> None
    merged = _Log(merged_path, tee) if merged_path else None
    poll = select.poll()
    poll.register(listen, select.POLLIN)
    routes = {}  # type: dict[int, _Route]
    for stream in streams:
        routes[stream.read_end] = _Route(_Log(stream.path, None if merged else tee), stream.tag, merged)
        poll.register(stream.read_end, select.POLLIN)
        _widen(stream.read_end)
    finishing = False
    while routes:
        ready = poll.poll(0 if finishing else None)
        if finishing and not ready:
            break
        for descriptor, _ in ready:
            chunk = os.read(descriptor, CHUNK)
            if descriptor == listen:
                finishing = bool(chunk)  # its end without a word: the supervisor was killed, the script goes on
                poll.unregister(listen)
                continue
            routes[descriptor].take(chunk)
            if not chunk:
                poll.unregister(descriptor)
                del routes[descriptor]
    for route in routes.values():
        route.take(b"")


def _widen(descriptor):
    # type: (int) -> None
    try:
        import fcntl

        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, CHUNK)
    except (OSError, ImportError):
        pass  # not Linux, or over this user's limit: the pipe stays at 64 KiB


class _Log:
    """An append-only file that drops what the disk cannot take, so that the script goes on, and says so when it can again."""

    def __init__(self, path, tee):
        # type: (str, int | None) -> None
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._tee = tee
        self._lost = 0

    def write(self, data):
        # type: (bytes) -> None
        if self._lost and self._written(b"\n[%d bytes of this log were lost: the disk could not take them]\n" % self._lost):
            self._lost = 0
        view = memoryview(data)
        while view:
            count = self._written(view)
            if not count:
                self._lost += len(view)
                break
            view = view[count:]
        if self._tee is not None:
            self._tee = _copied(self._tee, data)

    def _written(self, data):
        # type: (bytes | memoryview) -> int
        try:
            return os.write(self._descriptor, data)
        except OSError:
            return 0


def _copied(tee, data):
    # type: (int, bytes) -> int | None
    """Write all of ``data``; the descriptor for the next time, None if nobody reads it any more."""
    try:
        while data:
            data = data[os.write(tee, data) :]
    except OSError:
        return None
    return tee


class _Route:
    """From one pipe to its log and, by lines, to the merged one."""

    def __init__(self, log, tag, merged):
        # type: (_Log, bytes, _Log | None) -> None
        self._log = log
        self._tag = tag
        self._merged = merged
        self._partial = b""

    def take(self, chunk):
        # type: (bytes) -> None
        """``chunk`` as it came; empty: that was the end."""
        if chunk:
            self._log.write(chunk)
        if self._merged is None:
            return
        ended = not chunk and bool(self._partial)
        if ended or (len(self._partial) + len(chunk) > LONGEST_LINE and b"\n" not in chunk):
            chunk += b"\n"
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            self._partial = self._last_state(self._partial + tail)
            return
        lines = (self._partial + head).split(b"\n")
        self._partial = self._last_state(tail)
        if b"\r" in head or b"\r" in lines[0]:
            lines = [_final_state(line) for line in lines]
        self._merged.write(self._tag + (b"\n" + self._tag).join(lines) + b"\n")

    @staticmethod
    def _last_state(partial):
        # type: (bytes) -> bytes
        """Of an unfinished line, what may still be its final state: an hour of progress bar must not pile up."""
        before, _, after = partial.rpartition(b"\r")
        if not before:
            return partial
        return before.rpartition(b"\r")[2] + b"\r" + after


def _final_state(line):
    # type: (bytes) -> bytes
    return line.rstrip(b"\r").rpartition(b"\r")[2]
