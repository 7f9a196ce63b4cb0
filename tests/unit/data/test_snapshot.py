import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from mlflows.data import snapshot, snapshot_index, tree
from mlflows.data.snapshot import materialize, store_of, take
from mlflows.exceptions import SnapshotException


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "pkg").mkdir(parents=True)
    (folder / "train.py").write_text("print(1)\n")
    (folder / "pkg" / "__init__.py").write_text("")
    (folder / "pkg" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "pkg" / "run.sh").chmod(0o755)
    return folder


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def age(folder):
    """Make every file old enough to be trusted by the index, as after two seconds; ctime alone cannot be set."""
    old = time.time() - 60
    for path in folder.rglob("*"):
        os.utime(path, (old, old), follow_symlinks=False)


def refused(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


def tree_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class TestRoundTrip:
    def test_files_modes_and_empty_folders(self, source, store, tmp_path):
        (source / "empty").mkdir()
        taken = take(source, store)
        materialize(taken.id, store, tmp_path / "out")
        assert tree_of(tmp_path / "out") == tree_of(source)
        assert (tmp_path / "out" / "train.py").read_text() == "print(1)\n"
        assert stat.S_IMODE((tmp_path / "out" / "pkg" / "run.sh").stat().st_mode) == 0o755
        assert (taken.files, taken.bytes, taken.new_bytes) == (4, 19, 19)

    def test_a_read_only_file_can_be_written_by_the_job(self, source, store, tmp_path):
        (source / "train.py").chmod(0o444)
        materialize(take(source, store).id, store, tmp_path / "out")
        assert stat.S_IMODE((tmp_path / "out" / "train.py").stat().st_mode) == 0o644

    def test_the_copy_is_independent_of_store_and_source(self, source, store, tmp_path):
        identifier = take(source, store).id
        materialize(identifier, store, tmp_path / "one")
        (tmp_path / "one" / "train.py").write_text("changed")
        materialize(identifier, store, tmp_path / "two")
        assert (tmp_path / "two" / "train.py").read_text() == (source / "train.py").read_text() == "print(1)\n"

    @pytest.mark.parametrize("size", [snapshot.WHOLE_BYTES, snapshot.WHOLE_BYTES + 1, 3 * snapshot.WHOLE_BYTES + 7])
    def test_large_files(self, source, store, tmp_path, size):
        content = os.urandom(size)
        (source / "model.bin").write_bytes(content)
        materialize(take(source, store).id, store, tmp_path / "out")
        assert (tmp_path / "out" / "model.bin").read_bytes() == content

    def test_odd_names(self, source, store, tmp_path):
        names = [b"a b.txt", b"quote'\".py", b"new\nline", b"\xff\xfe", "ü".encode(), b"-rf", b"$HOME"]
        for name in names:
            with open(os.path.join(os.fsencode(source), name), "wb") as handle:
                handle.write(name)
        materialize(take(source, store).id, store, tmp_path / "out")
        for name in names:
            with open(os.path.join(os.fsencode(tmp_path / "out"), name), "rb") as handle:
                assert handle.read() == name

    def test_an_empty_directory(self, tmp_path, store):
        (tmp_path / "nothing").mkdir()
        taken = take(tmp_path / "nothing", store)
        materialize(taken.id, store, tmp_path / "out")
        assert taken.files == 0 and tree_of(tmp_path / "out") == []

    def test_a_relative_source(self, source, store, monkeypatch):
        monkeypatch.chdir(source)
        assert take(snapshot.Path("."), store).id == take(source, store).id


class TestSharing:
    def test_the_id_depends_on_content_alone(self, source, store, tmp_path):
        first = take(source, store)
        twin = tmp_path / "twin"
        subprocess.run(["cp", "-r", str(source), str(twin)], check=True)
        second = take(twin, store)
        assert second.id == first.id and second.new_bytes == 0

    def test_only_what_is_new_is_stored(self, source, store):
        take(source, store)
        (source / "more.py").write_text("12345")
        assert take(source, store).new_bytes == 5

    def test_a_mode_change_is_another_snapshot(self, source, store):
        first = take(source, store)
        (source / "train.py").chmod(0o755)
        second = take(source, store)
        assert second.id != first.id and second.new_bytes == 0

    def test_processes_at_once(self, source, store, tmp_path):
        for number in range(200):
            (source / f"m{number}.py").write_text(str(number) * 50)
        code = "import sys; from mlflows.data.snapshot import Path, take; print(take(Path(sys.argv[1]), Path(sys.argv[2])).id)"
        command = [sys.executable, "-c", code, str(source), str(store)]
        takers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        identifiers = {taker.communicate()[0].strip() for taker in takers}
        assert len(identifiers) == 1
        materialize(identifiers.pop(), store, tmp_path / "out")
        assert len(tree_of(tmp_path / "out")) == 204 and list((store / "tmp").iterdir()) == []


class TestIndex:
    def test_an_unchanged_directory_is_not_read(self, source, store, home, monkeypatch):
        age(source)
        monkeypatch.setattr(snapshot_index, "RACY_NANOSECONDS", 0)
        first = take(source, store)
        monkeypatch.setattr(snapshot._Writer, "_store_file", lambda *a: pytest.fail("a file was read"))
        assert take(source, store) == snapshot.Snapshot(first.id, 3, 19, 0)
        (source / "train.py").chmod(0o600)
        with pytest.raises(pytest.fail.Exception):  # its ctime changed
            take(source, store)

    def test_a_young_file_is_read_again(self, source, store):
        first = take(source, store)
        found = (source / "train.py").stat()
        (source / "train.py").write_text("print(2)\n")
        os.utime(source / "train.py", ns=(found.st_atime_ns, found.st_mtime_ns))
        assert take(source, store).id != first.id

    def test_a_file_replaced_by_one_of_equal_size_and_time(self, source, store, monkeypatch):
        monkeypatch.setattr(snapshot_index, "RACY_NANOSECONDS", 0)
        age(source)
        first = take(source, store)
        found = (source / "train.py").stat()
        (source / "other").write_text("print(2)\n")
        os.utime(source / "other", ns=(found.st_atime_ns, found.st_mtime_ns))
        (source / "other").replace(source / "train.py")
        assert take(source, store).id != first.id

    def test_a_lost_store_is_filled_again(self, source, tmp_path, monkeypatch):
        monkeypatch.setattr(snapshot_index, "RACY_NANOSECONDS", 0)
        first = take(source, tmp_path / "one")
        second = take(source, tmp_path / "two")
        assert second.id == first.id and second.new_bytes == 19
        materialize(second.id, tmp_path / "two", tmp_path / "out")

    @pytest.mark.parametrize("text", ["", "{", "[]\n", '{"format": 99}\n', '{"format": 1}\n', "\xff"])
    def test_a_damaged_index_is_ignored(self, source, store, home, text):
        first = take(source, store)
        [path] = (home / "snapshot_index").iterdir()
        path.write_text(text)
        assert take(source, store).id == first.id

    def test_a_damaged_body_is_ignored(self, source, store, home, monkeypatch):
        monkeypatch.setattr(snapshot_index, "RACY_NANOSECONDS", 0)
        take(source, store)
        [path] = (home / "snapshot_index").iterdir()
        path.write_text(path.read_text().splitlines()[0] + "\n{{{")
        (source / "new.py").write_text("x")
        assert take(source, store).files == 4

    def test_no_index_can_be_written(self, source, store, home):
        home.mkdir()
        (home / "snapshot_index").write_text("a file in the way")
        assert take(source, store).files == 3


class TestWhatBelongsToIt:
    def test_without_an_ignore_file_the_exclusions_are_named(self, source, store):
        for path in (
            ".git/config",
            "venv/pyvenv.cfg",
            "venv/lib/x.py",
            "envs/conda-meta/history",
            "__pycache__/a.pyc",
            "outputs/model.pkl",
        ):
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_text("x")
        taken = take(source, store)
        assert taken.files == 3 and sorted(taken.excluded) == ["__pycache__/", "envs/", "outputs/", "venv/"]

    def test_the_source_itself_may_be_an_environment(self, source, store):
        (source / "pyvenv.cfg").write_text("")
        assert take(source, store).files == 4

    def test_an_ignore_file_is_the_persons_own_choice(self, source, store):
        (source / ".amlignore").write_text("*.sh\n")
        (source / "outputs").mkdir()
        (source / "outputs" / "old.pkl").write_text("x")
        taken = take(source, store)
        assert (taken.files, taken.excluded) == (4, ())

    def test_a_store_inside_the_source_is_left_out(self, source, home, monkeypatch):
        monkeypatch.setenv("MLFLOWS_HOME", str(source / ".mlflows"))
        first = take(source, store_of("local"))
        assert take(source, store_of("local")).id == first.id and first.files == 3

    def test_special_files_are_skipped_and_named(self, source, store):
        os.mkfifo(source / "queue")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(source / "s"))
            taken = take(source, store)
        assert taken.files == 3 and sorted(taken.skipped) == ["queue (pipe)", "s (socket)"]


