"""Addresses that fsspec reaches: what kind of error comes, and no secret in it or behind it."""

from __future__ import annotations

import errno
import socket
import traceback
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from mlflows.data.store import Item
from mlflows.data.url_store import UrlSettings, UrlStore
from mlflows.exceptions import AuthenticationException, AzureMLException, ServiceException, UserErrorException

SECRET = "secret-of-the-server"


class Failing(LocalFileSystem):
    """Fails as it is told to, whatever it is asked."""

    protocol = "failing"
    error: Exception

    def _fail(self, *arguments: Any, **more: Any) -> Any:
        raise self.error

    info = find = open = put_file = makedirs = _fail


fsspec.register_implementation("failing", Failing, clobber=True)


def answered(status: int) -> Exception:
    """As fsspec's systems for the web say it."""
    return aiohttp.ClientResponseError(None, (), status=status, message=SECRET)  # type: ignore[arg-type]


def coded(**more: Any) -> Exception:
    """As those of the clouds say it: the status is an attribute, or one of the response."""
    error = Exception(SECRET)
    vars(error).update(more)
    return error


class EndpointConnectionError(Exception):
    """As botocore names it."""


ERRORS = [
    (ConnectionRefusedError(errno.ECONNREFUSED, SECRET), ServiceException),
    (TimeoutError(SECRET), ServiceException),
    (socket.gaierror(socket.EAI_NONAME, SECRET), ServiceException),
    (OSError(errno.EHOSTUNREACH, SECRET), ServiceException),
    (OSError(errno.EIO, SECRET), ServiceException),
    (EOFError(SECRET), ServiceException),
    (aiohttp.ServerDisconnectedError(SECRET), ServiceException),
    (EndpointConnectionError(SECRET), ServiceException),
    (answered(503), ServiceException),
    (answered(429), ServiceException),
    (coded(code=500), ServiceException),
    (coded(status_code="503"), ServiceException),
    (coded(response={"ResponseMetadata": {"HTTPStatusCode": 502}}), ServiceException),
    (coded(response=type("Response", (), {"status_code": 500})()), ServiceException),
    (answered(400), UserErrorException),
    (coded(code=412), UserErrorException),
    (coded(code="not a number"), UserErrorException),
    (OSError(errno.ENAMETOOLONG, SECRET), UserErrorException),
    (OSError(SECRET), UserErrorException),
    (RuntimeError(SECRET), UserErrorException),
    (ValueError(SECRET), UserErrorException),
    (answered(401), AuthenticationException),
    (answered(403), AuthenticationException),
    (PermissionError(errno.EACCES, SECRET), AuthenticationException),
]


@pytest.mark.parametrize("way", ["items", "item", "fetch", "put"])
@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=repr)
def test_errors(tmp_path: Path, error: Exception, kind: type[AzureMLException], way: str) -> None:
    Failing.error = error
    store = UrlStore(UrlSettings(f"failing://user:{SECRET}@host/folder", {"password": SECRET}))
    (tmp_path / "source").write_text("x")
    work: dict[str, Any] = {
        "items": lambda: list(store.items("")),
        "item": lambda: store.item("x"),
        "fetch": lambda: store.fetch(Item("x", 1, ""), str(tmp_path / "to"), lambda size: None),
        "put": lambda: store.put(str(tmp_path / "source"), "x", lambda size: None),
    }
    with pytest.raises(AzureMLException) as caught:
        work[way]()
    assert type(caught.value) is kind and type(error).__name__ in caught.value.message
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_options_that_are_none() -> None:
    store = UrlStore(UrlSettings(f"sftp-{SECRET}://user:{SECRET}@host/folder", {"password": SECRET}))
    with pytest.raises(UserErrorException) as caught:
        store.item("x")
    assert "password" not in "".join(traceback.format_exception(caught.value))


def test_an_unreadable_source_is_named(tmp_path: Path) -> None:
    Failing.error = ConnectionRefusedError()
    with pytest.raises(UserErrorException, match="/nothing cannot be read: No such file"):
        UrlStore(UrlSettings("failing://host/folder")).put(str(tmp_path / "nothing"), "x", lambda size: None)
