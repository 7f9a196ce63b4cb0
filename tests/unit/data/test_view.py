"""Folders filled with the files of a dataset: whatever the names and whatever lies there, nothing is written outside."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlflows.data import partial, view
from mlflows.data.definition import DataFile
from mlflows.data.local_store import LocalStore
from mlflows.data.store import Item, Tick, gone
from mlflows.exceptions import AzureMLException, ServiceException, UserErrorException

PARTS = st.text(st.characters(exclude_categories=[]), min_size=1, max_size=12) | st.sampled_from(
    ["..", ".", "", "a", "b", "a b", " ", "ü", "训练", "k" * 255, "k" * 256, "é" * 128, "~", "-x", "\\", "*"]
)
NAMES = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
CONTENTS = st.binary(max_size=20)


class Anything:
    """A server whose files have whatever names."""

    place, parallel, folder = "server", 4, None

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents = dict(contents)

    def files(self) -> list[DataFile]:
        return [DataFile(path, self, item) for path in self.contents if (item := self.item(path))]

    def items(self, prefix: str) -> Iterator[Item]:
        return (file.item for file in self.files() if file.name.startswith(prefix))

    def item(self, path: str) -> Item | None:
        return Item(path, len(self.contents[path]), self.contents[path].hex() or "empty") if path in self.contents else None

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        if item.path not in self.contents:
            raise gone(item, self.place)
        with partial.writing(target) as descriptor:
            os.write(descriptor, self.contents[item.path])
        tick(item.size)

    def put(self, source: str, path: str, tick: Tick) -> None:
        self.contents[path] = Path(source).read_bytes()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOWS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def contents(folder: Path) -> dict[str, bytes]:
    """Without following links to folders."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            found[os.path.relpath(path, folder)] = Path(path).read_bytes()
    return found


def locally(root: Path) -> list[DataFile]:
    store = LocalStore(str(root))
    return [DataFile(item.path, store, item) for item in store.items("")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(files=st.dictionaries(NAMES, CONTENTS, max_size=6), writable=st.booleans())
@example(files={"../x": b"1"}, writable=True)
@example(files={"/etc/x": b"1"}, writable=True)
@example(files={"a/../../x": b"1"}, writable=False)
@example(files={"a": b"1", "a/b": b"2"}, writable=False)
@example(files={"a/b": b"", "a/c/d": b"2", "a.b": b"3"}, writable=False)
@example(files={"k" * 1000: b"1"}, writable=True)
@example(files={"/".join(["k" * 199] * 5): b"1"}, writable=False)
@example(files={"/".join("k" * 500): b"1"}, writable=False)
@example(files={"a\ud800": b"1"}, writable=False)
@example(files={"x\0": b"1"}, writable=True)
def test_right_or_refused_and_never_outside(cache: Path, files: dict[str, bytes], writable: bool) -> None:
    with tempfile.TemporaryDirectory() as outer:
        folder = os.path.join(outer, "folder")
        try:
            paths = view.fill(Anything(files).files(), folder, writable)
        except UserErrorException:
            assert os.listdir(outer) == []
        else:
            assert paths == [os.path.join(folder, name) for name in files]
            assert contents(Path(folder)) == files
            for parent, folders, names in os.walk(folder):
                assert os.stat(parent).st_mode & 0o777 == (0o755 if writable else 0o555)
                assert not names or os.stat(os.path.join(parent, names[0])).st_mode & 0o777 == (0o644 if writable else 0o444)
                assert not any(map(partial.is_partial, folders + names))
            view.remove(folder)
            assert os.listdir(outer) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(
    planted=st.dictionaries(
        st.sampled_from(["a", "b", "a/b", "x", "a/x", "b/y/z"]),
        st.sampled_from(["elsewhere", "elsewhere/mine", "nowhere", ".."]),
        max_size=4,
    ),
    writable=st.booleans(),
)
@example(planted={"a": "elsewhere"}, writable=True)
@example(planted={"a": "elsewhere"}, writable=False)
@example(planted={"x": "elsewhere/mine"}, writable=True)
@example(planted={"x": "elsewhere/mine"}, writable=False)
def test_not_through_links_that_are_there(cache: Path, planted: dict[str, str], writable: bool) -> None:
    files = {"x": b"1", "a/x": b"2", "a/b/x": b"3", "b/y/z": b"4"}
    with tempfile.TemporaryDirectory() as outer:
        folder, elsewhere = Path(outer, "folder"), Path(outer, "elsewhere")
        folder.mkdir()
        elsewhere.mkdir()
        (elsewhere / "mine").write_bytes(b"mine")
        for name, target in planted.items():
            try:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).symlink_to(os.path.join(outer, target))
            except OSError:
                pass
        before = sorted(str(path) for path in elsewhere.rglob("*"))
        try:
            view.fill(Anything(files).files(), str(folder), writable)
        except UserErrorException as error:
            assert "is a link or file, and a folder is needed" in error.message or "Is a directory" in error.message
        else:
            assert contents(folder) == files and not any((folder / name).is_symlink() for name in files)
        view.remove(str(folder))
        assert not folder.exists()
        assert (elsewhere / "mine").read_bytes() == b"mine" and sorted(str(path) for path in elsewhere.rglob("*")) == before
        assert sorted(os.listdir(outer)) == ["elsewhere"]


