"""Requests of the script in ``mailbox/``, answered there: what a script asks of its run or workspace."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from mlflows.exceptions import AzureMLException

TOUCH_SECONDS = 0.5
"""Who asks what takes long sees by it that somebody works on the answer."""
REQUEST = ".request.json"
ANSWER = ".answer.json"


class Known(Protocol):
    """Who answers what the history knows: ``answer`` raises LookupError for an operation it does not have."""

    def answer(self, operation: str, arguments: dict[str, Any], run_id: str | None) -> Any:
        """The JSON value of an answer."""


class Mailbox:
    """One job's mailbox. Each request is answered in a thread of its own, so that a slow one holds up nothing.

    Args:
        folder: ``mailbox`` of the job folder.
        known: answers of the history.
        answers: further operations, by name; they win.
    """

    def __init__(self, folder: Path, known: Known, answers: Mapping[str, Callable[[dict[str, Any]], Any]]) -> None:
        self._folder = folder
        self._known = known
        self._answers = dict(answers)
        self._taken: set[str] = set()

    def look(self) -> int:
        """Changes whenever a file comes or goes."""
        try:
            return os.stat(self._folder).st_mtime_ns
        except OSError:
            return 0

    def serve(self) -> None:
        """Begin to answer the requests that are there."""
        try:
            present = set(os.listdir(self._folder))
        except OSError:
            return
        for name in sorted(present):
            identity = name[: -len(REQUEST)]
            if name.endswith(REQUEST) and name not in self._taken and identity + ANSWER not in present:
                self._taken.add(name)
                threading.Thread(target=self._answer, args=(identity,), name=f"mailbox-{identity}", daemon=True).start()
        self._taken &= present

    def _answer(self, identity: str) -> None:
        request = self._folder / (identity + REQUEST)
        try:
            text = request.read_text()
        except FileNotFoundError:  # the one who asked has given up
            return
        try:
            asked = json.loads(text)
            with _touched(request):
                answer = {"ok": True, "value": self._value(str(asked["op"]), dict(asked.get("args") or {}), asked.get("run"))}
            text = json.dumps(answer, default=str)
        except Exception as error:
            text = json.dumps({"ok": False, "error": _described(error)})
        temporary = self._folder / (identity + ANSWER + ".tmp")
        try:
            temporary.write_text(text)
            temporary.replace(self._folder / (identity + ANSWER))
            request.unlink(missing_ok=True)
        except OSError:  # the folder is gone
            return

    def _value(self, operation: str, arguments: dict[str, Any], run_id: str | None) -> Any:
        if operation in self._answers:
            return self._answers[operation](arguments)
        return self._known.answer(operation, arguments, run_id)


@contextlib.contextmanager
def _touched(path: Path) -> Iterator[None]:
    """The file gets a new time again and again, until the end."""
    done = threading.Event()

    def touch() -> None:
        while not done.wait(TOUCH_SECONDS):
            with contextlib.suppress(OSError):  # the one who asked has given up
                os.utime(path)

    threading.Thread(target=touch, name=f"touch-{path.name}", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _described(error: Exception) -> dict[str, str]:
    if isinstance(error, AzureMLException):
        kind = type(error).__name__ if type(error).__module__ == AzureMLException.__module__ else _public_name(type(error))
        return {"type": kind, "message": error.message}
    return {"type": "AzureMLException", "message": f"{type(error).__name__}: {error}"}


def _public_name(kind: type) -> str:
    """The nearest class that a script knows."""
    return next(base.__name__ for base in kind.__mro__ if base.__module__ == AzureMLException.__module__)
