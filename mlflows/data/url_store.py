"""Whatever else fsspec reaches: a bucket of another cloud, a host by ssh, a file share."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mlflows.data import partial
from mlflows.data.store import Item, Tick, changed, disk_error, gone, readable_size
from mlflows.exceptions import AuthenticationException, AzureMLException, ServiceException, UserErrorException

BLOCK = 4 << 20
_RENAMES = ("file", "ftp", "hdfs", "sftp", "smb", "ssh")
"""Where half a file would be seen while it is written, and renaming costs nothing."""

_SERVERS = ("endpoint_url", "host", "account_name", "project")
"""Options that say whose ``s3://bucket`` it is."""
_AWAY = (
    errno.EAGAIN,
    errno.EBUSY,
    errno.EIO,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EPIPE,
    errno.ETIMEDOUT,
)
_AWAY_WORDS = ("Connect", "Disconnect", "Timeout", "gaierror", "EOFError", "IncompleteRead", "ProtocolError", "SSHException")
"""In the names of errors of a connection."""
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified")


class UrlSettings(NamedTuple):
    """An address and fsspec's options for it. Its repr has neither: both may hold a secret."""

    url: str
    options: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return f"UrlSettings({shown(self.url)!r})"


class UrlStore:
    """Files below an address."""

    parallel = 8
    folder = None

    def __init__(self, settings: UrlSettings) -> None:
        self._settings = settings
        self._opened: tuple[Any, str] | None = None

    @property
    def place(self) -> str:
        """The address, without a password, and the server where the options name it."""
        options = self._settings.options
        server = next((options[name] for name in _SERVERS if isinstance(options.get(name), str)), None)
        return shown(self._settings.url) + (f" at {shown(server)}" if server else "")

    def items(self, prefix: str) -> Iterator[Item]:
        """One listing of the folder."""
        system, root = self._system()
        folder = os.path.dirname(prefix)
        try:
            found = system.find(f"{root}/{folder}".rstrip("/"), detail=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._explained(error) from None
        for full in sorted(found):
            path = full.removeprefix(root).lstrip("/")
            if path.startswith(prefix) and not partial.is_partial(os.path.basename(path)):
                yield _item(path, found[full])

    def item(self, path: str) -> Item | None:
        """One look."""
        system, root = self._system()
        try:
            found = system.info(f"{root}/{path}")
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._explained(error) from None
        return _item(path, found) if found.get("type") == "file" else None

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        """From the beginning: not every server has ranges."""
        system, root = self._system()
        size = 0
        with partial.writing(target) as descriptor:
            for data in self._blocks(system, f"{root}/{item.path}", item):
                try:
                    os.writev(descriptor, [data])
                except OSError as error:
                    raise disk_error(error, target) from error
                size += len(data)
                tick(len(data))
            now = self.item(item.path)
            if size != item.size or now is None or now.version != item.version:
                raise changed(item, self.place) if now else gone(item, self.place)

    def put(self, source: str, path: str, tick: Tick) -> None:
        """Under another name first, where that costs nothing."""
        size = readable_size(source)
        system, root = self._system()
        target = f"{root}/{path}"
        sent = target
        if urlsplit(self._settings.url).scheme in _RENAMES:
            sent = f"{os.path.dirname(target)}/{partial.PREFIX}{os.urandom(8).hex()}{partial.SUFFIX}"
        try:
            with contextlib.suppress(NotImplementedError):
                system.makedirs(os.path.dirname(target), exist_ok=True)
            system.put_file(source, sent)
            if sent != target:
                system.mv(sent, target)
        except Exception as error:
            raise self._explained(error) from None
        tick(size)

    def _blocks(self, system: Any, path: str, item: Item) -> Iterator[bytes]:
        try:
            with system.open(path, "rb") as handle:
                while data := handle.read(BLOCK):
                    yield data
        except FileNotFoundError:
            raise gone(item, self.place) from None
        except AzureMLException:
            raise
        except Exception as error:
            raise self._explained(error) from None

    def _system(self) -> tuple[Any, str]:
        if self._opened is None:
            try:
                import fsspec
            except ImportError as error:
                raise UserErrorException("Datastores by address need fsspec: pip install 'mlflows[s3]'.") from error
            try:
                system, root = fsspec.core.url_to_fs(self._settings.url, **{"use_listings_cache": False, **self._settings.options})
            except ImportError as error:
                raise UserErrorException(f"{self.place} needs a package that is not installed: {error}.") from None
            except Exception as error:
                raise self._explained(error) from None
            self._opened = system, root.rstrip("/")
        return self._opened

    def _explained(self, error: Exception) -> AzureMLException:
        """Without the server's text, and without the error behind it, whose text it is: it may repeat a secret."""
        kind, status = type(error).__name__, _status(error)
        if isinstance(error, PermissionError) or "Authentication" in kind or status in (401, 403):
            return AuthenticationException(f"{self.place} refused the credentials ({kind}). Register the datastore with the right options.")
        if isinstance(error, (ValueError, TypeError)):
            return UserErrorException(f"{self.place}: its address or its storage_options are not what fsspec takes ({kind}).")
        said = f"{kind}, HTTP {status}" if status else kind
        if _may_pass(error, status):
            return ServiceException(f"{self.place} failed or did not answer ({said}). Is the address right, and its server up?")
        return UserErrorException(f"{self.place} refused it ({said}). Are the address and the path right, and the storage_options?")


def shown(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _may_pass(error: Exception, status: int) -> bool:
    """Of a connection, or a server that is in trouble. fsspec's systems have errors of their own libraries: the names say what they are."""
    if status:
        return status >= 500 or status in (408, 429)
    if isinstance(error, OSError) and error.errno in _AWAY:
        return True
    return any(word in each.__name__ for each in type(error).__mro__ for word in _AWAY_WORDS)


def _status(error: Exception) -> int:
    """What HTTP's server answered, wherever the library keeps it; 0 if that is not known."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        places: list[Any] = [response.get("ResponseMetadata", {}).get("HTTPStatusCode")]
    else:
        places = [getattr(each, name, None) for each in (error, response) for name in ("status", "status_code", "code")]
    return next((int(each) for each in places if str(each).isdecimal() and 400 <= int(each) < 600), 0)


def _item(path: str, found: Mapping[str, Any]) -> Item:
    size = int(found.get("size") or 0)
    says = next((found[key] for key in ("ETag", "etag", "md5", *_TIMES) if found.get(key)), "")
    version = hashlib.sha256(f"{size} {says}".encode()).hexdigest()[:32] if says else ""
    return Item(path, size, version, next((time for key in _TIMES if (time := _time(found.get(key)))), None))


def _time(value: Any) -> datetime | None:
    """fsspec's systems say it each in their own way."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if isinstance(value, str):
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = datetime.fromtimestamp(value, timezone.utc)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    return None
