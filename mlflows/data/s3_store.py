"""A bucket of S3, or of what speaks S3's language. obstore moves the bytes, in threads that hold no lock meanwhile."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from mlflows.data import partial
from mlflows.data.parallel import in_parallel
from mlflows.data.partial import Partial
from mlflows.data.store import Changed, Item, Tick, changed, disk_error, gone, patience, readable_size
from mlflows.exceptions import AuthenticationException, AzureMLException, ServiceException, UserErrorException

PART_BYTES = 8 << 20
"""A larger object is fetched in ranges of this size, and sent in parts of it."""
RANGES = 12
"""Ranges of one object under way at once."""
FILES = 32
"""Small objects under way at once."""
MOST_PARTS = 9000
"""S3 takes 10,000."""
PAGE = 1000
"""Objects that one request lists: S3 gives no more."""
LONGEST_MESSAGE = 300
"""Characters of what a server says."""
REQUEST_SECONDS = 120
"""For one request with its answer's body."""

_MD5 = re.compile(r"[0-9a-f]{32}")
_PASSING = (
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "XAmzContentSHA256Mismatch",
)
"""What S3 answers with 4xx although the same request may be taken a little later."""
_ELSEWHERE = "redirect without LOCATION"
"""In obstore's words for a bucket of another region."""
_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AccessDenied", "InvalidClientTokenId")

T = TypeVar("T")


class S3Settings(NamedTuple):
    """How to reach a bucket. Its repr has no keys."""

    bucket: str
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    path_style: bool | None = None
    anonymous: bool = False
    encryption: str | None = None

    def __repr__(self) -> str:
        return f"S3Settings(bucket={self.bucket!r}, endpoint={self.endpoint!r})"


