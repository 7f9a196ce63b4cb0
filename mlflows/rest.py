"""JSON over HTTP with kept-alive connections, by the standard library: how the light side speaks to MLflow and Prefect."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, Type
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:  # costs 20 ms: imported when the first request is sent
    import http.client
    import ssl

IDLE_SECONDS = 4.0
"""uvicorn closes a connection that was idle for 5 s: an older one is opened anew, so that no request meets a closed door."""

BLOCK = 1 << 18
"""Bytes of a file sent at once."""


class RestError(Exception):
    """The server answered with an error.

    ``status`` is the HTTP status, ``code`` the server's own word (MLflow: ``RESOURCE_DOES_NOT_EXIST``), ``message`` its text.
    """

    def __init__(self, status: int, code: str, message: str, url: str) -> None:
        super().__init__(f"{url} answered {status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class Unreachable(Exception):
    """No answer: connection refused, broken, timed out, or the server says it is overloaded (502, 503, 504)."""


class RestClient:
    """One server. Threads may share it: each has a connection of its own.

    Args:
        base_url: ``http(s)://host:port[/prefix]``.
        headers: sent with every request (authorization).
        timeout: seconds for one request.
        verify: False accepts any certificate.
    """

    def __init__(self, base_url: str, headers: Optional[Mapping[str, str]] = None, timeout: float = 30.0, verify: bool = True) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url!r} is not an http(s) address")
        self.base_url = base_url.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1).rstrip("/")
        self._prefix = parts.path.rstrip("/")
        self._secure = parts.scheme == "https"
        self._address = (parts.hostname, parts.port)
        self._headers = dict(headers or {})
        if parts.username and "Authorization" not in self._headers:
            self._headers["Authorization"] = basic_auth(parts.username, parts.password or "")
        self._timeout = timeout
        self._verify = verify
        self._local = threading.local()

    def get(self, path: str, query: Optional[Mapping[str, Any]] = None) -> Any:
        """GET; the JSON answer."""
        return self.request("GET", path + ("?" + urlencode(query, doseq=True) if query else ""))

    def post(self, path: str, body: Any) -> Any:
        """POST of JSON; the JSON answer."""
        return self.request("POST", path, body)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send JSON, get JSON (None for an empty answer).

        Raises:
            RestError: the server refused.
            Unreachable: no answer.
        """
        data = None if body is None else json.dumps(body).encode()
        answer = self.raw(method, path, data, {"Content-Type": "application/json"} if data is not None else {})
        return json.loads(answer) if answer else None

    def raw(self, method: str, path: str, data: Any = None, headers: Optional[Mapping[str, str]] = None) -> bytes:
        """Send bytes (or a file object with a Content-Length header), get bytes. Errors as in request."""
        response = self.open(method, path, data, headers)
        return self.read(response)

    def open(self, method: str, path: str, data: Any = None, headers: Optional[Mapping[str, str]] = None) -> http.client.HTTPResponse:
        """As raw, but the caller reads the response (whole, before the thread's next request)."""
        try:
            response = self._send(method, path, data, {**self._headers, **(headers or {})})
        except _broken() as error:
            self.close()
            raise Unreachable(f"{self.base_url}: {error!r}") from error
        self._local.used = time.monotonic()
        if response.status >= 400:
            self._raise(response, path)
        return response

    def read(self, response: http.client.HTTPResponse, size: Optional[int] = None) -> bytes:
        """Up to ``size`` bytes of a response that ``open`` gave (None: all of it).

        Raises:
            Unreachable: the connection broke.
        """
        try:
            return response.read() if size is None else response.read(size)
        except _broken() as error:
            self.close()
            raise Unreachable(f"{self.base_url}: {error!r}") from error

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _send(self, method: str, path: str, data: Any, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        connection = self._kept()
        if connection is not None and method == "GET":
            try:
                connection.request(method, self._prefix + path, headers=headers)
                return connection.getresponse()
            except ConnectionError:  # the server was restarted meanwhile; what only reads may be asked again
                connection = None
        connection = connection or self._connect()
        connection.request(method, self._prefix + path, body=data, headers=headers)
        return connection.getresponse()

    def _kept(self) -> Optional[http.client.HTTPConnection]:
        connection: Optional[http.client.HTTPConnection] = getattr(self._local, "connection", None)
        return connection if connection is not None and time.monotonic() - self._local.used < IDLE_SECONDS else None

    def _connect(self) -> http.client.HTTPConnection:
        import http.client

        self.close()
        connection: http.client.HTTPConnection
        if self._secure:
            connection = http.client.HTTPSConnection(*self._address, timeout=self._timeout, context=_tls(self._verify), blocksize=BLOCK)
        else:
            connection = http.client.HTTPConnection(*self._address, timeout=self._timeout, blocksize=BLOCK)
        self._local.connection, self._local.used = connection, time.monotonic()
        return connection

    def _raise(self, response: http.client.HTTPResponse, path: str) -> None:
        text = self.read(response).decode("utf-8", "replace")
        if response.status in (502, 503, 504):
            raise Unreachable(f"{self.base_url} answered {response.status}: {text[:200]}")
        code, message = _error_of(text)
        raise RestError(response.status, code, message, self.base_url + path.partition("?")[0])


def basic_auth(user: str, password: str) -> str:
    """Value of an Authorization header."""
    import base64

    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def path_quote(path: str) -> str:
    """A path for an address; slashes stay."""
    return quote(path, safe="/")


def _broken() -> Tuple[Type[BaseException], ...]:
    import http.client

    return (OSError, http.client.HTTPException)


def _tls(verify: bool) -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context() if verify else ssl._create_unverified_context()


def _error_of(text: str) -> Tuple[str, str]:
    try:
        body: Dict[str, Any] = json.loads(text)
    except ValueError:
        return "", text[:500]
    if not isinstance(body, dict):
        return "", text[:500]
    return str(body.get("error_code", "")), str(body.get("message") or body.get("detail") or text[:500])