class TestRefused:
    @pytest.mark.parametrize(
        ("names", "says"),
        [
            (["a//b"], "'a//b' is not a path that can be written"),
            (["/a"], "'/a' is not a path that can be written"),
            (["a", "a/b"], "'a' is a file, and other files are below it"),
            (["b/c/d", "b/c/d/e/f"], "'b/c/d' is a file, and other files are below it"),
            (["../x"], "'../x' is not a path that can be written"),
            (["é" * 128], "is longer than the 255 bytes of a file's name. Rename it"),
        ],
    )
    def test_by_a_sentence(self, tmp_path: Path, names: list[str], says: str) -> None:
        for writable in (True, False):
            with pytest.raises(UserErrorException, match=says):
                view.fill(Anything(dict.fromkeys(names, b"x")).files(), str(tmp_path / "to"), writable)
        assert not (tmp_path / "to").exists()

    def test_twins(self, tmp_path: Path) -> None:
        one, other = Anything({"c.csv?v=1": b"1", "c.csv?v=2": b"2"}).files()
        with pytest.raises(UserErrorException, match=r"'c.csv' is the name of two files, c.csv\?v=1 in server and c.csv\?v=2 in server"):
            view.fill([one._replace(name="c.csv"), other._replace(name="c.csv")], str(tmp_path / "to"), True)
        assert not (tmp_path / "to").exists()


