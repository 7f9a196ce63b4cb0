import os

import pytest

from mlflows.data import workspace_file
from mlflows.data.data_reference import DataReference
from mlflows.data.datastore import Datastore, LocalFolderDatastore, datastores_of
from mlflows.data.snapshot import store_of
from mlflows.exceptions import UserErrorException, WorkspaceException


class Place:
    name = "team"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def store():
    return Datastore(Place())


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.csv").write_text("a")
    (folder / "sub" / "b.csv").write_text("b")
    return folder


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class TestAttributes:
    def test_read_by_scripts_as_text(self, store, home):
        assert (store.name, store.datastore_type, store.workspace.name) == ("workspaceblobstore", "LocalFolder", "team")
        assert store.container_name == str(home / "workspaces" / "team" / "datastores" / "workspaceblobstore")
        assert store.account_name and isinstance(store.account_key, str) and "workspaceblobstore" in str(store)

    def test_get(self, store):
        assert Datastore.get(Place(), "workspaceblobstore").root == store.root == Datastore.get_default(Place()).root
        assert list(datastores_of(Place())) == ["workspaceblobstore"] and isinstance(store, LocalFolderDatastore)

    @pytest.mark.parametrize("name", ["missing", "", "../x", 3])
    def test_missing_names_those_that_exist(self, name):
        with pytest.raises(UserErrorException, match="has no datastore .* There are: workspaceblobstore"):
            Datastore.get(Place(), name)

    @pytest.mark.parametrize("workspace", [None, "team", 3])
    def test_no_workspace(self, workspace):
        with pytest.raises(UserErrorException, match="workspace: expected a Workspace"):
            Datastore(workspace)

    def test_set_as_default(self, store):
        store.set_as_default()
        assert workspace_file.read("team")["default_datastore"] == "workspaceblobstore"


class TestUpload:
    def test_folder(self, store, data, capsys):
        reference = store.upload(str(data), "in/put")
        assert names(store.root) == ["in/put/a.csv", "in/put/sub/b.csv"]
        assert isinstance(reference, DataReference) and reference.path_on_datastore == "in/put"
        assert "2 of 2 files" in capsys.readouterr().out

    def test_quiet(self, store, data, capsys):
        store.upload(data, show_progress=False)
        assert capsys.readouterr().out == "" and names(store.root) == ["a.csv", "sub/b.csv"]

    def test_overwrite(self, store, data, capsys):
        store.upload(data)
        (data / "a.csv").write_text("new")
        store.upload(data)
        assert (store.root / "a.csv").read_text() == "a" and "2 of 2 files are there already" in capsys.readouterr().out
        store.upload(data, overwrite=True)
        assert (store.root / "a.csv").read_text() == "new"

    def test_files(self, store, data):
        store.upload_files([str(data / "a.csv"), data / "sub" / "b.csv"], target_path="flat")
        store.upload_files([str(data / "sub" / "b.csv")], relative_root=str(data), target_path="deep")
        assert names(store.root) == ["deep/sub/b.csv", "flat/a.csv", "flat/b.csv"]

    @pytest.mark.parametrize("path", ["..", "../x", "a/../../b", 3])
    def test_target_stays_inside(self, store, data, path):
        with pytest.raises(UserErrorException, match="target_path: "):
            store.upload(data, path)

    def test_an_absolute_target_is_taken_from_the_root(self, store, data):
        store.upload(data, "/top")
        assert names(store.root)[0] == "top/a.csv"

    @pytest.mark.parametrize("source", ["missing", None, 3])
    def test_no_folder(self, store, source):
        with pytest.raises(UserErrorException, match="src_dir: .* is not a folder"):
            store.upload(source)

    @pytest.mark.parametrize(
        ("files", "message"), [("a.csv", "expected a list"), (None, "expected a list"), (["missing"], "is not a file")]
    )
    def test_bad_files(self, store, files, message):
        with pytest.raises(UserErrorException, match=f"files: .*{message}"):
            store.upload_files(files)

    def test_not_below_the_root(self, store, data):
        with pytest.raises(UserErrorException, match="is not below relative_root"):
            store.upload_files([str(data / "a.csv")], relative_root=str(data / "sub"))

    def test_two_of_one_name(self, store, data):
        (data / "sub" / "a.csv").write_text("other")
        with pytest.raises(UserErrorException, match="would both become a.csv. Give relative_root"):
            store.upload_files([data / "a.csv", data / "sub" / "a.csv"])
        assert not store.root.exists()

    def test_pipes_are_no_files(self, store, data):
        os.mkfifo(data / "pipe")
        store.upload(data, show_progress=False)
        assert names(store.root) == ["a.csv", "sub/b.csv"]


