"""Datastores on a real MinIO, registered with a real Prefect server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from conftest import Services
from mlflows import Datastore, MlflowsS3Datastore, Workspace
from mlflows.data.datastore_kinds import S3Datastore
from mlflows.data.datastore_registry import block_name
from mlflows.exceptions import AuthenticationException, ServiceException, UserErrorException
from tests.support.documents import ROOT, blocks
from tests.support.s3 import S3Server

Files = Callable[[], dict[str, bytes]]


@pytest.fixture
def workspace(services: Services) -> Workspace:
    return Workspace("", "", f"data-{os.urandom(4).hex()}")


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.make_bucket("stores")


def keys(server: S3Server) -> dict[str, Any]:
    return {"endpoint": server.endpoint, "access_key_id": server.access_key_id, "secret_access_key": server.secret_access_key}


@pytest.fixture
def store(workspace: Workspace, s3_server: S3Server, bucket: str) -> S3Datastore:
    return Datastore.register_s3(workspace, "mydata", bucket, **keys(s3_server))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("a.csv", "sub/b c.csv", "sub/ü/训练.txt", "sub2/empty"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("" if name.endswith("empty") else name)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestRegistering:
    def test_is_found_again(self, workspace: Workspace, store: S3Datastore, bucket: str, s3_server: S3Server) -> None:
        for found in (Datastore.get(workspace, "mydata"), Datastore(workspace, "mydata"), workspace.datastores["mydata"]):
            assert (found.name, found.datastore_type, found.container_name) == ("mydata", "S3", bucket)
            assert found.account_name == s3_server.endpoint.removeprefix("http://")
        assert list(workspace.datastores) == ["workspaceblobstore", "mydata"]

    def test_default(self, workspace: Workspace, store: S3Datastore) -> None:
        assert workspace.get_default_datastore().name == "workspaceblobstore"
        workspace.set_default_datastore("mydata")
        assert workspace.get_default_datastore().name == Datastore(workspace).name == "mydata"
        store.unregister()
        assert workspace.get_default_datastore().name == "workspaceblobstore"
        with pytest.raises(UserErrorException, match="has no datastore 'mydata'. There are: workspaceblobstore"):
            Datastore.get(workspace, "mydata")

    def test_the_block_hides_the_key(self, workspace: Workspace, store: S3Datastore, s3_server: S3Server) -> None:
        with temporary_settings({PREFECT_API_URL: workspace._prefect().base_url}):
            block = MlflowsS3Datastore.load(block_name(workspace.name, "mydata"), _sync=True)  # type: ignore[call-arg]
        assert block.secret_access_key.get_secret_value() == s3_server.secret_access_key
        shown = workspace._prefect().request("POST", "/block_documents/filter", {})
        for text in (json.dumps(shown), repr(block), repr(store), repr(vars(store)), str(workspace.datastores)):
            assert s3_server.secret_access_key not in text

    def test_again(self, workspace: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str) -> None:
        Datastore.register_s3(workspace, "mydata", bucket, **keys(s3_server))
        other = s3_server.make_bucket("other")
        with pytest.raises(UserErrorException, match="has a datastore 'mydata' already.*overwrite=True"):
            Datastore.register_s3(workspace, "mydata", other, **keys(s3_server))
        Datastore.register_s3(workspace, "mydata", other, overwrite=True, **keys(s3_server))
        assert Datastore.get(workspace, "mydata").container_name == other

    def test_other_kind(self, workspace: Workspace, store: S3Datastore, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match="overwrite=True"):
            Datastore.register_local_folder(workspace, "mydata", tmp_path)
        Datastore.register_local_folder(workspace, "mydata", tmp_path, overwrite=True)
        assert Datastore.get(workspace, "mydata").container_name == str(tmp_path)

    def test_workspaces_are_apart(self, workspace: Workspace, store: S3Datastore) -> None:
        assert list(Workspace("", "", workspace.name + "-2").datastores) == ["workspaceblobstore"]

    @pytest.mark.parametrize(
        ("change", "kind", "message"),
        [
            ({"secret_access_key": "wrong"}, AuthenticationException, "refused the keys for bucket .*SignatureDoesNotMatch"),
            ({"access_key_id": "wrong"}, AuthenticationException, "refused the keys for bucket .*InvalidAccessKeyId"),
            ({"bucket": "no-such-bucket"}, UserErrorException, "There is no bucket 'no-such-bucket' at http"),
        ],
    )
    def test_wrong_keys_and_bucket_are_told_at_once(
        self, workspace: Workspace, s3_server: S3Server, bucket: str, change: dict[str, str], kind: type[Exception], message: str
    ) -> None:
        with pytest.raises(kind, match=message) as error:
            Datastore.register_s3(workspace, "mydata", **{"bucket": bucket, **keys(s3_server), **change})
        assert s3_server.secret_access_key not in str(error.value) and s3_server.access_key_id not in str(error.value)
        assert list(workspace.datastores) == ["workspaceblobstore"]


def test_as_in_the_documents(workspace: Workspace, s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block of docs/data.md, with this server's address and bucket."""
    [block] = [block for block in blocks(ROOT / "docs" / "data.md") if block.text.startswith("Datastore.register_s3(\n")]
    monkeypatch.setenv("ACCESS_KEY", s3_server.access_key_id)
    monkeypatch.setenv("SECRET_KEY", s3_server.secret_access_key)
    text = block.text.replace("http://127.0.0.1:9000", s3_server.endpoint).replace('bucket="training"', f'bucket="{bucket}"')
    exec(text, {"Datastore": Datastore, "workspace": workspace, "os": os})
    assert workspace.get_default_datastore().container_name == bucket


