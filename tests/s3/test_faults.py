"""Who is killed, who is away, what changes: the right bytes come, or a clear error, and never half a file under its name."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.exceptions import GenericError

from conftest import ROOT, SLOW
from mlflows.data import s3_store, snapshot, snapshot_sharing, transfer, view
from mlflows.data.dataset import Dataset
from mlflows.data.datastore_kinds import S3Datastore
from mlflows.data.definition import DataFile
from mlflows.data.s3_store import PART_BYTES, S3Settings, S3Store
from mlflows.data.store import Item
from mlflows.exceptions import ServiceException, UserErrorException
from tests.support.s3 import OwnServer, S3Server

MEGABYTES = 2000 if SLOW else 200
AWAY_SECONDS = 2.0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnServer]:
    server = OwnServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    block = os.urandom(1 << 20)
    with path.open("wb") as handle:
        for number in range(MEGABYTES):
            handle.write(number.to_bytes(8, "little") + block[8:])
    return path


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    """Of gigabytes that pytest would keep."""
    yield
    for path in tmp_path.iterdir():
        view.remove(str(path))


def store_of(server: S3Server, bucket: str, patience: float = 60) -> S3Store:
    keys = {"access_key_id": server.access_key_id, "secret_access_key": server.secret_access_key}
    return S3Store(S3Settings(bucket, server.endpoint, **keys), patience)


def digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(handle.read())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Interruption:
    """A tick that does something once, when so many bytes have moved."""

    def __init__(self, after: int, act: object) -> None:
        self._left, self._act, self._lock = after, act, threading.Lock()
        self.moved = 0
        self.thread: threading.Thread | None = None

    def __call__(self, size: int) -> None:
        with self._lock:
            self.moved += size
            if self.moved >= self._left and self.thread is None:
                self.thread = threading.Thread(target=self._act)  # type: ignore[arg-type]
                self.thread.start()


def away(server: OwnServer) -> None:
    server.kill()
    time.sleep(AWAY_SECONDS)
    server.start()


class TestServerKilledAndBack:
    def test_download(self, own: OwnServer, big: Path, tmp_path: Path) -> None:
        bucket = own.server.make_bucket()
        store = store_of(own.server, bucket)
        store.put(str(big), "big", lambda size: None)
        tick = Interruption(big.stat().st_size // 4, lambda: away(own))
        item = store.item("big")
        assert item is not None
        store.fetch(item, str(tmp_path / "out"), tick)
        assert tick.thread is not None
        tick.thread.join()
        assert digest(tmp_path / "out") == digest(big)
        assert tick.moved == big.stat().st_size

    def test_upload(self, own: OwnServer, big: Path, tmp_path: Path) -> None:
        bucket = own.server.make_bucket()
        store = store_of(own.server, bucket)
        tick = Interruption(big.stat().st_size // 4, lambda: away(own))
        store.put(str(big), "big", tick)
        assert tick.thread is not None
        tick.thread.join()
        item = store.item("big")
        assert item is not None
        store.fetch(item, str(tmp_path / "out"), lambda size: None)
        assert digest(tmp_path / "out") == digest(big)

    def test_listing(self, own: OwnServer, tmp_path: Path) -> None:
        """It has several pages, and none is missing afterwards."""
        bucket = own.server.make_bucket()
        store = store_of(own.server, bucket)
        (tmp_path / "x").write_text("x")
        names = [f"{number:04}" for number in range(2500)]
        transfer.upload(store, [(str(tmp_path / "x"), name) for name in names], "", True, False)
        listing = store.items("")
        paths = [next(listing).path]
        own.kill()
        back = threading.Timer(AWAY_SECONDS, own.start)
        back.start()
        paths += [item.path for item in listing]
        back.join()
        assert paths == names

    def test_it_stays_away(self, own: OwnServer, big: Path, tmp_path: Path) -> None:
        """The error comes when patience ends, and what is there is not fetched again."""
        bucket = own.server.make_bucket()
        store_of(own.server, bucket).put(str(big), "big", lambda size: None)
        store = store_of(own.server, bucket, patience=2)
        item = store.item("big")
        assert item is not None
        with pytest.raises(ServiceException, match="no answer, for 2 s. Is the server up.*run this again to go on"):
            store.fetch(item, str(tmp_path / "out"), Interruption(big.stat().st_size // 2, own.kill))
        assert not (tmp_path / "out").exists()
        own.start()
        ticks: list[int] = []
        store_of(own.server, bucket).fetch(item, str(tmp_path / "out"), ticks.append)
        assert ticks[0] >= big.stat().st_size // 2 - 2 * PART_BYTES  # what was there
        assert digest(tmp_path / "out") == digest(big)
        assert not list(tmp_path.glob(".mlflows-*"))


CHILD = """
import os, sys
from mlflows.data.s3_store import S3Settings, S3Store
bucket, endpoint, way, path = sys.argv[1:]
store = S3Store(S3Settings(bucket, endpoint, access_key_id=os.environ["KEY"], secret_access_key=os.environ["SECRET"]))
moved = 0
def tick(size):
    global moved
    moved += size
    print(moved, flush=True)
