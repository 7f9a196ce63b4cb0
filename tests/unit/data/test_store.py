"""Paths in stores and on disk, and files on their way: nothing leaves its folder, nothing half."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlflows.data import partial, transfer
from mlflows.data.local_store import LocalStore
from mlflows.data.partial import Partial
from mlflows.data.store import Item, checked_path, checked_prefix, local_path, matching, patience
from mlflows.exceptions import ServiceException, UserErrorException

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(["..", ".", "", "a b", "ü", "训练", "k" * 256])
PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join)


@settings(max_examples=200)
@given(PATHS)
@example("../x")
@example("/etc/passwd")
@example("a/../../b")
@example("a//b")
@example("a\0b")
@example("k" * 1000)
@example("/".join(["k" * 199] * 5))
def test_nothing_is_written_outside(path: str) -> None:
    try:
        target = local_path("/root/folder", path)
    except UserErrorException:
        return
    assert os.path.normpath(target) == target and target.startswith("/root/folder/")
    assert all(len(os.fsencode(part)) <= 255 for part in target.split("/"))


@settings(max_examples=200)
@given(PATHS)
def test_a_persons_path_stays_inside(path: str) -> None:
    try:
        plain = checked_path("target_path", path, "the datastore")
    except UserErrorException as error:
        assert ".." in path and "target_path: " in error.message
        return
    assert not {"", ".", ".."} & set(plain.split("/")) or plain == ""


def test_prefix_keeps_its_slash() -> None:
    assert [checked_prefix("prefix", each, "x") for each in ("a/", "a", "/a//b/", "/", "")] == ["a/", "a", "a/b/", "", ""]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), st.binary(max_size=100), max_size=8))
def test_there_and_back(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(folder + "/store")
        for number, (name, content) in enumerate(files.items()):
            Path(folder, "source").write_bytes(content)
            try:
                local_path("/", f"{number}/{name}")
            except UserErrorException:
                with pytest.raises(UserErrorException):
                    store.put(folder + "/source", f"{number}/{name}", lambda size: None)
                continue
            store.put(folder + "/source", f"{number}/{name}", lambda size: None)
        items = list(store.items(""))
        transfer.download(store, items, folder + "/out", False, False)
        for item in items:
            assert Path(folder, "out", item.path).read_bytes() == files[item.path.partition("/")[2]]


def test_a_file_and_a_folder_of_one_name(tmp_path: Path) -> None:
    """S3 has both; a disk cannot."""
    with pytest.raises(UserErrorException, match="'a' is a file in the datastore, and so is 'a/b'"):
        transfer.download(LocalStore("/x"), [Item("a", 1, ""), Item("a/b", 1, "")], str(tmp_path / "out"), False, False)
    assert not (tmp_path / "out").exists()


class TestMatching:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("a/x.csv", ["a/x.csv"]),
            ("a", ["a/b/y.csv", "a/x.csv"]),
            ("a/*.csv", ["a/x.csv"]),
            ("a/**/*.csv", ["a/b/y.csv", "a/x.csv"]),
            ("**", ["a/b/y.csv", "a/x.csv", "ab/z.txt"]),
            ("a*/?.txt", ["ab/z.txt"]),
            ("", ["a/b/y.csv", "a/x.csv", "ab/z.txt"]),
            ("nothing", []),
        ],
    )
    def test_patterns(self, tmp_path: Path, pattern: str, expected: list[str]) -> None:
        for name in ("a/x.csv", "a/b/y.csv", "ab/z.txt"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        assert sorted(item.path for item in matching(LocalStore(str(tmp_path)), pattern)) == expected


@pytest.mark.parametrize("count", [transfer.FEW, transfer.FEW + 1])
def test_what_is_there_of_what_is_asked_for(tmp_path: Path, count: int) -> None:
    """And no stranger, in the folder or beside it."""
    store = LocalStore(str(tmp_path))
    names = [f"folder/{number}" for number in range(count)]
    for name in [*names[1:], "folder/stranger", "folder/deep/0", "folderette/0", "beside"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert transfer.there(store, names, "folder") == transfer.there(store, names, "") == set(names[1:])
    assert set(transfer.found(store, names)) == set(names[1:])


def test_nothing_is_looked_for(tmp_path: Path) -> None:
    assert transfer.found(LocalStore(str(tmp_path)), []) == {} and transfer.there(LocalStore(str(tmp_path)), [], "") == set()


class TestLocalStore:
    def test_an_unreadable_source_is_named(self, tmp_path: Path) -> None:
        store = LocalStore(str(tmp_path / "store"))
        with pytest.raises(UserErrorException, match=r"/nothing cannot be read: No such file"):
            store.put(str(tmp_path / "nothing"), "x", lambda size: None)
        with pytest.raises(UserErrorException, match=f" {tmp_path} cannot be read: Is a directory"):
            store.put(str(tmp_path), "x", lambda size: None)
        assert not (tmp_path / "store").exists()

    def test_a_folder_below(self, tmp_path: Path) -> None:
        store = LocalStore(str(tmp_path / "store"))
        assert store.below("a/b") == str(tmp_path / "store/a/b") and not (tmp_path / "store").exists()
        assert store.below("/a//b/", make=True) == str(tmp_path / "store/a/b") and (tmp_path / "store/a/b").is_dir()
        assert store.below("a/b", make=True) == store.below("a/b") == str(tmp_path / "store/a/b")
        assert store.below("", make=True) == store.below("") == str(tmp_path / "store")
        (tmp_path / "store/inside").symlink_to("a")
        assert store.below("inside/c", make=True) == str(tmp_path / "store/inside/c") and (tmp_path / "store/a/c").is_dir()
        (tmp_path / "linked").symlink_to("store")  # the datastore's own folder may be one
        assert LocalStore(str(tmp_path / "linked")).below("d", make=True) == str(tmp_path / "linked/d")

    @pytest.mark.parametrize("make", [True, False])
    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("out", "path: 'out' leads through a link out of the folder"),
            ("out/deep/x", "path: 'out/deep/x' leads through a link out of the folder"),
            ("out-to-nothing", "path: 'out-to-nothing' leads through a link out of the folder"),
            ("nowhere", "path: 'nowhere' in the folder .* is or leads through a file"),
            ("file", "path: 'file' in the folder .* is or leads through a file, and a folder is needed. Remove it"),
            ("file/x/y", "path: 'file/x/y' in the folder .* is or leads through a file"),
            ("to-file/x", "path: 'to-file/x' in the folder .* is or leads through a file"),
            ("../x", "path: '../x' leads out of the folder"),
            ("a\0b", "is not a path that can be written"),
        ],
    )
    def test_no_folder_below(self, tmp_path: Path, path: str, says: str, make: bool) -> None:
        (tmp_path / "elsewhere").mkdir()
        root = tmp_path / "store"
        root.mkdir()
        (root / "file").write_text("x")
        for link, to in (("out", "../elsewhere"), ("out-to-nothing", "../nothing"), ("nowhere", "nothing"), ("to-file", "file")):
            (root / link).symlink_to(to)
        with pytest.raises(UserErrorException, match=says):
            LocalStore(str(root)).below(path, make)
        assert list((tmp_path / "elsewhere").iterdir()) == [] and not (tmp_path / "nothing").exists() and not (root / "nothing").exists()

    def test_a_file_where_the_store_is(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(UserErrorException, match="is or leads through a file"):
            LocalStore(str(tmp_path / "file")).below("", make=True)

    def test_links_lead_nowhere_else(self, tmp_path: Path) -> None:
        for name in ("store", "elsewhere"):
            (tmp_path / name).mkdir()
        (tmp_path / "store" / "link").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "x").write_text("x")
        with pytest.raises(UserErrorException, match="path: 'link' leads through a link out of the folder"):
            LocalStore(str(tmp_path / "store")).put(str(tmp_path / "x"), "link/x", lambda size: None)
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_changed_since_it_was_listed(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("x")
        store = LocalStore(str(tmp_path))
        [item] = store.items("")
        (tmp_path / "x").write_text("another")
        with pytest.raises(ServiceException, match="was changed or removed while it was read"):
            store.fetch(item, str(tmp_path / "out"), lambda size: None)
        assert [path.name for path in tmp_path.iterdir()] == ["x"]


class TestPartial:
    ITEM = Item("big", 10, "etag")

    def test_goes_on(self, tmp_path: Path) -> None:
        target = str(tmp_path / "out")
        with Partial(self.ITEM, target, 4) as file:
            assert file.missing() == [(0, 4), (4, 8), (8, 10)]
            file.write(4, memoryview(b"5678"))
        with Partial(self.ITEM, target, 4) as file:
            assert file.missing() == [(0, 4), (8, 10)]
            file.write(0, memoryview(b"1234"))
            file.write(8, memoryview(b"90"))
            file.finish()
        assert (tmp_path / "out").read_bytes() == b"1234567890"
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_another_version_begins_anew(self, tmp_path: Path) -> None:
        with Partial(self.ITEM, str(tmp_path / "out"), 4) as file:
            file.write(0, memoryview(b"1234"))
        with Partial(self.ITEM._replace(version="other"), str(tmp_path / "out"), 4) as file:
            assert len(file.missing()) == 3

    def test_a_machine_that_went_down_begins_anew(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with Partial(self.ITEM, str(tmp_path / "out"), 4) as file:
            file.write(0, memoryview(b"1234"))
        monkeypatch.setattr(partial, "_boot", lambda: "another")
        with Partial(self.ITEM, str(tmp_path / "out"), 4) as file:
            assert len(file.missing()) == 3

    def test_a_list_that_was_cut_off(self, tmp_path: Path) -> None:
        with Partial(self.ITEM, str(tmp_path / "out"), 4) as file:
            file.write(0, memoryview(b"1234"))
        [journal] = tmp_path.glob("*.parts")
        with journal.open("a") as handle:
            handle.write("8")  # no end of line
        with Partial(self.ITEM, str(tmp_path / "out"), 4) as file:
            assert file.missing() == [(4, 8), (8, 10)]

    def test_two_at_once_do_not_share_a_file(self, tmp_path: Path) -> None:
        target = str(tmp_path / "out")
        with Partial(self.ITEM, target, 16) as one, Partial(self.ITEM, target, 16) as other:
            one.write(0, memoryview(b"1234567890"))
            assert other.missing() == [(0, 10)]
            other.write(0, memoryview(b"1234567890"))
            one.finish()
            other.finish()
        assert (tmp_path / "out").read_bytes() == b"1234567890" and len(list(tmp_path.iterdir())) == 1

    def test_what_the_killed_have_left(self, tmp_path: Path) -> None:
        (tmp_path / ".mlflows-1-1.part").write_text("half")
        with Partial(self.ITEM, str(tmp_path / "out"), 4) as file:
            file.write(0, memoryview(b"1234"))
        partial.remove_stale(str(tmp_path))
        assert len(list(tmp_path.iterdir())) == 2 and not (tmp_path / ".mlflows-1-1.part").exists()


def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWS_TRANSFER_PATIENCE", "3.5")
    assert patience() == 3.5
    monkeypatch.setenv("MLFLOWS_TRANSFER_PATIENCE", "long")
    with pytest.raises(UserErrorException, match="MLFLOWS_TRANSFER_PATIENCE: 'long' is not a number"):
        patience()
