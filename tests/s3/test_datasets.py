"""Datasets over a bucket, and over the same bucket by fsspec, on a real MinIO."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import ROOT, SLOW, Services
from mlflows import Workspace
from mlflows.data import view
from mlflows.data.cache import Cache
from mlflows.data.data_type import DataType
from mlflows.data.datapath import DataPath
from mlflows.data.dataset import Dataset
from mlflows.data.datastore import Datastore
from mlflows.data.datastore_kinds import AbstractDatastore, S3Datastore, UrlDatastore
from mlflows.data.definition import made_up_id
from mlflows.data.file_dataset import FileDataset
from mlflows.data.resolving import dataset_of
from mlflows.data.s3_store import S3Settings, S3Store
from mlflows.data.url_store import UrlSettings
from mlflows.exceptions import AuthenticationException, UserErrorException
from mlflows.rest import RestClient
from tests.support.s3 import S3Server

FILES = {
    "img/cat/1.png": b"one",
    "img/cat/2.png": b"two",
    "img/dog/3.png": b"three",
    "img/readme.txt": b"text",
    "img2/x": b"",
    "days/2021/01/01/d.csv": b"a,b\n1,x\n2,y\n",
    "days/2021/01/02/d.csv": b"a,b\n3,z\n",
    "lines/a.jsonl": b'{"a": 1}\n{"a": 2}\n',
    "odd/a b/ü 训.txt": b"odd",
    "odd/[x]/f": b"brackets",
    ".mlflows/own": b"own",
}
IMAGES = ["/cat/1.png", "/cat/2.png", "/dog/3.png", "/readme.txt"]
MANY = 50_000 if SLOW else 2_000


class Team:
    """A workspace without a Prefect server."""

    name = "team"

    def _prefect(self) -> RestClient:
        return RestClient("http://127.0.0.1:1/api")


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    name = s3_server.make_bucket("datasets")
    for key, body in FILES.items():
        s3_server.client().put_object(Bucket=name, Key=key, Body=body)
    table = io.BytesIO()
    pd.DataFrame({"a": range(100), "b": "x"}).to_parquet(table)
    for number in range(2):
        s3_server.client().put_object(Bucket=name, Key=f"parquet/part={number}/0.parquet", Body=table.getvalue())
    return name


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOWS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def settings_of(server: S3Server, bucket: str) -> S3Settings:
    return S3Settings(bucket, server.endpoint, access_key_id=server.access_key_id, secret_access_key=server.secret_access_key)


@pytest.fixture(params=["s3", "fsspec"])
def store(request: pytest.FixtureRequest, s3_server: S3Server, bucket: str) -> AbstractDatastore:
    if request.param == "s3":
        return S3Datastore(Team(), "mydata", settings_of(s3_server, bucket))
    options = {"key": s3_server.access_key_id, "secret": s3_server.secret_access_key, "endpoint_url": s3_server.endpoint}
    return UrlDatastore(Team(), "mydata", UrlSettings(f"s3://{bucket}", options))


def contents(folder: str | Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


class TestFiles:
    def test_paths(self, store: AbstractDatastore) -> None:
        for path in ("img", "/img/", "img/**", "./img"):
            assert Dataset.File.from_files((store, path)).to_path() == IMAGES
        assert Dataset.File.from_files((store, "img/*/*.png")).to_path() == IMAGES[:3]
        assert Dataset.File.from_files((store, "img*/**")).to_path() == ["/img/" + each[1:] for each in IMAGES] + ["/img2/x"]
        assert Dataset.File.from_files(DataPath(store, "img/cat")).to_path() == ["/1.png", "/2.png"]
        assert Dataset.File.from_files([(store, "img/cat"), (store, "img/dog/3.png")]).to_path() == IMAGES[:3]
        assert Dataset.File.from_files((store, "img/cat/1.png"), is_file=True).to_path() == ["/1.png"]
        assert Dataset.File.from_files((store, "odd/[x]/f")).to_path() == ["/f"]
        assert Dataset.File.from_files([(store, name) for name in sorted(FILES) if name.startswith("img/")]).to_path() == IMAGES
        assert not any("own" in path for path in Dataset.File.from_files((store, "")).to_path())

    def test_nothing_there(self, store: AbstractDatastore) -> None:
        for path in ("im", "img/*.jpg", "img/cat/1.png/x", "nothing"):
            with pytest.raises(UserErrorException, match="There is no file at .* in datastore 'mydata'"):
                Dataset.File.from_files((store, path))

    def test_download(self, store: AbstractDatastore, tmp_path: Path) -> None:
        paths = Dataset.File.from_files((store, "odd")).download(tmp_path / "to")
        assert contents(tmp_path / "to") == {"a b/ü 训.txt": b"odd", "[x]/f": b"brackets"} and len(paths) == 2
        Path(paths[0]).write_text("changed")
        with pytest.raises(UserErrorException, match="2 of 2 files are in .* already"):
            Dataset.File.from_files((store, "odd")).download(tmp_path / "to")
        Dataset.File.from_files((store, "odd")).download(tmp_path / "to", overwrite=True)
        assert contents(tmp_path / "to") == {"a b/ü 训.txt": b"odd", "[x]/f": b"brackets"}

    def test_mounted_and_mounted_again(self, store: AbstractDatastore, s3_server: S3Server, tmp_path: Path) -> None:
        dataset = Dataset.File.from_files((store, "img*/**"))
        with dataset.mount() as first, dataset.mount(tmp_path / "point") as second:
            for mounted in (first, second):
                assert contents(mounted.mount_point) == {key: body for key, body in FILES.items() if key.startswith("img")}
            assert os.path.samefile(f"{first.mount_point}/img/readme.txt", f"{second.mount_point}/img/readme.txt")
            assert os.stat(f"{first.mount_point}/img/readme.txt").st_mode & 0o222 == 0
            folder = first.mount_point
        assert not os.path.exists(folder) and not os.path.exists(tmp_path / "point")

    def test_what_is_there_is_not_fetched(self, store: AbstractDatastore, tmp_path: Path) -> None:
        files, ticks = Dataset.File.from_files((store, "img"))._files(), list[int]()
        for folder in ("one", "two"):
            view.fill(files, str(tmp_path / folder), False, ticks.append)
        assert sum(ticks) == sum(len(FILES["img" + name]) for name in IMAGES)

    def test_metadata_partitions_and_digest(self, store: AbstractDatastore) -> None:
        dataset = Dataset.File.from_files((store, "img/*/*"), partition_format="/{kind}/{number}.png")
        assert dataset.get_partition_key_values(["kind"]) == [{"kind": "cat"}, {"kind": "dog"}]
        assert dataset.filter(dataset["kind"] == "cat").to_path() == IMAGES[:2]
        assert dataset.filter(dataset.file_metadata("Size") > 3).to_path() == IMAGES[2:3]
        now = datetime.now(timezone.utc)
        assert dataset.filter(dataset.file_metadata("LastModifiedTime") > now - timedelta(days=1)).to_path() == IMAGES[:3]
        assert dataset.data_changed_time is not None and abs(now - dataset.data_changed_time) < timedelta(hours=1)
        assert dataset.digest() == dataset.digest() != dataset.take(1).digest()

    def test_digest_changes_with_a_file(self, s3_server: S3Server) -> None:
        bucket = s3_server.make_bucket("digest")
        dataset = Dataset.File.from_files((S3Datastore(Team(), "d", settings_of(s3_server, bucket)), "x"), validate=False)
        digests = set()
        for body in (b"a", b"b", b"a"):
            s3_server.client().put_object(Bucket=bucket, Key="x", Body=body)
            digests.add(dataset.digest())
        assert len(digests) == 2

    def test_with_files_of_other_places(self, store: AbstractDatastore, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/x").write_text("mine")
        dataset = Dataset.File.from_files([(store, "img/cat/1.png"), str(tmp_path / "mine")])
        dataset.download(tmp_path / "to")
        assert sorted(contents(tmp_path / "to").values()) == [b"mine", b"one"] and "mydata/img/cat/1.png" in contents(tmp_path / "to")


class TestTables:
    def test_delimited(self, store: AbstractDatastore) -> None:
        made = Dataset.Tabular.from_delimited_files((store, "days/**"), partition_format="/{day:yyyy/MM/dd}/d.csv", include_path=True)
        frame = made.to_pandas_dataframe()
        assert frame["a"].tolist() == [1, 2, 3] and frame["day"].iloc[2] == pd.Timestamp("2021-01-02")
        assert frame["Path"].tolist()[::2] == ["/2021/01/01/d.csv", "/2021/01/02/d.csv"]
        typed = Dataset.Tabular.from_delimited_files((store, "days/*/*/*/d.csv"), set_column_types={"a": DataType.to_string()})
        assert typed.to_pandas_dataframe()["a"].tolist() == ["1", "2", "3"]

    def test_parquet(self, store: AbstractDatastore) -> None:
        made = Dataset.Tabular.from_parquet_files((store, "parquet"), partition_format="/part={part}/*.parquet")
        frame = made.to_pandas_dataframe()
        assert (
            len(frame) == 200 and set(frame["part"]) == {"0", "1"} and made.skip(99).take(2).to_pandas_dataframe()["a"].tolist() == [99, 0]
        )

    def test_lines(self, store: AbstractDatastore) -> None:
        assert Dataset.Tabular.from_json_lines_files((store, "lines/*.jsonl")).to_pandas_dataframe()["a"].tolist() == [1, 2]

    def test_no_more_is_fetched_than_the_rows_need(self, store: AbstractDatastore, cache: Path) -> None:
        made = Dataset.Tabular.from_delimited_files((store, "days/**"), validate=False)
        assert made.take(2).to_pandas_dataframe()["a"].tolist() == [1, 2]
        assert sum(1 for path in (cache / "files").rglob("*") if path.is_file()) <= 2


class TestUpload:
    def test_directory(self, s3_server: S3Server, tmp_path: Path) -> None:
        bucket = s3_server.make_bucket("upload")
        store = S3Datastore(Team(), "mydata", settings_of(s3_server, bucket))
        (tmp_path / "src/sub").mkdir(parents=True)
        (tmp_path / "src/a.csv").write_text("a\n1\n")
        (tmp_path / "src/sub/b.csv").write_text("a\n2\n")
        made = Dataset.File.upload_directory(tmp_path / "src", (store, "up"), show_progress=False)
        assert made.to_path() == ["/a.csv", "/sub/b.csv"]
        assert Dataset.Tabular.from_delimited_files((store, "up/**/*.csv")).to_pandas_dataframe()["a"].tolist() == [1, 2]


class TestMistakes:
    @pytest.mark.parametrize(
        ("change", "kind", "says"),
        [
            ({"secret_access_key": "wrong"}, AuthenticationException, "refused the keys for bucket"),
            ({"access_key_id": "wrong"}, AuthenticationException, "refused the keys for bucket"),
            ({"bucket": "no-such-bucket"}, UserErrorException, "There is no bucket 'no-such-bucket' at http"),
        ],
    )
    @pytest.mark.parametrize("path", ["img", "img/cat/1.png", "img/**/*.png"])
    def test_keys_and_bucket(
        self, s3_server: S3Server, bucket: str, path: str, change: dict[str, str], kind: type[Exception], says: str
    ) -> None:
        store = S3Datastore(Team(), "mydata", settings_of(s3_server, bucket)._replace(**change))  # type: ignore[arg-type]
        with pytest.raises(kind, match=says) as error:
            Dataset.File.from_files((store, path))
        assert s3_server.secret_access_key not in str(error.value)

    def test_keys_by_fsspec(self, s3_server: S3Server, bucket: str) -> None:
        options = {"key": s3_server.access_key_id, "secret": "canary", "endpoint_url": s3_server.endpoint}
        with pytest.raises(AuthenticationException, match="refused the credentials") as error:
            Dataset.File.from_files((UrlDatastore(Team(), "mydata", UrlSettings(f"s3://{bucket}", options)), "img"))
        assert "canary" not in str(error.value)

    def test_names_that_no_folder_can_hold(self, s3_server: S3Server, tmp_path: Path) -> None:
        bucket = s3_server.make_bucket("names")
        store = S3Datastore(Team(), "mydata", settings_of(s3_server, bucket))
        for key, says in (("k" * 300, "is longer than the 255 bytes of a file's name"), ("deep/" + "/".join(["k" * 198] * 5), None)):
            try:
                s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"1")
            except Exception:  # MinIO itself keeps objects as files
                continue
            dataset = Dataset.File.from_files((store, key))
            if says is None:
                dataset.download(tmp_path / "to")
                assert list(contents(tmp_path / "to").values()) == [b"1"]
            else:
                with pytest.raises(UserErrorException, match=says):
                    dataset.download(tmp_path / "to")


class TestRegistered:
    def test_found_by_name_and_by_its_definition(self, services: Services, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        """In another process, which knows nothing but the names."""
        workspace = Workspace("", "", f"data-{os.urandom(4).hex()}")
        keys = settings_of(s3_server, bucket)
        store = Datastore.register_s3(
            workspace, "mydata", bucket, keys.endpoint, access_key_id=keys.access_key_id, secret_access_key=keys.secret_access_key
        )
        made = Dataset.File.from_files((store, "img/*/*.png")).register(workspace, "images")
        found = Dataset.get_by_name(Workspace("", "", workspace.name), "images")
        assert isinstance(found, FileDataset) and found.to_path() == IMAGES[:3]
        definition = made._definition.to_dict()
        assert s3_server.secret_access_key not in json.dumps(definition)
        again = dataset_of(workspace, json.loads(json.dumps(definition)))
        assert [file.name for file in again._files()] == [name[1:] for name in IMAGES[:3]]
        assert made_up_id(again._definition) == made_up_id(found._definition) == made_up_id(made._definition)
        code = (
            "import sys; from mlflows import Dataset, Workspace; "
            "Dataset.get_by_name(Workspace('', '', sys.argv[1]), 'images').download(sys.argv[2])"
        )
        done = services.python("-c", code, workspace.name, str(tmp_path))
        assert done.returncode == 0, done.stdout
        assert (tmp_path / "dog/3.png").read_bytes() == b"three"


USER = """
import os, sys
from mlflows.data.cache import Cache
from mlflows.data.datastore_kinds import S3Datastore
from mlflows.data.dataset import Dataset
from mlflows.data.s3_store import S3Settings