if way == "down":
    store.fetch(store.item("big"), path, tick)
else:
    store.put(path, "up", tick)
"""


def killed(server: S3Server, bucket: str, way: str, path: Path, after: int, code: str = CHILD) -> None:
    """A process that transfers, SIGKILLed when so many bytes have moved."""
    command = [sys.executable, "-c", code, bucket, server.endpoint, way, str(path)]
    environment = {**os.environ, "KEY": server.access_key_id, "SECRET": server.secret_access_key, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= after:
                break
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


class TestKilled:
    def test_download(self, own: OwnServer, big: Path, tmp_path: Path) -> None:
        bucket = own.server.make_bucket()
        store = store_of(own.server, bucket)
        store.put(str(big), "big", lambda size: None)
        size = big.stat().st_size
        killed(own.server, bucket, "down", tmp_path / "out", size // 3)
        assert not (tmp_path / "out").exists()
        item, ticks = store.item("big"), list[int]()
        assert item is not None
        store.fetch(item, str(tmp_path / "out"), ticks.append)
        assert ticks[0] >= size // 3 and sum(ticks) == size
        assert digest(tmp_path / "out") == digest(big) and not list(tmp_path.glob(".mlflows-*"))

    def test_upload(self, own: OwnServer, big: Path, tmp_path: Path) -> None:
        bucket = own.server.make_bucket()
        killed(own.server, bucket, "up", big, big.stat().st_size // 3)
        assert own.server.objects(bucket) == {}
        store_of(own.server, bucket).put(str(big), "up", lambda size: None)
        assert own.server.objects(bucket) == {"up": big.stat().st_size}


class TestChanges:
    @pytest.mark.parametrize("size", [5, 40 << 20])
    @pytest.mark.parametrize("change", ["other", "gone"])
    def test_between_listing_and_reading(self, s3_server: S3Server, tmp_path: Path, size: int, change: str) -> None:
        bucket = s3_server.make_bucket()
        client = s3_server.client()
        client.put_object(Bucket=bucket, Key="x", Body=os.urandom(size))
        store = store_of(s3_server, bucket)
        items = list(store.items(""))
        if change == "gone":
            client.delete_object(Bucket=bucket, Key="x")
        else:
            client.put_object(Bucket=bucket, Key="x", Body=os.urandom(size))
        with pytest.raises(ServiceException, match="x in bucket .* was changed or removed while it was read"):
            transfer.download(store, items, str(tmp_path / "out"), False, False)
        assert list((tmp_path / "out").iterdir()) == []

    def test_bucket_gone(self, s3_server: S3Server, tmp_path: Path) -> None:
        store = store_of(s3_server, "not-there-at-all")
        with pytest.raises(UserErrorException, match="There is no bucket 'not-there-at-all'"):
            list(store.items(""))


class TestFullDisk:
    def test_told_before_anything_is_written(self, s3_server: S3Server, tmp_path: Path) -> None:
        bucket = s3_server.make_bucket()
        store = store_of(s3_server, bucket)
        s3_server.client().put_object(Bucket=bucket, Key="x", Body=b"x")
        items = [item._replace(size=1 << 60) for item in store.items("")]
        with pytest.raises(UserErrorException, match="are needed, and .* are free"):
            transfer.download(store, items, str(tmp_path / "out"), False, False)

    @pytest.mark.parametrize("size", [6 << 20, 40 << 20])
    def test_it_fills_meanwhile(self, s3_server: S3Server, tmp_path: Path, size: int) -> None:
        small = tmp_path / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(small)], capture_output=True).returncode:
            pytest.skip("a small file system cannot be mounted here")
        try:
            bucket = s3_server.make_bucket()
            s3_server.client().put_object(Bucket=bucket, Key="x", Body=bytes(size))
            store = store_of(s3_server, bucket)
            item = store.item("x")
            assert item is not None
            with pytest.raises(UserErrorException, match="the disk is full. Free some space"):
                store.fetch(item, str(small / "x"), lambda size: None)
            assert not (small / "x").exists()
        finally:
            subprocess.run(["umount", str(small)], check=True)


class Team:
    """A workspace without a Prefect server."""

    name = "team"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOWS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def whole_files(folder: Path) -> list[str]:
    """The names of files that look whole."""
    return [name for _, _, names in os.walk(folder) for name in names if not name.startswith(".mlflows-")]


DATASET_CHILD = """
import os, sys
from mlflows.data import view
from mlflows.data.dataset import Dataset
from mlflows.data.datastore_kinds import S3Datastore
from mlflows.data.s3_store import S3Settings
bucket, endpoint, way, path = sys.argv[1:]
class Team:
    name = "team"