class TestDownload:
    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [(None, ["x/a.csv", "x/sub/b.csv"]), ("x/sub", ["x/sub/b.csv"]), ("x/a", ["x/a.csv"]), ("x/a.csv", ["x/a.csv"]), ("nothing", [])],
    )
    def test_prefix(self, store, data, tmp_path, prefix, expected):
        store.upload(data, "x", show_progress=False)
        assert store.download(tmp_path / "out", prefix, show_progress=False) == len(expected)
        assert names(tmp_path / "out") == expected

    def test_overwrite(self, store, data, tmp_path):
        store.upload(data)
        (tmp_path / "a.csv").write_text("mine")
        assert store.download(tmp_path) == 2
        assert (tmp_path / "a.csv").read_text() == "mine"
        store.download(tmp_path, overwrite=True)
        assert (tmp_path / "a.csv").read_text() == "a"

    def test_snapshots_are_out_of_sight(self, store, data, tmp_path):
        store_of("team").mkdir(parents=True)
        (store_of("team") / "blob").write_text("x")
        assert store.download(tmp_path / "out") == 0

    @pytest.mark.parametrize("prefix", ["..", "../../x", 3])
    def test_prefix_stays_inside(self, store, tmp_path, prefix):
        with pytest.raises(UserErrorException, match="prefix: "):
            store.download(tmp_path, prefix)

    def test_target_is_a_file(self, store, data):
        with pytest.raises(UserErrorException, match="target_path: .* is not a folder"):
            store.download(data / "a.csv")


class TestDataReference:
    def test_text_in_arguments(self, store):
        assert str(store.path()) == "$AZUREML_DATAREFERENCE_workspaceblobstore"
        assert str(store.path("p", "n")) == "$AZUREML_DATAREFERENCE_n"
        assert len(store.path("p").data_reference_name) == 32 and store.path("p").data_reference_name != store.path("p").data_reference_name

    def test_modes(self, store):
        reference = store.path("p", "n")
        assert reference.mode == store.as_mount().mode == reference.as_mount().mode == "mount"
        assert (store.as_download("/d").mode, store.as_upload("/u").path_on_compute) == ("download", "/u")
        assert reference.as_download("/d", overwrite=True).to_config() == {
            "dataStoreName": "workspaceblobstore",
            "pathOnDataStore": "p",
            "mode": "download",
            "pathOnCompute": "/d",
            "overwrite": True,
        }
        assert (reference.mode, reference.as_upload().data_reference_name) == ("mount", "n")

    def test_below(self, store):
        assert store.path("a/").path("/b").path_on_datastore == "a/b" and store.path().path("b").path_on_datastore == "b"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"mode": "copy"}, "mode: 'copy' is not one of mount, download, upload"),
            ({"data_reference_name": "a b"}, "data_reference_name: 'a b'"),
            ({"data_reference_name": ""}, "data_reference_name: ''"),
            ({"path_on_datastore": 3}, "path_on_datastore: expected a path"),
            ({"path_on_compute": 3}, "path_on_compute: expected a path"),
            ({"datastore": "blob"}, "datastore: expected a Datastore"),
        ],
    )
    def test_bad_arguments(self, store, arguments, message):
        with pytest.raises(UserErrorException, match=message):
            DataReference(**{"datastore": store, **arguments})


class TestWorkspaceFile:
    def test_a_change_that_fails_is_not_written(self):
        with pytest.raises(RuntimeError), workspace_file.changing("team") as record:
            record["tags"] = {"a": "b"}
            raise RuntimeError
        assert not workspace_file.exists("team") and workspace_file.read("team") == {}

    def test_only_the_owner_reads_it(self, home):
        with workspace_file.changing("team") as record:
            record["x"] = 1
        assert (home / "workspaces" / "team" / "workspace.json").stat().st_mode & 0o777 == 0o600
        assert workspace_file.names() == ["team"] and workspace_file.read("team") == {"format": 1, "x": 1}

    @pytest.mark.parametrize("text", ["{", "[]", "3"])
    def test_damaged(self, home, text):
        (home / "workspaces" / "team").mkdir(parents=True)
        (home / "workspaces" / "team" / "workspace.json").write_text(text)
        with pytest.raises(WorkspaceException, match="workspace.json .*start over"):
            workspace_file.read("team")
