"""Blocks of datastores, and mistakes of who registers one: told before any server is asked."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite

from mlflows import Datastore, workspace_config
from mlflows.data import datastore_registry as registry
from mlflows.data import workspace_file
from mlflows.data.datastore_block import BLOCKS
from mlflows.data.s3_store import S3Settings, S3Store
from mlflows.data.url_store import UrlSettings, shown
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient

ROOT = Path(__file__).parents[3]


class Away:
    """A workspace whose Prefect server must not be asked."""

    name = "team"

    def _prefect(self) -> RestClient:
        raise AssertionError("asked")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("block", BLOCKS.values(), ids=str)
class TestBlocks(BlockStandardTestSuite):
    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """As the suite's, of the file in this repository that the address means."""
        from PIL import Image

        path = ROOT / urlsplit(str(block._logo_url)).path.partition("/main/")[2]
        with Image.open(path) as image:
            assert image.width == image.height and 45 < image.width < 1000

    def test_secrets_are_not_shown(self, block: type[Block]) -> None:
        secret = {"secret_access_key", "session_token", "storage_options"} & set(block.model_fields)
        fields = dict.fromkeys(block.model_fields, None) | {"anonymous": False}
        given = {name: "hidden-x" if name in secret else "x" for name in fields if name not in ("anonymous", "path_style")}
        assert "hidden-x" not in repr(block(**given)) and set(block.get_block_schema_capabilities() or ()) is not None


def test_slugs_never_change() -> None:
    assert set(BLOCKS) == set(registry.KINDS)
    assert registry.KINDS == ("mlflows-s3-datastore", "mlflows-folder-datastore", "mlflows-url-datastore", "mlflows-datastore-alias")


@pytest.mark.parametrize("name", ["mydata", "MyData", "my_data", "x" * 255])
def test_block_names(name: str) -> None:
    made = registry.block_name("My-Team_1", name)
    assert re.fullmatch(r"my-team-1-[0-9a-f]{8}-[a-z0-9-]{1,40}-[0-9a-f]{8}", made)
    assert made != registry.block_name("My-Team_1", name + "2") and made != registry.block_name("my-team-1", name)


@pytest.mark.parametrize("name", ["", "a b", "a-b", "../x", "ü", "x" * 256, None, 3, "workspaceblobstore"])
@pytest.mark.parametrize("method", ["register_s3", "register_local_folder", "register_url"])
def test_bad_names(method: str, name: Any) -> None:
    with pytest.raises(UserErrorException, match="datastore_name: "):
        getattr(Datastore, method)(Away(), name, "/tmp")


@pytest.mark.parametrize("method", ["register_s3", "register_local_folder", "register_url"])
def test_no_workspace(method: str) -> None:
    with pytest.raises(UserErrorException, match="workspace: expected a Workspace"):
        getattr(Datastore, method)("team", "mydata", "/tmp")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bucket": ""}, "bucket: .* empty"),
        ({"bucket": None}, "bucket: None is not the name of a bucket"),
        ({"bucket": "s3://data/x"}, "bucket: .*without s3://"),
        ({"bucket": "a/b"}, "bucket: "),
        ({"endpoint": "host:9000"}, "endpoint: 'host:9000' is not the address of a server"),
        ({"endpoint": "http://user:word@host:9000"}, "endpoint: 'http://host:9000' .*keys go into access_key_id"),
        ({"endpoint": 3}, "endpoint: expected text, got a int"),
        ({"region": 3}, "region: expected text"),
        ({"access_key_id": "a"}, "secret_access_key: is missing"),
        ({"secret_access_key": "a"}, "access_key_id: is missing"),
        ({"access_key_id": 3, "secret_access_key": "b"}, "access_key_id: expected text"),
        ({"access_key_id": "a", "secret_access_key": 12345}, "secret_access_key: expected text, got a int"),
        ({"session_token": "a"}, "session_token: belongs to access_key_id"),
        ({"anonymous": True, "access_key_id": "a", "secret_access_key": "b"}, "anonymous: True, and there are keys"),
        ({"path_style": "yes"}, "path_style: expected True, False or None"),
        ({"encryption": "rot13"}, "encryption: 'rot13' is none of"),
    ],
)
def test_bad_s3(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserErrorException, match=message) as error:
        Datastore.register_s3(Away(), "mydata", **{"bucket": "data", **arguments})
    assert "12345" not in str(error.value) and "word" not in error.value.message.replace("password", "")