class TestAzure:
    def test_mapped(self, workspace: Workspace, store: S3Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"workspace_name": workspace.name, "azure_storage": {"acc/cont": "mydata"}}))
        monkeypatch.chdir(tmp_path)
        ws = Workspace.from_config()
        made = Datastore.register_azure_blob_container(ws, "azure", container_name="cont", account_name="acc", account_key="k")
        assert (made.name, made.datastore_type) == ("azure", "S3")
        assert Datastore.get(ws, "azure").container_name == ws.datastores["azure"].container_name == store.container_name
        with pytest.raises(UserErrorException, match="does not say which datastore is in the place of 'acc/share'"):
            Datastore.register_azure_file_share(ws, "azure2", "share", "acc")


class TestFiles:
    def test_there_and_back(self, store: S3Datastore, s3_server: S3Server, bucket: str, data: Path, tmp_path: Path) -> None:
        reference = store.upload(data, "in", show_progress=False)
        assert (reference.path_on_datastore, reference.datastore.name) == ("in", "mydata")
        assert s3_server.objects(bucket) == {f"in/{name}": len(content) for name, content in contents(data).items()}
        assert store.download(tmp_path / "out", "in/", show_progress=False) == 4
        assert contents(tmp_path / "out" / "in") == contents(data)

    def test_prefix_is_one_of_text(self, store: S3Datastore, data: Path, tmp_path: Path) -> None:
        store.upload(data, show_progress=False)
        assert store.download(tmp_path / "out", "sub", show_progress=False) == 3
        assert store.download(tmp_path / "out2", "sub/", show_progress=False) == 2
        assert store.download(tmp_path / "out3", "a.csv", show_progress=False) == 1
        assert store.download(tmp_path / "out4", "nothing", show_progress=False) == 0

    def test_overwrite_and_progress(
        self, store: S3Datastore, data: Path, tmp_path: Path, s3_server: S3Server, bucket: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store.upload(data)
        (data / "a.csv").write_text("a newer one")
        store.upload(data)
        assert s3_server.objects(bucket)["a.csv"] == 5 and "4 of 4 files are there already" in capsys.readouterr().out
        store.upload_files([data / "a.csv"], overwrite=True)
        assert s3_server.objects(bucket)["a.csv"] == 11
        store.download(tmp_path / "out")
        assert "Downloading took" in (said := capsys.readouterr().out) and "/s" in said

    def test_many_are_listed_and_not_asked_for_one_by_one(
        self, store: S3Datastore, tmp_path: Path, s3_server: S3Server, bucket: str
    ) -> None:
        folder = tmp_path / "many"
        folder.mkdir()
        for number in range(60):
            (folder / f"{number}.txt").write_text(str(number))
        store.upload(folder, "many", show_progress=False)
        (folder / "60.txt").write_text("60")
        store.upload(folder, "many", show_progress=False)
        assert len(s3_server.objects(bucket, "many/")) == 61

    @pytest.mark.parametrize("key", ["marker/", "deep/marker/"])
    def test_folders_made_by_hand_are_no_files(
        self, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path, key: str
    ) -> None:
        s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"")
        s3_server.client().put_object(Bucket=bucket, Key=key + "x", Body=b"1")
        assert store.download(tmp_path / "out", show_progress=False) == 1
        assert contents(tmp_path / "out") == {key + "x": b"1"}

    def test_empty_folder_made_by_hand(self, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        s3_server.client().put_object(Bucket=bucket, Key="marker/", Body=b"")
        s3_server.client().put_object(Bucket=bucket, Key="really-empty", Body=b"")
        store.download(tmp_path / "out", show_progress=False)
        assert (tmp_path / "out" / "really-empty").is_file()

    def test_long_keys(self, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        key = "/".join(["k" * 199] * 5)
        s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"1")
        store.download(tmp_path / "out", show_progress=False)
        assert contents(tmp_path / "out") == {key: b"1"}

    def test_large(self, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        content = os.urandom(37 << 20) + b"end"
        (tmp_path / "data" / "big").write_bytes(content)
        store.upload(tmp_path / "data", show_progress=False)
        assert s3_server.objects(bucket) == {"big": len(content)} and s3_server.unfinished(bucket) == []
        store.download(tmp_path / "out", show_progress=False)
        assert contents(tmp_path / "out") == {"big": content}
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["big"]

    def test_links_of_the_target_lead_nowhere_else(self, store: S3Datastore, data: Path, tmp_path: Path) -> None:
        store.upload(data, show_progress=False)
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UserErrorException, match="leads out of .* by a link"):
            store.download(tmp_path / "out")
        assert contents(tmp_path / "elsewhere") == {}

    def test_a_file_that_grows_is_not_uploaded(self, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        big = tmp_path / "growing"
        big.write_bytes(bytes(20 << 20))

        def grow(size: int) -> None:
            with big.open("ab") as handle:
                handle.write(b"more")

        with pytest.raises(ServiceException, match="was written to while it was uploaded"):
            store._store().put(str(big), "growing", grow)
        assert s3_server.objects(bucket) == {} and s3_server.unfinished(bucket) == []


class TestFolders:
    def test_shared_folder(self, workspace: Workspace, tmp_path: Path, data: Path) -> None:
        (tmp_path / "volume").mkdir()
        Datastore.register_local_folder(workspace, "volume", tmp_path / "volume")
        Datastore.get(workspace, "volume").upload(data, show_progress=False)
        assert contents(tmp_path / "volume") == contents(data)

    def test_by_address(self, workspace: Workspace, tmp_path: Path, data: Path) -> None:
        (tmp_path / "volume").mkdir()
        Datastore.register_url(workspace, "addressed", f"file://{tmp_path}/volume", {"auto_mkdir": True})
        store = Datastore.get(workspace, "addressed")
        store.upload(data, "in", show_progress=False)
        assert contents(tmp_path / "volume" / "in") == contents(data)
        assert store.download(tmp_path / "out", "in/sub", show_progress=False) == 3

    def test_by_address_of_s3(self, workspace: Workspace, s3_server: S3Server, bucket: str, data: Path, tmp_path: Path) -> None:
        options = {"key": s3_server.access_key_id, "secret": s3_server.secret_access_key, "endpoint_url": s3_server.endpoint}
        Datastore.register_url(workspace, "addressed", f"s3://{bucket}/folder", options)
        store = Datastore.get(workspace, "addressed")
        assert s3_server.secret_access_key not in repr(vars(store))
        store.upload(data, show_progress=False)
        assert store.download(tmp_path / "out", show_progress=False) == 4
        assert contents(tmp_path / "out") == contents(data)