class TestLinks:
    def test_inside_stay_links(self, source, store, tmp_path):
        (source / "latest.py").symlink_to("train.py")
        (source / "pkg" / "up").symlink_to("../pkg")
        (source / "absolute.py").symlink_to(source / "train.py")
        (source / "dangling").symlink_to("not/there")
        materialize(take(source, store).id, store, tmp_path / "out")
        links = {name: os.readlink(tmp_path / "out" / name) for name in ("latest.py", "pkg/up", "absolute.py", "dangling")}
        assert links == {"latest.py": "train.py", "pkg/up": "../pkg", "absolute.py": "train.py", "dangling": "not/there"}

    def test_to_a_file_outside_becomes_the_file(self, source, store, tmp_path):
        (tmp_path / "shared.py").write_text("shared")
        (source / "shared.py").symlink_to(tmp_path / "shared.py")
        materialize(take(source, store).id, store, tmp_path / "out")
        assert not (tmp_path / "out" / "shared.py").is_symlink() and (tmp_path / "out" / "shared.py").read_text() == "shared"

    def test_out_and_back_in_by_name(self, source, store, tmp_path):
        (source / "back.py").symlink_to("../source/train.py")
        materialize(take(source, store).id, store, tmp_path / "out")
        assert os.readlink(tmp_path / "out" / "back.py") == "train.py"

    def test_to_a_folder_outside_is_refused(self, source, store, tmp_path):
        (tmp_path / "data").mkdir()
        (source / "data").symlink_to(tmp_path / "data")
        with pytest.raises(SnapshotException, match=r"source/data is a link to the folder .*data outside .*list the link in .amlignore"):
            take(source, store)

    def test_unless_it_is_ignored(self, source, store, tmp_path):
        (tmp_path / "data").mkdir()
        (source / "data").symlink_to(tmp_path / "data")
        (source / ".amlignore").write_text("data\n")
        assert take(source, store).files == 4

    def test_dangling_outside_is_skipped(self, source, store):
        (source / "lost").symlink_to("/nowhere/at/all")
        assert take(source, store).skipped == ("lost (link to /nowhere/at/all, which is no file)",)