class S3Store:
    """Objects of one bucket."""

    parallel = FILES
    folder = None

    def __init__(self, settings: S3Settings, patience_seconds: float | None = None) -> None:
        self._settings = settings
        self._patience = patience() if patience_seconds is None else patience_seconds
        self._client: Any = None

    @property
    def place(self) -> str:
        """The bucket, and whose it is."""
        return f"bucket {self._settings.bucket!r} at {self._settings.endpoint or 'AWS'}"

    def items(self, prefix: str) -> Iterator[Item]:
        """One listing; the order is that of the keys' bytes."""
        yield from _without_folders(self._listed(prefix), prefix)

    def item(self, path: str) -> Item | None:
        """One request."""
        obstore = _obstore()

        try:
            return _item(self._ask(lambda: obstore.head(self._store(), path), path, passing=FileNotFoundError))
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._explained(error, path) from None
            return None

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        """In ranges, if it is large; each asks for the version that was listed."""
        try:
            if item.size > 2 * PART_BYTES:
                self._fetch_large(item, target, tick)
            else:
                self._fetch_small(item, target, tick)
        except OSError as error:
            raise disk_error(error, target) from error

    def put(self, source: str, path: str, tick: Tick) -> None:
        """In parts, if it is large. S3 shows an object when all of it is there."""
        obstore = _obstore()

        size = readable_size(source)
        if size <= PART_BYTES:
            data = b"".join(_read(source, tick, PART_BYTES))
            self._ask(lambda: obstore.put(self._store(), path, data, use_multipart=False), path)
            return
        part = max(PART_BYTES, -(-size // MOST_PARTS))
        self._ask(lambda: obstore.put(self._store(), path, _read(source, tick, part), chunk_size=part, max_concurrency=RANGES), path)
        there = self.item(path)
        if there is None or there.size != size:
            raise ServiceException(f"{path} in {self.place} has {there and there.size} bytes after {size} were sent. Send it again.")

    def _listed(self, prefix: str) -> Iterator[Item]:
        folder, _, rest = prefix.rpartition("/")
        if not rest:
            yield from self._below(folder)
            return
        first = self.item(prefix)
        if first is not None:
            yield first
        end = prefix.encode()
        for item in self._below(folder, prefix):
            if item.path.startswith(prefix):
                yield item
            elif item.path.encode() > end:
                return

    def _below(self, folder: str, after: str | None = None) -> Iterator[Item]:
        """All below a folder, from behind a path on. A listing that broke is begun again behind the last path that came: asked once more,
        the broken one would end as if it were whole."""
        obstore = _obstore()

        listing: Any = None
        last = after

        def page() -> Any:
            nonlocal listing, last
            try:
                if listing is None:
                    listing = iter(obstore.list(self._store(), prefix=folder or None, offset=last, chunk_size=PAGE))
                found = next(listing, None)
            except BaseException:
                listing = None
                raise
            last = found[-1]["path"] if found else last
            return found

        for found in _one_ahead(lambda: self._ask(page, "")):
            yield from map(_item, found)

    def _fetch_small(self, item: Item, target: str, tick: Tick) -> None:
        data = memoryview(self._range(item, 0, item.size)) if item.size else memoryview(b"")
        if _MD5.fullmatch(item.version) and hashlib.md5(data, usedforsecurity=False).hexdigest() != item.version:
            again = memoryview(self._range(item, 0, item.size))
            if again != data:
                raise _damaged(item, self.place)
        with partial.writing(target) as descriptor:
            while data:
                written = os.write(descriptor, data)
                data = data[written:]
        tick(item.size)

    def _fetch_large(self, item: Item, target: str, tick: Tick) -> None:
        with Partial(item, target, PART_BYTES) as file:
            missing = file.missing()
            tick(item.size - sum(end - begin for begin, end in missing))

            def fetch(part: tuple[int, int]) -> None:
                file.write(part[0], memoryview(self._range(item, *part)))
                tick(part[1] - part[0])

            try:
                in_parallel(fetch, missing, RANGES)
            except Changed:
                file.discard()
                raise
            self._check_large(item, file)
            file.finish()

    def _check_large(self, item: Item, file: Partial) -> None:
        """Against the ETag where that may be an MD5. Where the server encrypts it is something else: then single ranges are compared."""
        if not _MD5.fullmatch(item.version) or _digest(file.descriptor) == item.version:
            return
        for begin in range(0, item.size, PART_BYTES):
            end = min(begin + PART_BYTES, item.size)
            if os.pread(file.descriptor, end - begin, begin) != bytes(memoryview(self._range(item, begin, end))):
                file.discard()
                raise _damaged(item, self.place)

    def _range(self, item: Item, begin: int, end: int) -> Any:
        """Bytes of the version that was listed.

        Raises:
            ServiceException: there is another version, or fewer bytes.
        """
        obstore = _obstore()
        from obstore.exceptions import PreconditionError

        options: Any = {"if_match": f'"{item.version}"'} if item.version else {}
        if (begin, end) != (0, item.size):
            options["range"] = (begin, end)
        try:
            data = self._ask(
                lambda: obstore.get(self._store(), item.path, options=options).bytes(),
                item.path,
                passing=(FileNotFoundError, PreconditionError),
            )
        except PreconditionError:
            raise changed(item, self.place) from None
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._explained(error, item.path) from None
            raise gone(item, self.place) from None
        if len(data) != end - begin:
            raise changed(item, self.place)
        return data

    def _ask(self, request: Callable[[], T], path: str, passing: Any = ()) -> T:
        """obstore repeats what failed before an answer began; this, what broke in its middle."""
        from obstore.exceptions import BaseError

        deadline = time.monotonic() + self._patience
        pause = 0.2
        while True:
            try:
                return request()
            except passing:
                raise
            except (BaseError, ValueError, FileNotFoundError, PermissionError) as error:
                if not _may_pass(error) or time.monotonic() + pause > deadline:
                    raise self._explained(error, path) from None  # what the server says may repeat a key
                time.sleep(pause)
                pause = min(pause * 2, 5.0)

    def _store(self) -> Any:
        if self._client is None:
            self._client = self._connected()
        return self._client

    def _connected(self) -> Any:
        _obstore()
        from obstore.store import S3Store as Client

        its = self._settings
        config: Any = {"virtual_hosted_style_request": not (its.path_style if its.path_style is not None else bool(its.endpoint))}
        config.update({key: value for key, value in (("endpoint", its.endpoint), ("region", its.region)) if value})
        if its.endpoint and not its.region:
            config["region"] = "us-east-1"  # what servers that have no regions expect
        if its.anonymous:
            config["skip_signature"] = True
        if its.encryption:
            kind, _, key = its.encryption.partition("aws:kms:")
            config["server_side_encryption"] = kind or "aws:kms"
            config.update({"sse_kms_key_id": key} if key else {})
        own: dict[str, Any] = {}
        if its.access_key_id:
            keys = {"access_key_id": its.access_key_id, "secret_access_key": its.secret_access_key, "token": its.session_token}
            own["credential_provider"] = lambda: {**keys, "expires_at": None}  # so that none of the environment's is mixed in
        retry: Any = {"max_retries": 1000, "retry_timeout": timedelta(seconds=self._patience)}
        retry["backoff"] = {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=5), "base": 2}
        return Client(
            its.bucket,
            config=config,
            client_options={"allow_http": True, "timeout": f"{REQUEST_SECONDS}s", "connect_timeout": "10s"},
            retry_config=retry,
            **own,
        )

    def _explained(self, error: BaseException, path: str) -> AzureMLException:
        """Of the server's own text its code and message, without a key that it may repeat."""
        text, kind = str(error), type(error).__name__
        code, status = _code(text), _status(text)
        if code == "NoSuchBucket" or "NoSuchBucket" in text:
            return UserErrorException(f"There is no {self.place}. Make it, or register the datastore with the right bucket and endpoint.")
        if isinstance(error, PermissionError) or kind in ("PermissionDeniedError", "UnauthenticatedError") or code in _REFUSED:
            return AuthenticationException(
                f"The server refused the keys for {self.place}{_named(path)} ({code or 'access denied'}). Register the datastore with keys "
                "that may read and write there."
            )
        if isinstance(error, FileNotFoundError):
            return UserErrorException(f"There is no {path!r} in {self.place}.")
        if _ELSEWHERE in text:
            region = repr(self._settings.region) if self._settings.region else "that is used when none is given"
            return UserErrorException(f"{self.place} is not in the region {region}. Register the datastore with the bucket's region.")
        if isinstance(error, ValueError) or kind == "InvalidPathError" or "parsing Path" in text or "parse path" in text:
            return UserErrorException(
                f"A path in {self.place}{_named(path)} has an empty part, '.', '..' or a control character. Rename the object, or give a "
                "folder without it."
            )
        said = code or (f"HTTP {status}" if status else "no answer")
        if not _may_pass(error):
            message = self._hidden(_between("Message", text))
            return UserErrorException(f"{self.place}{_named(path)}: the server refused it, {said}{message and f' ({message})'}.")
        return ServiceException(
            f"{self.place}{_named(path)}: {said}, for {self._patience:.0f} s. Is the server up, and the endpoint right? "
            "What has been transferred is kept: run this again to go on."
        )

    def _hidden(self, message: str) -> str:
        its = self._settings
        for secret in filter(None, (its.secret_access_key, its.session_token, its.access_key_id)):
            message = message.replace(secret, "***")
        return message[:LONGEST_MESSAGE].rstrip(".")


def _obstore() -> Any:
    try:
        import obstore
    except ImportError as error:
        raise UserErrorException("Datastores of S3 need the extra s3: pip install 'mlflows[s3]'.") from error
    return obstore


def _one_ahead(ask: Callable[[], Any]) -> Iterator[Any]:
    """Pages until there is none; while one is worked on, the server makes the next."""
    found = ask()
    if found is not None and len(found) == PAGE:
        from concurrent.futures import ThreadPoolExecutor  # slow to import

        pool = ThreadPoolExecutor(1)
        try:
            while found is not None:
                coming = pool.submit(ask)
                yield found
                found = coming.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    while found is not None:
        yield found
        found = ask()


def _item(meta: Any) -> Item:
    return Item(meta["path"], meta["size"], (meta.get("e_tag") or "").strip('"'), meta.get("last_modified"))


def _without_folders(items: Iterator[Item], prefix: str) -> Iterator[Item]:
    """An empty object whose key ends in a slash is a folder that somebody made by hand; obstore shows it without the slash."""
    held: Item | None = None
    for item in items:
        if held is not None and not item.path.startswith(held.path + "/"):
            yield held
        held = None
        if item.size == 0 and item.path + "/" != prefix:
            held = item
        elif item.size:
            yield item
    if held is not None:
        yield held


def _read(source: str, tick: Tick, part: int) -> Iterator[bytes]:
    """A file's content; it must stay the same meanwhile, else the upload is given up."""
    with open(source, "rb", buffering=0) as handle:
        before = os.fstat(handle.fileno())
        sent = 0
        while sent < before.st_size and (data := handle.read(min(part, before.st_size - sent))):
            yield data
            sent += len(data)
            tick(len(data))
        after = os.fstat(handle.fileno())
        if sent != before.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ServiceException(f"{source} was written to while it was uploaded. Upload it when it is finished.")


def _digest(descriptor: int) -> str:
    digest, at = hashlib.md5(usedforsecurity=False), 0
    while data := os.pread(descriptor, 1 << 20, at):
        digest.update(data)
        at += len(data)
    return digest.hexdigest()


def _may_pass(error: BaseException) -> bool:
    if type(error).__name__ not in ("GenericError", "BaseError", "JoinError"):
        return False
    text = str(error)
    code, status = _code(text), _status(text)
    if code in _PASSING:
        return True
    if code in ("NoSuchBucket", *_REFUSED) or "arsing Path" in text or _ELSEWHERE in text:
        return False
    return status not in range(400, 500) or status in (408, 429)


def _code(text: str) -> str:
    return _between("Code", text)


def _between(tag: str, text: str) -> str:
    """Of the server's answer; what it does not say is empty."""
    found = re.search(rf"<{tag}>([^<]*)</{tag}>", text)
    return found.group(1) if found else ""


def _status(text: str) -> int:
    found = re.search(r"status code: ([345]\d\d)\b", text)
    return int(found.group(1)) if found else 0


def _damaged(item: Item, place: str) -> ServiceException:
    return ServiceException(f"{item.path} from {place} arrived damaged: its checksum is not the one that was listed. Run this again.")


def _named(path: str) -> str:
    return f", {path!r}" if path else ""