class Team:
    name = "team"

keys = {"access_key_id": os.environ["KEY"], "secret_access_key": os.environ["SECRET"]}
store = S3Datastore(Team(), "mydata", S3Settings(sys.argv[1], sys.argv[2], **keys))
files = Dataset.File.from_files((store, ""))._files()
ticks = []
print("ready", flush=True)
sys.stdin.readline()
with Cache().paths(files, ticks.append) as paths:
    assert [os.path.getsize(path) for path in paths] == [file.item.size for file in files]
print(sum(ticks))
"""


def test_two_processes_fetch_once(s3_server: S3Server, cache: Path) -> None:
    """Of several files, large and small ones, each byte comes once."""
    bucket = s3_server.make_bucket("shared")
    sizes = [3 << 20, 20 << 20, 5, 0, *[1000] * 50]
    for number, size in enumerate(sizes):
        s3_server.client().put_object(Bucket=bucket, Key=str(number), Body=os.urandom(size))
    environment = {**os.environ, "KEY": s3_server.access_key_id, "SECRET": s3_server.secret_access_key, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", USER, bucket, s3_server.endpoint]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    moved = [int(process.communicate(timeout=120)[0]) for process in started]
    assert sum(moved) == sum(sizes), moved


class TestMany:
    def test_through_the_cache_into_a_view_and_again(self, s3_server: S3Server, tmp_path: Path) -> None:
        """Half a minute on two idle cores, most of it the server's."""
        bucket = s3_server.make_bucket("many")
        settings = settings_of(s3_server, bucket)
        store = S3Datastore(Team(), "mydata", settings)
        names = [f"{number // 1000:03}/{number:06}.txt" for number in range(MANY)]
        asyncio.run(_put(settings, names))
        dataset = Dataset.File.from_files((store, ""))
        files = dataset._files()
        assert [file.name for file in files] == names
        folder = str(tmp_path / "view")
        assert len(view.fill(files, folder, False)) == MANY
        for name in (names[0], names[MANY // 2], names[-1]):
            assert Path(folder, name).read_text() == name
        ticks = list[int]()
        began = time.process_time()
        view.fill(dataset._files(), folder + "2", False, ticks.append)
        took = time.process_time() - began
        assert not any(ticks) and took < 1 + MANY / 20_000, f"{took:.2f} s"
        assert sum(len(found) for _, _, found in os.walk(folder + "2")) == MANY
        for each in (folder, folder + "2"):
            view.remove(each)
        assert os.listdir(tmp_path) == ["cache"] and Cache(most_bytes=0).evict() == sum(map(len, names))


async def _put(settings: S3Settings, names: list[str]) -> None:
    import obstore

    client: Any = S3Store(settings)._store()
    waiting = asyncio.Semaphore(64)

    async def put(name: str) -> None:
        async with waiting:
            await obstore.put_async(client, name, name.encode(), use_multipart=False)

    await asyncio.gather(*map(put, names))