keys = {"access_key_id": os.environ["KEY"], "secret_access_key": os.environ["SECRET"]}
moved = 0
def tick(size):
    global moved
    moved += size
    print(moved, flush=True)
store = S3Datastore(Team(), "mydata", S3Settings(bucket, endpoint, **keys))
view.fill(Dataset.File.from_files((store, ""))._files(), path, way == "download", tick)
"""


class TestDatasets:
    """The same faults where a dataset's files come through the cache into a folder."""

    def dataset(self, server: S3Server, bucket: str) -> list[DataFile]:
        settings = store_of(server, bucket)._settings
        return Dataset.File.from_files((S3Datastore(Team(), "mydata", settings), ""))._files()

    def test_server_killed_and_back(self, own: OwnServer, big: Path, tmp_path: Path, cache: Path) -> None:
        bucket = own.server.make_bucket()
        store_of(own.server, bucket).put(str(big), "a/big", lambda size: None)
        files = self.dataset(own.server, bucket)
        tick = Interruption(big.stat().st_size // 4, lambda: away(own))
        (path,) = view.fill(files, str(tmp_path / "view"), False, tick)
        assert tick.thread is not None
        tick.thread.join()
        assert digest(Path(path)) == digest(big) and tick.moved == big.stat().st_size

    @pytest.mark.parametrize("way", ["mount", "download"])
    def test_killed(self, own: OwnServer, big: Path, tmp_path: Path, cache: Path, way: str) -> None:
        """What it has fetched is there for who comes next."""
        bucket, size = own.server.make_bucket(), big.stat().st_size
        store_of(own.server, bucket).put(str(big), "big", lambda size: None)
        killed(own.server, bucket, way, tmp_path / "view", size // 3, DATASET_CHILD)
        assert whole_files(cache / "files") == whole_files(tmp_path / "view") == []
        ticks = list[int]()
        (path,) = view.fill(self.dataset(own.server, bucket), str(tmp_path / "view"), way == "download", ticks.append)
        assert ticks[0] >= size // 3 and sum(ticks) == size
        assert digest(Path(path)) == digest(big) and not list(cache.rglob(".mlflows-*"))

    @pytest.mark.parametrize("writable", [True, False])
    @pytest.mark.parametrize("size", [5, 40 << 20])
    @pytest.mark.parametrize("change", ["other", "gone"])
    def test_changed_between_listing_and_reading(
        self, s3_server: S3Server, tmp_path: Path, cache: Path, size: int, change: str, writable: bool
    ) -> None:
        bucket, client = s3_server.make_bucket(), s3_server.client()
        client.put_object(Bucket=bucket, Key="x", Body=os.urandom(size))
        client.put_object(Bucket=bucket, Key="y", Body=b"y")
        files, new = self.dataset(s3_server, bucket), os.urandom(size)
        if change == "gone":
            client.delete_object(Bucket=bucket, Key="x")
        else:
            client.put_object(Bucket=bucket, Key="x", Body=new)
        with pytest.raises(ServiceException, match="x in bucket .* was changed or removed while it was read"):
            view.fill(files, str(tmp_path / "view"), writable)
        assert "x" not in whole_files(tmp_path / "view")
        paths = view.fill(self.dataset(s3_server, bucket), str(tmp_path / "view"), writable)
        assert [Path(path).read_bytes() for path in paths] == ([b"y"] if change == "gone" else [new, b"y"])

    @pytest.mark.parametrize("writable", [True, False])
    def test_full_disk(self, s3_server: S3Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, writable: bool) -> None:
        """First the folder's, then the cache's."""
        bucket = s3_server.make_bucket()
        s3_server.client().put_object(Bucket=bucket, Key="x", Body=os.urandom(6 << 20))
        files, small = self.dataset(s3_server, bucket), tmp_path / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(small)], capture_output=True).returncode:
            pytest.skip("a small file system cannot be mounted here")
        try:
            with pytest.raises(UserErrorException, match="the disk is full. Free some space"):
                view.fill(files, str(small / "view"), writable)
            assert whole_files(small) == [] and not list(small.rglob(".mlflows-*"))
            monkeypatch.setenv("MLFLOWS_CACHE", str(small / "cache"))
            with pytest.raises(UserErrorException, match="bytes are needed .* are free"):
                view.fill(files, str(tmp_path / "view"), writable)
            assert whole_files(small / "cache/files") == []
        finally:
            subprocess.run(["umount", str(small)], check=True)


