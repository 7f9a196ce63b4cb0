"""The cache of a host: what is kept, what goes, who shares it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlflows.data.cache import DEFAULT_BYTES, Cache, limit
from mlflows.data.local_store import LocalStore
from mlflows.data.store import Item, Tick
from mlflows.exceptions import ServiceException, UserErrorException


class Counting(LocalStore):
    """A folder that counts what is fetched from it, slowly."""

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


def kept(folder: Path) -> int:
    return sum(1 for path in (folder / "files").rglob("*") if path.is_file())


def test_fetched_once(store: Counting, folder: Path) -> None:
    items = list(store.items(""))
    for _ in range(2):
        with Cache(folder).holding(store, items) as paths:
            assert [os.path.getsize(path) for path in paths] == [1000] * 4
            assert not os.stat(paths[0]).st_mode & 0o222
    assert sorted(store.fetched) == ["0", "1", "2", "3"]


def test_a_changed_file_is_another(store: Counting, folder: Path, tmp_path: Path) -> None:
    with Cache(folder).holding(store, list(store.items(""))):
        pass
    (tmp_path / "data" / "0").write_text("new")
    with Cache(folder).holding(store, list(store.items(""))) as paths:
        assert Path(paths[0]).read_text() == "new"
    assert store.fetched[4:] == ["0"]


def test_two_share_the_work(store: Counting, folder: Path) -> None:
    items, read = list(store.items("")), []

    def use() -> None:
        with Cache(folder).holding(store, items) as paths:
            read.append([Path(path).read_bytes() for path in paths])

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [[bytes(1000)] * 4] * 3 and sorted(store.fetched) == ["0", "1", "2", "3"]


def test_the_oldest_go_and_what_is_held_stays(store: Counting, folder: Path) -> None:
    cache, items = Cache(folder, 2500), list(store.items(""))
    with cache.holding(store, items[:1]) as held:
        os.utime(held[0], (1, 1))  # the oldest
        for item in items[1:]:
            with cache.holding(store, [item]):
                pass
        assert cache.evict() == 1000 or kept(folder) == 2
        assert os.path.exists(held[0])


def test_what_the_dead_held_goes(store: Counting, folder: Path) -> None:
    cache = Cache(folder, 0)
    items = list(store.items(""))
    child = os.fork()
    if not child:
        with cache.holding(store, items):
            os._exit(0)
    os.waitpid(child, 0)
    assert kept(folder) == 4 and list((folder / "held").iterdir())
    assert cache.evict() == 4000 and kept(folder) == 0 and not list((folder / "held").iterdir())


def test_one_that_fails_leaves_nothing_that_looks_whole(store: Counting, folder: Path, tmp_path: Path) -> None:
    items = list(store.items(""))
    (tmp_path / "data" / "1").write_text("changed meanwhile")
    with pytest.raises(ServiceException, match="was changed"), Cache(folder).holding(store, items):
        pass
    assert all(path.stat().st_size == 1000 for path in (folder / "files").rglob("*") if path.is_file())
    assert not list((folder / "held").iterdir())


def test_what_has_no_version_is_fetched_each_time(folder: Path) -> None:
    class Unversioned(LocalStore):
        fetched = 0

        def fetch(self, item: Item, target: str, tick: Tick) -> None:
            self.fetched += 1
            Path(target).write_bytes(bytes(item.size))

    store = Unversioned("/x")
    for times in (1, 2):
        with Cache(folder).holding(store, [Item("x", 3, "")]) as [path]:
            assert Path(path).read_bytes() == bytes(3) and store.fetched == times


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
