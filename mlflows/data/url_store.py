"""Whatever else fsspec reaches: a bucket of another cloud, a host by ssh, a file share."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mlflows.data import partial
from mlflows.data.store import Item, Tick, changed, disk_error
from mlflows.exceptions import AuthenticationException, AzureMLException, ServiceException, UserErrorException

BLOCK = 4 << 20
_RENAMES = ("file", "ftp", "hdfs", "sftp", "smb", "ssh")
"""Where half a file would be seen while it is written, and renaming costs nothing."""


class UrlSettings(NamedTuple):
    """An address and fsspec's options for it. Its repr has neither: both may hold a secret."""

    url: str
    options: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return f"UrlSettings({shown(self.url)!r})"


class UrlStore:
    """Files below an address."""

    parallel = 8

    def __init__(self, settings: UrlSettings) -> None:
        self._settings = settings
        self._opened: tuple[Any, str] | None = None

    @property
    def place(self) -> str:
        """The address, without a password."""
        return shown(self._settings.url)

    def items(self, prefix: str) -> Iterator[Item]:
        """One listing of the folder."""
        system, root = self._system()
        folder = os.path.dirname(prefix)
        try:
            found = system.find(f"{root}/{folder}".rstrip("/"), detail=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._explained(error) from error
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
            raise self._explained(error) from error
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
                raise changed(item, self.place)

    def put(self, source: str, path: str, tick: Tick) -> None:
        """Under another name first, where that costs nothing."""
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
            raise self._explained(error) from error
        tick(os.path.getsize(source))

    def _blocks(self, system: Any, path: str, item: Item) -> Iterator[bytes]:
        try:
            with system.open(path, "rb") as handle:
                while data := handle.read(BLOCK):
                    yield data
        except FileNotFoundError:
            raise changed(item, self.place) from None
        except AzureMLException:
            raise
        except Exception as error:
            raise self._explained(error) from error

    def _system(self) -> tuple[Any, str]:
        if self._opened is None:
            try:
                import fsspec
            except ImportError as error:
                raise UserErrorException("Datastores by address need fsspec: pip install 'mlflows[s3]'.") from error
            try:
                system, root = fsspec.core.url_to_fs(self._settings.url, **{"use_listings_cache": False, **self._settings.options})
            except ImportError as error:
                raise UserErrorException(f"{self.place} needs a package that is not installed: {error}.") from error
            except Exception as error:
                raise self._explained(error) from error
            self._opened = system, root.rstrip("/")
        return self._opened

    def _explained(self, error: Exception) -> AzureMLException:
        """Without the server's text: it may repeat a secret."""
        kind = type(error).__name__
        if isinstance(error, PermissionError) or "Authentication" in kind:
            return AuthenticationException(f"{self.place} refused the credentials ({kind}). Register the datastore with the right options.")
        if isinstance(error, (ValueError, TypeError)):
            return UserErrorException(f"{self.place}: its address or its storage_options are not what fsspec takes ({kind}).")
        return ServiceException(f"{self.place} failed or did not answer ({kind}). Is the address right, and its server up?")


def shown(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _item(path: str, found: Mapping[str, Any]) -> Item:
    size = int(found.get("size") or 0)
    says = next((found[key] for key in ("ETag", "etag", "md5", "mtime", "LastModified", "last_modified", "updated") if found.get(key)), "")
    return Item(path, size, hashlib.sha256(f"{size} {says}".encode()).hexdigest()[:32] if says else "")