class TestReadOnly:
    def test_links_to_the_cache(self, tmp_path: Path, cache: Path) -> None:
        files = Anything({"a/x": b"1", "b": b""}).files()
        for folder in ("one", "two", "two"):
            view.fill(files, str(tmp_path / folder), False)
        assert (tmp_path / "one/a/x").stat().st_nlink == 3 and os.path.samefile(tmp_path / "one/a/x", tmp_path / "two/a/x")
        view.remove(str(tmp_path / "two"))
        assert (tmp_path / "one/a/x").stat().st_nlink == 2 and (tmp_path / "one/a/x").stat().st_mode & 0o222 == 0

    def test_links_to_what_is_on_this_machine(self, tmp_path: Path) -> None:
        (tmp_path / "root/a").mkdir(parents=True)
        (tmp_path / "root/a/x").write_text("mine")
        (path,) = view.fill(locally(tmp_path / "root"), str(tmp_path / "to"), False)
        assert os.readlink(path) == str(tmp_path / "root/a/x")
        view.remove(str(tmp_path / "to"))
        assert (tmp_path / "root/a/x").read_text() == "mine"

    def test_copies_where_linking_is_impossible(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another file system than the cache's."""
        if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("needs a second file system at /dev/shm")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
            files = Anything({"a/x": b"1", "b": b"2"}).files()
            for _ in range(2):
                view.fill(files, other + "/to", False)
            assert contents(Path(other, "to")) == {"a/x": b"1", "b": b"2"}
            found = os.stat(other + "/to/a/x")
            assert found.st_nlink == 1 and found.st_mode & 0o777 == 0o444
            view.remove(other + "/to")

    def test_who_is_not_root_fills_and_removes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Folders that are read-only are in root's way nowhere."""
        with tempfile.TemporaryDirectory() as home:
            os.chmod(home, 0o777)
            monkeypatch.setenv("MLFLOWS_CACHE", home + "/cache")
            child = os.fork()
            if not child:
                code = 1
                try:
                    if os.geteuid() == 0:
                        os.setgroups([])
                        os.setgid(65534)
                        os.setuid(65534)
                    store = Anything({"a/b/x": b"1", "a/y": b"2", "z": b"3"})
                    view.fill(store.files(), home + "/to", False)
                    store.contents["a/b/x"] = b"new"
                    view.fill(store.files(), home + "/to", False)
                    done = contents(Path(home, "to")) == store.contents
                    view.remove(home + "/to")
                    code = 0 if done and not os.path.exists(home + "/to") else 2
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0


class TestCopies:
    def test_of_ones_own(self, tmp_path: Path) -> None:
        (tmp_path / "root").mkdir()
        (tmp_path / "root/x").write_text("mine")
        for files in (locally(tmp_path / "root"), Anything({"x": b"mine"}).files()):
            (path,) = view.fill(files, str(tmp_path / "to"), True)
            Path(path).write_text("changed")
            assert (tmp_path / "root/x").read_text() == "mine"
            (path,) = view.fill(files, str(tmp_path / "to"), True)
            assert Path(path).read_text() == "mine" and os.stat(path).st_nlink == 1

    def test_large(self, tmp_path: Path) -> None:
        ticks = list[int]()
        (tmp_path / "root").mkdir()
        (tmp_path / "root/x").write_bytes(os.urandom(70 << 20))
        (path,) = view.fill(locally(tmp_path / "root"), str(tmp_path / "to"), True, ticks.append)
        assert Path(path).read_bytes() == (tmp_path / "root/x").read_bytes() and sum(ticks) == 70 << 20

    @pytest.mark.parametrize("count", [1, 9])
    def test_changed_since_it_was_listed(self, tmp_path: Path, count: int) -> None:
        (tmp_path / "root").mkdir()
        for number in range(count):
            (tmp_path / f"root/{number}").write_text("a")
        files = locally(tmp_path / "root")
        (tmp_path / "root/0").write_text("b")
        with pytest.raises(ServiceException, match="0 in the folder .* was changed or removed while it was read"):
            view.fill(files, str(tmp_path / "to"), True)
        assert not (tmp_path / "to/0").exists() and not [name for name in os.listdir(tmp_path / "to") if partial.is_partial(name)]


class TestGone:
    @pytest.mark.parametrize("writable", [True, False])
    @pytest.mark.parametrize("local", [True, False])
    def test_said_or_left_out(self, tmp_path: Path, writable: bool, local: bool) -> None:
        (tmp_path / "root").mkdir()
        for name in "abcdef":
            (tmp_path / "root" / name).write_text(name)
        server = Anything({name: name.encode() for name in "abcdef"})
        files = locally(tmp_path / "root") if local else server.files()
        (tmp_path / "root/b").unlink()
        del server.contents["b"]
        with pytest.raises(AzureMLException, match="b in .* was changed or removed while it was read"):
            view.fill(files, str(tmp_path / "one"), writable)
        paths = view.fill(files, str(tmp_path / "two"), writable, ignore_gone=True)
        assert [os.path.basename(path) for path in paths] == [*"acdef"] == sorted(os.listdir(tmp_path / "two"))


class TestRemove:
    def test_what_is_not_there(self, tmp_path: Path) -> None:
        view.remove(str(tmp_path / "nothing"))

    @pytest.mark.parametrize("keep", [True, False])
    def test_a_link_is_not_followed(self, tmp_path: Path, keep: bool) -> None:
        (tmp_path / "elsewhere").mkdir(mode=0o500)
        (tmp_path / "to").symlink_to(tmp_path / "elsewhere")
        view.remove(str(tmp_path / "to"), keep)
        assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o500 and not (tmp_path / "to").is_symlink()

    def test_somebody_writes_into_it(self, tmp_path: Path) -> None:
        """For a moment: what a script that is being killed has left behind."""
        folder, stop = tmp_path / "busy", time.monotonic() + 0.4

        def write() -> None:
            number = 0
            while time.monotonic() < stop:
                number += 1
                with contextlib.suppress(OSError):
                    (folder / "in").mkdir(parents=True, exist_ok=True)
                    (folder / "in" / str(number)).write_text("x")
                time.sleep(0.0005)

        (folder / "in").mkdir(parents=True)
        writers = [threading.Thread(target=write) for _ in range(3)]
        for writer in writers:
            writer.start()
        view.remove(str(folder))
        for writer in writers:
            writer.join()
        view.remove(str(folder))
        assert not folder.exists()

    def test_somebody_goes_on_writing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Here in the moment before each time that a folder is removed."""
        monkeypatch.setattr(view, "BUSY_SECONDS", 0.1)
        (tmp_path / "busy").mkdir()
        rmdir = os.rmdir

        def late(path: str, **more: int) -> None:
            (tmp_path / "busy" / "late").touch()
            rmdir(path, **more)

        monkeypatch.setattr(os, "rmdir", late)
        with pytest.raises(OSError, match="Directory not empty"):
            view.remove(str(tmp_path / "busy"))

    @pytest.mark.parametrize("keep", [True, False])
    def test_links_in_it_are_not_followed(self, tmp_path: Path, keep: bool) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "file").write_text("x")
        (tmp_path / "elsewhere").chmod(0o500)
        (tmp_path / "folder" / "in").mkdir(parents=True)
        for link in ("to", "in/to"):
            (tmp_path / "folder" / link).symlink_to(tmp_path / "elsewhere")
        (tmp_path / "folder" / "in").chmod(0o555)
        view.remove(str(tmp_path / "folder"), keep)
        assert (tmp_path / "elsewhere" / "file").exists() and (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o500
        assert (tmp_path / "folder").exists() is keep


class Cancelled(Exception):
    """Somebody does not want it any more."""


@pytest.mark.parametrize("local", [True, False])
def test_a_cancel_is_noticed_while_links_are_made(tmp_path: Path, local: bool) -> None:
    server = Anything({str(number): b"" for number in range(1000)})
    files = server.files()
    view.fill(files, str(tmp_path / "first"), True)
    files = locally(tmp_path / "first") if local else files
    asked: list[int] = []

    def tick(size: int) -> None:
        asked.append(size)
        if len(asked) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        view.fill(files, str(tmp_path / "second"), False, tick)
    assert 0 < len(os.listdir(tmp_path / "second")) < 1000 and set(asked) == {0}


def test_again_is_quick(tmp_path: Path) -> None:
    """Seconds of this process alone: others may be at work on the machine. tests/s3 has more files."""
    files = Anything({f"{number % 20}/{number}": b"" for number in range(2000)}).files()
    view.fill(files, str(tmp_path / "one"), False)
    began = time.process_time()
    view.fill(files, str(tmp_path / "two"), False)
    assert time.process_time() - began < 0.3