class TestFailures:
    @pytest.mark.parametrize("name", ["missing", "train.py"])
    def test_no_directory(self, source, store, name):
        with pytest.raises(SnapshotException, match=f"{name}' is not a folder"):
            take(source / name, store)

    def test_an_unreadable_file(self, source, store, monkeypatch):
        """Root may read everything, so the refusal is made up."""
        monkeypatch.setattr(snapshot, "open", refused, raising=False)
        with pytest.raises(SnapshotException, match=r"(train|__init__|run)\.(py|sh) cannot be read .*list it in .amlignore"):
            take(source, store)

    def test_an_unreadable_folder(self, source, store, monkeypatch):
        plain = os.scandir
        monkeypatch.setattr(tree.os, "scandir", lambda path: refused() if str(path).endswith("pkg") else plain(path))
        with pytest.raises(SnapshotException, match="pkg cannot be read .*list it in .amlignore"):
            take(source, store)

    def test_a_store_that_cannot_be_written(self, source, store):
        store.write_text("a file in the way")
        with pytest.raises(SnapshotException, match="cannot be stored in .*store"):
            take(source, store)

    def test_a_file_that_changes_while_it_is_read(self, source, store, tmp_path):
        growing = source / "train.log"
        growing.write_text("start\n")
        stop = threading.Event()

        def write():
            with growing.open("a") as handle:
                for _ in range(20000):
                    handle.write("line\n")
                    handle.flush()
                    if stop.is_set():
                        break

        writer = threading.Thread(target=write)
        writer.start()
        try:
            taken = [take(source, store) for _ in range(5)]
        finally:
            stop.set()
            writer.join()
        for number, each in enumerate(taken):
            materialize(each.id, store, tmp_path / f"out{number}")
        last = take(source, store)
        materialize(last.id, store, tmp_path / "last")
        assert (tmp_path / "last" / "train.log").read_text() == growing.read_text()

    def test_a_file_that_grows_as_fast_as_it_is_read(self, source, store, tmp_path, monkeypatch):
        """Each read of it makes it longer, so reading to its end would never end."""
        growing = source / "train.log"
        growing.write_bytes(b"x" * (snapshot.WHOLE_BYTES + 1))
        plain = snapshot._Report.stored

        def grow(report, files, size):
            with growing.open("ab") as handle:
                handle.write(b"y" * 100)
            plain(report, files, size)

        monkeypatch.setattr(snapshot._Report, "stored", grow)
        taken = take(source, store)
        monkeypatch.undo()
        materialize(taken.id, store, tmp_path / "out")
        assert (tmp_path / "out" / "train.log").stat().st_size > snapshot.WHOLE_BYTES

    def test_a_file_removed_between_scan_and_read(self, source, store, monkeypatch):
        real = snapshot.scan

        def scan_then_remove(*args, **kwargs):
            tree = real(*args, **kwargs)
            (source / "train.py").unlink()
            return tree

        monkeypatch.setattr(snapshot, "scan", scan_then_remove)
        assert take(source, store).files == 2


