"""Questions of a script that need an answer from outside the job: request files, which the collector answers."""

import json
import os
import time

from mlflows import exceptions
from mlflows.job import layout

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

TIMEOUT_VARIABLE = "MLFLOWS_MAILBOX_TIMEOUT_SECONDS"
DEFAULT_TIMEOUT = 60.0
_FIRST_LOOK, _SLOWEST_LOOK = 0.002, 0.1


class NoAnswer(exceptions.AzureMLException):
    """Nobody answered in time."""


def ask(folder, run_id, op, args, timeout=None, patient=False):
    # type: (str, str, str, dict[str, Any], float | None, bool) -> Any
    """The answer's value.

    Args:
        timeout: seconds to wait; None: $MLFLOWS_MAILBOX_TIMEOUT_SECONDS, or 60.
        patient: wait for as long as somebody works on the answer, who touches the request meanwhile; the timeout is for those who do not.

    Raises:
        NoAnswer: nobody answered in time.
        UserErrorException and others: as the answer says.
    """
    if timeout is None:
        timeout = float(os.environ.get(TIMEOUT_VARIABLE) or DEFAULT_TIMEOUT)
    name = "{}-{}".format(os.getpid(), os.urandom(8).hex())
    request = os.path.join(folder, layout.MAILBOX, name + ".request.json")
    answer = os.path.join(folder, layout.MAILBOX, name + ".answer.json")
    _write(request, {"id": name, "op": op, "args": args, "run": run_id})
    try:
        content = _await(answer, timeout, request if patient else None)
    finally:
        _remove(request)
        _remove(answer)
    if content is None:
        raise NoAnswer(
            "Nobody answered the request {!r} of run {} within {:g} seconds: the collector that serves this job is not running, or its "
            "server is slow. Set {} to wait longer.".format(op, run_id, timeout, TIMEOUT_VARIABLE)
        )
    if not content["ok"]:
        raise _error(content["error"])
    return content.get("value")


def _write(path, value):
    # type: (str, dict[str, Any]) -> None
    with open(path + ".tmp", "w") as handle:
        json.dump(value, handle, default=str)
    os.rename(path + ".tmp", path)


def _await(path, timeout, touched):
    # type: (str, float, str | None) -> Any
    end = time.monotonic() + timeout
    pause, seen = _FIRST_LOOK, _mark(touched)
    while True:
        try:
            with open(path, "rb") as handle:
                return json.loads(handle.read().decode("utf-8"))
        except FileNotFoundError:
            pass
        if time.monotonic() >= end:
            mark = _mark(touched)
            if mark == seen:
                return None
            seen, end = mark, time.monotonic() + timeout
        time.sleep(min(pause, _SLOWEST_LOOK))
        pause *= 1.5


def _mark(path):
    # type: (str | None) -> float
    """Changes whenever the file is touched."""
    try:
        return os.stat(path).st_mtime if path else 0.0
    except OSError:  # answered, or somebody removed it
        return 0.0


def _remove(path):
    # type: (str) -> None
    try:
        os.unlink(path)
    except OSError:
        pass


def _error(error):
    # type: (dict[str, Any]) -> Exception
    kind = getattr(exceptions, error.get("type", ""), exceptions.AzureMLException)
    try:
        return kind(error["message"])
    except TypeError:
        return exceptions.AzureMLException(error["message"])
