"""A web server. Nothing lists its files: a path is one file's address behind the server's, as it is written in addresses."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from mlflows.data import partial
from mlflows.data.store import UNKNOWN, Item, Tick, changed, disk_error, gone
from mlflows.exceptions import ServiceException, UserErrorException

WEB_SECONDS = 30
"""Without a byte from a web server for so long, it is asked again."""
_PAUSES = (0.5, 2.0)
_BLOCK = 1 << 20


class WebStore:
    """Files that a web server gives to everybody."""

    parallel = 8
    folder = None

    def __init__(self, origin: str) -> None:
        self._origin = origin.rstrip("/")

    @property
    def place(self) -> str:
        """The server's address."""
        return self._origin

    def items(self, prefix: str) -> Iterator[Item]:
        """The file at this path alone: nobody knows what else there is."""
        found = self.item(prefix)
        if found is not None:
            yield found

    def item(self, path: str) -> Item | None:
        """One request, for the head of the answer."""
        try:
            with self._ask(path, "HEAD") as answer:
                return _item(path, answer.headers)
        except FileNotFoundError:
            return None

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        """From the beginning. A connection that breaks off does not look like an end where the server says the size."""
        try:
            with self._ask(item.path, "GET") as answer:
                now = _item(item.path, answer.headers)
                if _differ(now.version, item.version, "") or _differ(now.size, item.size, UNKNOWN):
                    raise changed(item, self.place)
                self._write(answer, now, target, tick)
        except FileNotFoundError:
            raise gone(item, self.place) from None

    def put(self, source: str, path: str, tick: Tick) -> None:
        """Not here."""
        raise UserErrorException(f"{self.place} takes no files. Register a datastore, and upload to it.")

    def _write(self, answer: Any, item: Item, target: str, tick: Tick) -> None:
        size = 0
        try:
            with partial.writing(target) as descriptor:
                while data := self._read(item, answer):
                    size += len(data)
                    rest = memoryview(data)
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
                    tick(len(data))
                if item.size not in (UNKNOWN, size):
                    raise ServiceException(f"{self._origin}/{item.path} broke off after {size} of {item.size} bytes. Run this again.")
        except OSError as error:
            raise disk_error(error, target) from error

    def _read(self, item: Item, answer: Any) -> bytes:
        from http.client import HTTPException

        try:
            return bytes(answer.read(_BLOCK))
        except (OSError, HTTPException) as error:
            raise ServiceException(f"{self._origin}/{item.path} broke off ({error!r}). Run this again.") from None

    def _ask(self, path: str, method: str) -> Any:
        from http.client import HTTPException, InvalidURL
        from urllib.error import HTTPError, URLError  # slow to load
        from urllib.request import Request, urlopen

        address = f"{self._origin}/{path}"
        for pause in (*_PAUSES, None):
            try:
                request = Request(address, method=method, headers={"Accept-Encoding": "identity", "User-Agent": "mlflows"})
                return urlopen(request, timeout=WEB_SECONDS)
            except HTTPError as error:
                error.close()
                if error.code in (404, 410):
                    raise FileNotFoundError(address) from None
                if method == "HEAD" and error.code in (405, 501):
                    method = "GET"
                    continue
                if error.code < 500 or pause is None:
                    raise UserErrorException(f"{address}: the server answered {error.code} {error.reason}.") from None
            except InvalidURL:
                raise UserErrorException(f"{address!r} is not an address. Write what is no letter or digit as %20.") from None
            except (URLError, OSError, HTTPException) as error:
                if pause is None:
                    reason = getattr(error, "reason", error)
                    raise UserErrorException(f"{address}: no answer from the server ({reason or type(error).__name__}).") from None
            if pause:
                time.sleep(pause)
        raise UserErrorException(f"{address}: the server answers neither HEAD nor GET.")


def _differ(one: object, other: object, unknown: object) -> bool:
    return unknown not in (one, other) and one != other


def _item(path: str, headers: Mapping[str, str]) -> Item:
    from email.utils import parsedate_to_datetime  # slow to load

    length = headers.get("Content-Length") or ""
    last: datetime | None = None
    with contextlib.suppress(TypeError, ValueError):
        last = parsedate_to_datetime(headers.get("Last-Modified") or "").astimezone(timezone.utc)
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    return Item(path, int(length) if length.isdecimal() else UNKNOWN, version, last)