class TestRefusedForGood:
    """What the server will never take is said at once, whatever the patience."""

    def store(self, server: S3Server, bucket: str) -> S3Store:
        return store_of(server, bucket, patience=60)

    @pytest.mark.parametrize("size", [1, 20 << 20])
    def test_a_key_that_is_too_long(self, s3_server: S3Server, tmp_path: Path, size: int) -> None:
        (tmp_path / "x").write_bytes(bytes(size))
        store, began = self.store(s3_server, s3_server.make_bucket()), time.monotonic()
        with pytest.raises(UserErrorException, match=r"the server refused it, KeyTooLongError \(.*too long") as caught:
            store.put(str(tmp_path / "x"), "/".join(["k" * 199] * 6), lambda size: None)
        assert time.monotonic() - began < 5 and s3_server.secret_access_key not in str(caught.value)

    def test_without_a_body(self, s3_server: S3Server) -> None:
        """The answer to HEAD has none."""
        store, began = self.store(s3_server, s3_server.make_bucket()), time.monotonic()
        with pytest.raises(UserErrorException, match="the server refused it, HTTP 400"):
            store.item("k" * 1100)
        assert time.monotonic() - began < 5

    def test_a_bucket_that_cannot_be(self, s3_server: S3Server) -> None:
        began = time.monotonic()
        with pytest.raises(UserErrorException, match=r"the server refused it, InvalidBucketName \(The specified bucket is not valid\)"):
            list(self.store(s3_server, "B").items(""))
        assert time.monotonic() - began < 5

    def test_a_bucket_of_another_region(self) -> None:
        """As AWS says it; a MinIO has one region."""

        class Elsewhere(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(301)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        store = S3Store(S3Settings("b", f"http://127.0.0.1:{server.server_port}", "here", anonymous=True), 60)
        began = time.monotonic()
        with pytest.raises(UserErrorException, match="is not in the region 'here'. Register the datastore with the bucket's region"):
            list(store.items(""))
        assert time.monotonic() - began < 5
        server.shutdown()
        server.server_close()


class TestMayPass:
    """By what obstore's errors say; real answers of servers that MinIO does not give."""

    @pytest.mark.parametrize(
        ("status", "code", "passes"),
        [
            ("400 Bad Request", "RequestTimeout", True),
            ("400 Bad Request", "IncompleteBody", True),
            ("400 Bad Request", "InvalidArgument", False),
            ("400 Bad Request", "AuthorizationHeaderMalformed", False),
            ("408 Request Timeout", "", True),
            ("409 Conflict", "OperationAborted", True),
            ("429 Too Many Requests", "", True),
            ("405 Method Not Allowed", "MethodNotAllowed", False),
            ("500 Internal Server Error", "InternalError", True),
            ("503 Service Unavailable", "SlowDown", True),
        ],
    )
    def test_answers(self, status: str, code: str, passes: bool) -> None:
        text = "Generic S3 error: Error performing PUT http://s3/b/404%20k in 1ms - Server returned non-2xx status code: "
        body = f"<Error><Code>{code}</Code><Message>Not KEY, not SECRET.</Message></Error>" if code else ""
        error = GenericError(f"{text}{status}: {body}")
        assert s3_store._may_pass(error) is passes
        settings = S3Settings("b", "http://s3", access_key_id="KEY", secret_access_key="SECRET")
        explained = S3Store(settings, 1)._explained(error, "404 K")
        assert isinstance(explained, ServiceException if passes else UserErrorException)
        assert (code or status[:3]) in explained.message and "KEY" not in explained.message and "SECRET" not in explained.message
        assert passes or "(Not ***, not ***)" in explained.message

    def test_no_answer(self) -> None:
        assert s3_store._may_pass(GenericError("Generic S3 error: HTTP error: error sending request"))


class Counting(S3Store):
    """Remembers what it was asked for."""

    asked: list[str]
    spans: list[tuple[float, float]]

    def items(self, prefix: str) -> Iterator[Item]:
        self.asked.append(f"items {prefix}")
        return super().items(prefix)

    def item(self, path: str) -> Item | None:
        began = time.monotonic()
        found = super().item(path)
        self.asked.append(path)
        self.spans.append((began, time.monotonic()))
        return found


class TestSnapshots:
    """The bucket holds the contents of all snapshots there ever were: only those of the one are asked for, many at once."""

    def test_pushed_and_pulled(self, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = Counting(store_of(s3_server, s3_server.make_bucket())._settings)
        store.asked, store.spans = [], []
        monkeypatch.setattr(snapshot_sharing, "_default_store", lambda workspace: store)
        code = tmp_path / "code"
        code.mkdir()
        for number in range(100):
            (code / f"{number}.py").write_text(str(number))
        monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
        taken = snapshot.take(code, snapshot.store_of("team"))
        assert snapshot_sharing.push(Team(), taken.id) == 101
        (code / "100.py").write_text("more")
        more = snapshot.take(code, snapshot.store_of("team"))
        assert snapshot_sharing.push(Team(), more.id) == 2
        monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "another"))
        snapshot_sharing.pull(Team(), more.id)
        snapshot.materialize(more.id, snapshot.store_of("team"), tmp_path / "out")
        assert len(list((tmp_path / "out").glob("*.py"))) == 101
        assert not [each for each in store.asked if each.startswith("items ")] and len(store.asked) == 305
        assert max(sum(began <= moment <= end for began, end in store.spans) for moment, _ in store.spans) > 4
