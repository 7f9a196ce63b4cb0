"""The cache of a host: what is kept, what goes, who shares it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlflows.data import partial
from mlflows.data.cache import DEFAULT_BYTES, MARK, Cache, limit
from mlflows.data.definition import DataFile
from mlflows.data.local_store import LocalStore
from mlflows.data.store import UNKNOWN, Item, Store, Tick
from mlflows.exceptions import ServiceException, UserErrorException


class Counting(LocalStore):
    """A server that counts what is fetched from it, slowly."""

    folder = None  # type: ignore[assignment]

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.fetched: list[str] = []

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        self.fetched.append(item.path)
        time.sleep(0.1)
        super().fetch(item, target, tick)


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    (tmp_path / "data").mkdir()
    for number in range(4):
        (tmp_path / "data" / str(number)).write_bytes(bytes(1000))
    return Counting(str(tmp_path / "data"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cache"


def of(store: Store, items: Sequence[Item]) -> list[DataFile]:
    return [DataFile(item.path, store, item) for item in items]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(small)], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield small / "cache"
    subprocess.run(["umount", str(small)], check=True)


def kept(folder: Path) -> int:
    return sum(1 for path in (folder / "files").rglob("*") if path.is_file())


def test_fetched_once(store: Counting, folder: Path) -> None:
    items = list(store.items(""))
    for _ in range(2):
        with Cache(folder).paths(of(store, items)) as paths:
            assert [os.path.getsize(path) for path in paths] == [1000] * 4
            assert not os.stat(paths[0]).st_mode & 0o222
    assert sorted(store.fetched) == ["0", "1", "2", "3"]


def test_a_changed_file_is_another(store: Counting, folder: Path, tmp_path: Path) -> None:
    with Cache(folder).paths(of(store, list(store.items("")))):
        pass
    (tmp_path / "data" / "0").write_text("new")
    with Cache(folder).paths(of(store, list(store.items("")))) as paths:
        assert Path(paths[0]).read_text() == "new"
    assert store.fetched[4:] == ["0"]


def test_two_share_the_work(store: Counting, folder: Path) -> None:
    items, read = list(store.items("")), []

    def use() -> None:
        with Cache(folder).paths(of(store, items)) as paths:
            read.append([Path(path).read_bytes() for path in paths])

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [[bytes(1000)] * 4] * 3 and sorted(store.fetched) == ["0", "1", "2", "3"]


def test_the_oldest_go_and_what_is_held_stays(store: Counting, folder: Path) -> None:
    cache, items = Cache(folder, 2500), list(store.items(""))
    with cache.paths(of(store, items[:1])) as held:
        os.utime(held[0], ns=(1, MARK))  # the oldest
        for item in items[1:]:
            with cache.paths(of(store, [item])):
                pass
        assert cache.evict() == 1000 or kept(folder) == 2
        assert os.path.exists(held[0])


def test_what_the_dead_held_goes(store: Counting, folder: Path) -> None:
    cache = Cache(folder, 0)
    items = list(store.items(""))
    child = os.fork()
    if not child:
        with cache.paths(of(store, items)):
            os._exit(0)
    os.waitpid(child, 0)
    assert kept(folder) == 4 and list((folder / "held").iterdir())
    assert cache.evict() == 4000 and kept(folder) == 0 and not list((folder / "held").iterdir())


def test_one_that_fails_leaves_nothing_that_looks_whole(store: Counting, folder: Path, tmp_path: Path) -> None:
    items = list(store.items(""))
    (tmp_path / "data" / "1").write_text("changed meanwhile")
    with pytest.raises(ServiceException, match="was changed"), Cache(folder).paths(of(store, items)):
        pass
    assert all(path.stat().st_size == 1000 for path in (folder / "files").rglob("*") if path.is_file())
    assert not list((folder / "held").iterdir())


def test_what_has_no_version_is_fetched_each_time(folder: Path) -> None:
    class Unversioned(LocalStore):
        folder = None  # type: ignore[assignment]
        fetched = 0

        def fetch(self, item: Item, target: str, tick: Tick) -> None:
            self.fetched += 1
            Path(target).write_bytes(bytes(item.size))

    store = Unversioned("/x")
    for times in (1, 2):
        with Cache(folder).paths(of(store, [Item("x", 3, "")])) as [path]:
            assert Path(path).read_bytes() == bytes(3) and store.fetched == times


@pytest.mark.parametrize("damage", ["other", "longer", "shorter"])
def test_what_somebody_wrote_to_is_fetched_again(store: Counting, folder: Path, damage: str) -> None:
    """Root can, and so can who owns it."""
    files = of(store, list(store.items("")))
    with Cache(folder).paths(files) as paths:
        os.chmod(paths[0], 0o644)
        Path(paths[0]).write_bytes({"other": b"x" * 1000, "longer": bytes(1001), "shorter": b""}[damage])
    with Cache(folder).paths(files) as paths:
        assert Path(paths[0]).read_bytes() == bytes(1000) and not os.stat(paths[0]).st_mode & 0o222
    assert store.fetched[4:] == ["0"]


def test_reading_is_no_change(store: Counting, folder: Path) -> None:
    files = of(store, list(store.items("")))
    for _ in range(2):
        with Cache(folder).paths(files) as paths:
            for path in paths:
                Path(path).read_bytes()
    assert len(store.fetched) == 4


def test_files_of_a_folder_stay_where_they_are(store: Counting, folder: Path, tmp_path: Path) -> None:
    here = LocalStore(str(tmp_path / "data"))
    (mine, *others), theirs = of(here, list(here.items(""))), of(store, list(store.items("")))
    with Cache(folder).paths([theirs[0], mine, theirs[1], *others]) as paths:
        assert paths[1] == str(tmp_path / "data/0") and paths[3:] == [str(tmp_path / f"data/{number}") for number in (1, 2, 3)]
        assert all(str(folder) in path for path in (paths[0], paths[2]))
    assert kept(folder) == 2
    with Cache(tmp_path / "never").paths([mine]):
        pass
    assert not (tmp_path / "never").exists()


def test_what_is_linked_stays(store: Counting, folder: Path, tmp_path: Path) -> None:
    cache, items = Cache(folder, 2500), list(store.items(""))
    with cache.paths(of(store, items[:2])) as paths:
        os.link(paths[0], tmp_path / "link")
        for path in paths:
            os.utime(path, ns=(1, MARK))
    with cache.paths(of(store, items[2:])):
        assert os.path.exists(paths[0]) and not os.path.exists(paths[1])
    os.unlink(tmp_path / "link")
    assert Cache(folder, 0).evict() == 2000 and kept(folder) == 0


def test_the_limit(store: Counting, folder: Path) -> None:
    """There is room before it comes; what one holder has may be more than the limit, until it is done."""
    cache, items = Cache(folder, 2500), list(store.items(""))
    for item in items:
        with cache.paths(of(store, [item])):
            assert kept(folder) <= 2
    with cache.paths(of(store, items)) as paths:
        assert all(map(os.path.exists, paths))
    assert kept(folder) == 2
    with Cache(folder, 0).paths(of(store, items[:1])):
        pass
    assert kept(folder) <= 2


def test_more_than_the_disk_has(store: Counting, folder: Path) -> None:
    items = [item._replace(size=1 << 60) for item in store.items("")]
    says = "cache: .* bytes are needed .* are free. Free some space, or set MLFLOWS_CACHE"
    with pytest.raises(UserErrorException, match=says), Cache(folder).paths(of(store, items)):
        pass
    assert store.fetched == []


def test_the_disk_has_room_after_an_eviction(store: Counting, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = list(store.items(""))
    with Cache(folder).paths(of(store, items[:3])):
        pass
    monkeypatch.setattr(Cache, "_free", lambda self: max(3500 - 1000 * kept(folder), 0))
    with Cache(folder).paths(of(store, items[3:])) as [path]:
        assert os.path.getsize(path) == 1000
    assert kept(folder) < 4


def test_a_disk_that_fills_meanwhile(store: Counting, small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "data/0").write_bytes(bytes(6 << 20))
    item = store.item("0")
    assert item is not None
    cut = DataFile("0", store, item._replace(size=UNKNOWN))
    for _ in range(2):
        with pytest.raises(UserErrorException, match="the disk is full. Free some space"), Cache(small_disk).paths([cut]):
            pass
    assert not [path for path in (small_disk / "files").rglob("*") if path.is_file()]


class Slow(Counting):
    """Writes down each fetch in a file, and how far it is: half, and after a second all."""

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        with partial.writing(target) as descriptor:
            os.write(descriptor, bytes(500))
            with open(f"{self._root}.log", "a") as log:
                log.write(item.path)
            time.sleep(1)
            os.write(descriptor, bytes(500))


def forked(work: Callable[[], object]) -> int:
    """A process that does it; its id."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def test_two_processes_fetch_once(store: Counting, folder: Path, tmp_path: Path) -> None:
    files = of(Slow(str(tmp_path / "data")), list(store.items("")))

    def use() -> None:
        with Cache(folder).paths(files) as paths:
            assert [Path(path).read_bytes() for path in paths] == [bytes(1000)] * 4

    children = [forked(use) for _ in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 3
    assert sorted((tmp_path / "data.log").read_text()) == ["0", "1", "2", "3"]


def test_killed_in_the_middle(store: Counting, folder: Path, tmp_path: Path) -> None:
    slow = Slow(str(tmp_path / "data"))

    def use() -> None:
        with Cache(folder).paths(of(slow, list(store.items("")))):
            pass

    child = forked(use)
    while not (tmp_path / "data.log").exists() or len((tmp_path / "data.log").read_text()) < 4:
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with Cache(folder).paths(of(store, list(store.items("")))) as paths:
        assert [Path(path).read_bytes() for path in paths] == [bytes(1000)] * 4
    assert sorted(store.fetched) == ["0", "1", "2", "3"]
    assert Cache(folder, 0).evict() == 4000
    assert [path for path in folder.rglob("*") if path.is_file() and "locks" not in path.parts] == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", DEFAULT_BYTES), ("0", 0), ("200GB", 200 * 10**9), ("1.5 MiB", 3 << 19), ("12", 12)],
)
def test_limit(value: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWS_CACHE_SIZE", value)
    assert limit() == expected


@pytest.mark.parametrize("value", ["much", "-1", "5 apples"])
def test_bad_limit(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWS_CACHE_SIZE", value)
    with pytest.raises(UserErrorException, match="MLFLOWS_CACHE_SIZE: .* is not a size"):
        limit()