@pytest.mark.parametrize("folder", ["missing", None, 3, ""])
def test_bad_folder(folder: Any) -> None:
    with pytest.raises(UserErrorException, match="folder: .* is not a folder"):
        Datastore.register_local_folder(Away(), "mydata", folder)


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("/data", None, "url: ./data. is not an address"),
        (None, None, "url: None is not an address"),
        ("sftp://me:word@host/x", None, "url: 'sftp://host/x' has a password in it.*storage_options"),
        ("sftp://host/x", "word", "storage_options: expected a dict"),
        ("sftp://host/x", {"a": object()}, "storage_options: expected a dict"),
        ("sftp://host/x", {1: 2}, "storage_options: expected a dict"),
    ],
)
def test_bad_url(url: Any, options: Any, message: str) -> None:
    with pytest.raises(UserErrorException, match=message) as error:
        Datastore.register_url(Away(), "mydata", url, options)
    assert "word@" not in str(error.value)


class TestAzure:
    def test_says_what_to_use(self) -> None:
        for call in (
            lambda: Datastore.register_azure_blob_container(Away(), "mydata", "cont", "acc", account_key="k"),
            lambda: Datastore.register_azure_file_share(Away(), "mydata", "cont", "acc"),
            lambda: Datastore.register_azure_data_lake_gen2(Away(), "mydata", "cont", "acc"),
        ):
            with pytest.raises(UserErrorException, match='"azure_storage": {"acc/cont": "my_bucket"}'):
                call()
        with pytest.raises(UserErrorException, match='"azure_storage": {"lake": "my_bucket"}'):
            Datastore.register_azure_data_lake(Away(), "mydata", "lake")

    def test_the_built_in_may_be_in_its_place(self) -> None:
        with workspace_file.changing("team") as record:
            record["azure_storage"] = {"acc/cont": "workspaceblobstore"}
        with pytest.raises(AssertionError, match="asked"):  # to keep the other name
            Datastore.register_azure_blob_container(Away(), "mydata", "cont", "acc")

    @pytest.mark.parametrize("bad", [None, "", 3])
    def test_bad_names(self, bad: Any) -> None:
        with pytest.raises(UserErrorException, match="account_name: expected a name"):
            Datastore.register_azure_blob_container(Away(), "mydata", "cont", bad)
        with pytest.raises(UserErrorException, match="container_name: expected a name"):
            Datastore.register_azure_blob_container(Away(), "mydata", bad, "acc")

    @pytest.mark.parametrize("method", ["register_azure_sql_database", "register_azure_postgre_sql", "register_azure_my_sql"])
    def test_databases(self, method: str) -> None:
        with pytest.raises(UserErrorException, match="databases are not datastores.*pandas.read_sql"):
            getattr(Datastore, method)(Away(), "mydata", "server", "database")

    def test_others(self) -> None:
        with pytest.raises(UserErrorException, match="Use Datastore.register_url.*'dbfs://"):
            Datastore.register_dbfs(Away(), "mydata")
        with pytest.raises(UserErrorException, match="Use Datastore.register_url.*'hdfs://node/'"):
            Datastore.register_hdfs(Away(), "mydata", "http", "node", None, None, None, None)


def test_the_built_in_needs_no_server_and_stays() -> None:
    store = Datastore.get(Away(), "workspaceblobstore")
    assert Datastore.get_default(Away()).name == store.name == "workspaceblobstore"
    with pytest.raises(UserErrorException, match="cannot be unregistered"):
        store.unregister()


@pytest.mark.parametrize("storage", ["training", {"acc/cont": 3}, {"acc/cont": ""}, ["acc/cont"]])
def test_bad_azure_storage_in_config_json(tmp_path: Path, storage: Any) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"workspace_name": "team", "azure_storage": storage}))
    with pytest.raises(UserErrorException, match="config.json: azure_storage does not say which datastore"):
        workspace_config.read(str(path))


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UserErrorException, match=r"need the extra s3: pip install 'mlflows\[s3\]'"):
        Datastore.register_s3(Away(), "mydata", "data")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    store = S3Store(S3Settings("data", "http://127.0.0.1:1"), 0)
    with pytest.raises(UserErrorException, match="missing cannot be read: No such file"):
        store.put(str(tmp_path / "missing"), "x", lambda size: None)


def test_keys_are_not_shown() -> None:
    settings = S3Settings("data", access_key_id="key", secret_access_key="word", session_token="token")
    assert repr(settings) == str(settings) == "S3Settings(bucket='data', endpoint=None)"
    assert "word" not in repr(UrlSettings("sftp://me@host/x?token=word", {"password": "word"}))
    assert shown("sftp://me:word@host/x?token=word") == "sftp://host/x"