class TestMaterializeRefuses:
    @pytest.mark.parametrize("identifier", ["", "x", "../../etc/passwd", "A" * 64])
    def test_what_is_no_id(self, store, tmp_path, identifier):
        with pytest.raises(SnapshotException, match="is not the id of a snapshot"):
            materialize(identifier, store, tmp_path / "out")

    def test_an_unknown_id(self, store, tmp_path):
        with pytest.raises(SnapshotException, match="is not in .*Submit the run again"):
            materialize("0" * 64, store, tmp_path / "out")

    def test_a_target_that_holds_something(self, source, store, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("x")
        with pytest.raises(SnapshotException, match="exists already"):
            materialize(take(source, store).id, store, tmp_path / "out")
        assert tree_of(tmp_path / "out") == ["mine"] and not list(tmp_path.glob(".out*"))

    @pytest.mark.parametrize("damage", ["missing", "short"])
    def test_a_damaged_store_which_the_next_take_repairs(self, source, store, tmp_path, damage, monkeypatch):
        monkeypatch.setattr(snapshot_index, "RACY_NANOSECONDS", 0)
        identifier = take(source, store).id
        blob = next(path for path in (store / "blobs").rglob("*") if path.is_file() and path.stat().st_size == 9)
        blob.unlink() if damage == "missing" else blob.write_text("x")
        with pytest.raises(SnapshotException, match="damaged: the content of train.py"):
            materialize(identifier, store, tmp_path / "out")
        assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))
        assert take(source, store).id == identifier
        materialize(identifier, store, tmp_path / "out")

    def test_a_changed_manifest(self, source, store, tmp_path):
        identifier = take(source, store).id
        path = store / "manifests" / f"{identifier}.json"
        path.write_text(path.read_text().replace("train.py", "trojan.py"))
        with pytest.raises(SnapshotException, match="its manifest was changed"):
            materialize(identifier, store, tmp_path / "out")

    @pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "a//x", "./x", "", "a/", "x\0y"])
    def test_paths_that_lead_out(self, source, store, tmp_path, path):
        take(source, store)
        identifier = forge(store, [[path, 0o644, 9, "b" * 64]])
        with pytest.raises(SnapshotException, match="leads out of the job's folder"):
            materialize(identifier, store, tmp_path / "out")

    @pytest.mark.parametrize("link", ["/etc", "..", "../..", "a/../../.."])
    def test_links_that_lead_out(self, source, store, tmp_path, link):
        take(source, store)
        with pytest.raises(SnapshotException, match="leads out of the job's folder"):
            materialize(forge(store, [["l", 0o777, 0, "->" + link]]), store, tmp_path / "out")

    def test_a_file_through_a_link(self, source, store, tmp_path):
        """A chain of links that each look harmless leads out only when followed; nothing is written through it."""
        take(source, store)
        blob = next(path for path in (store / "blobs").rglob("*") if path.is_file())
        digest = blob.parent.name + blob.name
        rows = [["d/l", 0o777, 0, "->.."], ["m", 0o777, 0, "->d/l/.."], ["m/evil", 0o644, blob.stat().st_size, digest]]
        with pytest.raises(OSError):
            materialize(forge(store, rows), store, tmp_path / "deep" / "out")
        assert not (tmp_path / "deep" / "evil").exists() and not (tmp_path / "evil").exists()

    def test_a_bad_hash(self, source, store, tmp_path):
        take(source, store)
        with pytest.raises(SnapshotException, match="is not a hash"):
            materialize(forge(store, [["a", 0o644, 1, "../../../etc/passwd"]]), store, tmp_path / "out")


def forge(store, rows):
    import hashlib

    text = json.dumps({"format": 1, "files": rows}, separators=(",", ":"))
    identifier = hashlib.sha256(text.encode()).hexdigest()
    (store / "manifests" / f"{identifier}.json").write_text(text)
    return identifier


class TestProgress:
    def test_quiet_when_quick(self, source, store):
        said = []
        take(source, store, progress=said.append)
        assert said == []

    def test_large_files_are_named_once(self, source, store, monkeypatch):
        monkeypatch.setattr(snapshot, "LARGE_BYTES", 1000)
        (source / "data").mkdir()
        (source / "data" / "big.csv").write_text("x" * 5000)
        said = []
        take(source, store, progress=said.append)
        take(source, store, progress=said.append)
        assert len(said) == 1 and "the largest: data/ (5 kB)" in said[0] and ".amlignore" in said[0]

    def test_stale_temporary_files_are_removed(self, source, store):
        take(source, store)
        (store / "tmp" / "left").write_text("x")
        os.utime(store / "tmp" / "left", (0, 0))
        (source / "new.py").write_text("y")
        take(source, store)
        assert not (store / "tmp" / "left").exists()
