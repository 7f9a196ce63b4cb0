"""FileDataset: what it means, steps, download, mount, digest, and mistakes."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflows.data.abstract_dataset import AbstractDataset
from mlflows.data.data_reference import DataReference
from mlflows.data.datapath import DataPath, DataPathComputeBinding
from mlflows.data.dataset import Dataset
from mlflows.data.dataset_consumption_config import DatasetConsumptionConfig
from mlflows.data.datastore import LocalFolderDatastore
from mlflows.data.definition import Definition
from mlflows.data.file_dataset import FileDataset
from mlflows.exceptions import UserErrorException

from .conftest import Team, write

IMAGES = ["/cat/1.png", "/cat/2.png", "/dog/3.png", "/readme.txt"]


def contents(folder: str | Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in Path(folder).rglob("*") if path.is_file()}


class TestPaths:
    def test_of_a_datastore(self, filled: LocalFolderDatastore) -> None:
        for path in ("img", "/img/", "img/**", Path("img")):
            assert Dataset.File.from_files((filled, path)).to_path() == IMAGES
        assert Dataset.File.from_files((filled, "img/*/*.png")).to_path() == IMAGES[:3]
        assert Dataset.File.from_files(DataPath(filled, "img/cat")).to_path() == ["/1.png", "/2.png"]
        assert Dataset.File.from_files(filled.path("img/dog")).to_path() == ["/3.png"]
        assert Dataset.File.from_files((filled, "img/cat/1.png"), is_file=True).to_path() == ["/1.png"]
        assert len(Dataset.File.from_files((filled, "")).to_path()) == 5

    def test_several_in_one_place_keep_what_tells_them_apart(self, filled: LocalFolderDatastore) -> None:
        both = Dataset.File.from_files([(filled, "img/cat"), (filled, "img/dog/*.png"), (filled, "img/cat/1.png")])
        assert both.to_path() == ["/cat/1.png", "/cat/2.png", "/dog/3.png"]

    def test_of_this_machine(self, filled: LocalFolderDatastore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(filled.root)
        for path in ("img", "./img/**", filled.root / "img", f"file://{filled.root}/img"):
            assert Dataset.File.from_files(path).to_path() == IMAGES
        assert Dataset.File.from_files("img/cat/1.png").to_path() == ["/1.png"]

    def test_of_the_web(self, web: tuple[str, Path], tmp_path: Path) -> None:
        address, root = web
        write(root, {"d/a b.csv": "x\n1\n", "d/c.csv": "x\n2\n"})
        dataset = Dataset.File.from_files([f"{address}/d/a%20b.csv", f"{address}/d/c.csv?v=1"])
        assert dataset.to_path() == ["/a b.csv", "/c.csv"]
        dataset.download(tmp_path / "to")
        assert contents(tmp_path / "to") == {"a b.csv": "x\n1\n", "c.csv": "x\n2\n"}
        assert dataset.data_changed_time is not None and len(dataset.digest()) == 64
        with pytest.raises(UserErrorException, match="no file at http.*/missing"):
            Dataset.File.from_files(f"{address}/missing")

    def test_of_several_places(self, filled: LocalFolderDatastore, web: tuple[str, Path]) -> None:
        address, root = web
        write(root, {"c.csv": "x\n2\n"})
        both = Dataset.File.from_files([(filled, "a.csv"), f"{address}/c.csv"])
        assert both.to_path() == [f"/{address.removeprefix('http://').replace(':', '_')}/c.csv", "/workspaceblobstore/a.csv"]

    def test_without_a_look_it_may_come_later(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "later/*"), validate=False)
        with pytest.raises(UserErrorException, match="There is no file at later/\\* in datastore 'workspaceblobstore'"):
            dataset.to_path()
        write(filled.root, {"later/x": "y"})
        assert dataset.to_path() == ["/x"]

    @pytest.mark.parametrize(
        "path",
        [None, 3, "", [], {}, ("a", "b"), ("a",), b"x", [None], "s3://bucket/x", "wasbs://c@a/x", "http://", "http://host", "http://host/",
         "https://host/a/../b", "https://host/%2e%2e/b", "a\0b"],
    )  # fmt: skip
    def test_no_path(self, path: Any) -> None:
        with pytest.raises(UserErrorException, match="path: "):
            Dataset.File.from_files(path, validate=False)

    @pytest.mark.parametrize("path", ["../x", "img/../../x", 3, None, "a\0b"])
    def test_no_path_in_a_datastore(self, filled: LocalFolderDatastore, path: Any) -> None:
        with pytest.raises(UserErrorException, match="path: "):
            Dataset.File.from_files((filled, path))

    @pytest.mark.parametrize(
        "address", ["https://me:canary@host/x", "https://canary@host/x", "https://host/x?sv=1&sig=canary", "https://h/x?X-Amz-Signature=canary",
                    "https://h/x?api_key=canary", "https://h/x?token=canary"]
    )  # fmt: skip
    def test_no_secret_in_an_address(self, address: str) -> None:
        with pytest.raises(UserErrorException, match="which a dataset would show") as caught:
            Dataset.File.from_files(address, validate=False)
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize("field", ["validate", "is_file"])
    def test_no_flag(self, field: str) -> None:
        with pytest.raises(UserErrorException, match=f"{field}: expected True or False"):
            Dataset.File.from_files("x", **{field: "yes"})

    def test_is_file(self, filled: LocalFolderDatastore) -> None:
        with pytest.raises(UserErrorException, match="is_file: .* is 4 files"):
            Dataset.File.from_files((filled, "img"), is_file=True)

    def test_nothing_there(self, filled: LocalFolderDatastore, tmp_path: Path) -> None:
        for path in ((filled, "nothing"), (filled, "img/*.jpg"), tmp_path / "nothing", str(tmp_path / "*.x")):
            with pytest.raises(UserErrorException, match="There is no file at .*Check the path"):
                Dataset.File.from_files(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(path=st.text(st.sampled_from("./*?[]!ab é\\~"), max_size=12))
def test_whatever_the_path_nothing_outside_is_meant(filled: LocalFolderDatastore, path: str) -> None:
    (filled.root.parent / "outside").write_text("secret")
    try:
        dataset = Dataset.File.from_files((filled, path), validate=False)
        found = [file.item.path for file in dataset._files()]
    except UserErrorException:
        return
    assert all((filled.root / each).resolve().is_relative_to(filled.root.resolve()) for each in found)


class TestSteps:
    def test_take_and_skip(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        assert dataset.take(2).to_path() == IMAGES[:2] and dataset.skip(3).to_path() == IMAGES[3:]
        assert dataset.skip(1).take(1).to_path() == IMAGES[1:2] and dataset.take(0).to_path() == []
        assert dataset.to_path() == IMAGES  # itself it does not change

    def test_random_ones_are_the_same_each_time(self, filled: LocalFolderDatastore) -> None:
        write(filled.root, {f"many/{number}": "" for number in range(200)})
        dataset = Dataset.File.from_files((filled, "many"))
        for sample in (dataset.take_sample(0.3), dataset.take_sample(0.3, seed=7), dataset.random_split(0.3)[0]):
            assert sample.to_path() == sample.to_path() and 30 < len(sample.to_path()) < 95
        assert dataset.take_sample(0.3, seed=7).to_path() == dataset.take_sample(0.3, seed=7).to_path()
        assert dataset.take_sample(0.3, seed=8).to_path() != dataset.take_sample(0.3, seed=7).to_path()
        first, second = dataset.random_split(0.8, seed=1)
        assert sorted(first.to_path() + second.to_path()) == dataset.to_path()
        before = set(first.to_path())
        write(filled.root, {"many/new": ""})
        assert set(first.to_path()) - {"/new"} == before

    def test_filter(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img/*/*"), partition_format="/{kind}/{number}.png")
        assert dataset.filter(dataset["kind"] == "cat").to_path() == IMAGES[:2]
        assert dataset.filter((dataset["kind"] == "cat") & ~(dataset["number"] == "1")).to_path() == IMAGES[1:2]
        assert dataset.filter(dataset.file_metadata("Size") > 3).to_path() == IMAGES[2:3]
        assert dataset.filter(dataset.file_metadata("Extension") == ".png").to_path() == IMAGES[:3]
        changed = dataset.file_metadata("LastModifiedTime")
        assert dataset.filter(changed > datetime.now() - timedelta(days=2)).to_path() == IMAGES[:3]
        assert dataset.filter((changed < datetime(2001, 1, 1)) | dataset["kind"].is_null()).to_path() == []
        with pytest.raises(UserErrorException, match="no column 'x'. They have: kind, number"):
            dataset.filter(dataset["x"] == 1).to_path()
        with pytest.raises(UserErrorException, match="cannot be compared"):
            dataset.filter(dataset["kind"] > 1).to_path()

    def test_partitions(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img/*/*"), partition_format="/{kind}/{number}.png")
        assert dataset.partition_keys == ["kind", "number"]
        assert dataset.get_partition_key_values(["kind"]) == [{"kind": "cat"}, {"kind": "dog"}]
        assert len(dataset.get_partition_key_values()) == 3
        with pytest.raises(UserErrorException, match="partition_format: 'img/readme.txt' is not of the format"):
            Dataset.File.from_files((filled, "img"), partition_format="/{kind}/{number}.png")

    @pytest.mark.parametrize("count", [-1, 1.5, "3", None, True])
    def test_no_count(self, filled: LocalFolderDatastore, count: Any) -> None:
        for method in ("take", "skip"):
            with pytest.raises(UserErrorException, match="count: .* is not a number"):
                getattr(Dataset.File.from_files((filled, "img")), method)(count)

    @pytest.mark.parametrize("share", [-0.1, 1.1, "0.5", None, True, float("nan")])
    def test_no_share(self, filled: LocalFolderDatastore, share: Any) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        with pytest.raises(UserErrorException, match="probability: .* is not a number from 0 to 1"):
            dataset.take_sample(share)
        with pytest.raises(UserErrorException, match="percentage: .* is not a number from 0 to 1"):
            dataset.random_split(share)

    @pytest.mark.parametrize("seed", [-1, 1.5, "x", True, 2**32])
    def test_no_seed(self, filled: LocalFolderDatastore, seed: Any) -> None:
        for method in ("take_sample", "random_split"):
            with pytest.raises(UserErrorException, match="seed: .* is not a whole number"):
                getattr(Dataset.File.from_files((filled, "img")), method)(0.5, seed)

    def test_no_condition(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        for bad in (None, True, "Size > 3", dataset["a"]):
            with pytest.raises(UserErrorException, match="expression: .* is not a condition"):
                dataset.filter(bad)
        with pytest.raises(UserErrorException, match="has no truth by itself"):
            dataset.filter(dataset["a"] == "1" and dataset["b"] == "2")
        with pytest.raises(UserErrorException, match="cannot be compared with"):
            dataset["a"] == None  # noqa: B015, E711
        with pytest.raises(UserErrorException, match="is not a condition. Put comparisons in brackets"):
            (dataset["a"] == 1) & 3
        for key in ("", None, 3):
            with pytest.raises(UserErrorException, match="key: .* is not the name of a column"):
                dataset[key]  # type: ignore[index]
        with pytest.raises(UserErrorException, match="col: 'Owner' is not one of Size"):
            dataset.file_metadata("Owner")
        with pytest.raises(UserErrorException, match="partition_keys: .* not among the dataset's, none"):
            dataset.get_partition_key_values(["a"])


class TestDownload:
    def test_into_a_folder(self, filled: LocalFolderDatastore, tmp_path: Path) -> None:
        paths = Dataset.File.from_files((filled, "img")).download(str(tmp_path / "to"))
        assert [os.path.relpath(path, tmp_path / "to") for path in paths] == [each[1:] for each in IMAGES]
        assert contents(tmp_path / "to") == {"cat/1.png": "one", "cat/2.png": "two", "dog/3.png": "three", "readme.txt": "text"}

    def test_into_a_temporary_one(self, filled: LocalFolderDatastore) -> None:
        (path,) = Dataset.File.from_files((filled, "a.csv")).download()
        assert Path(path).read_text() == "x\n1\n"

    def test_what_is_there(self, filled: LocalFolderDatastore, tmp_path: Path) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        write(tmp_path, {"to/dog/3.png": "mine"})
        with pytest.raises(UserErrorException, match="target_path: 1 of 4 files are in .* already, the first is dog/3.png"):
            dataset.download(tmp_path / "to")
        assert contents(tmp_path / "to") == {"dog/3.png": "mine"}
        dataset.download(tmp_path / "to", overwrite=True)
        assert contents(tmp_path / "to")["dog/3.png"] == "three"

    def test_what_is_gone(self, filled: LocalFolderDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        files = dataset._files()
        monkeypatch.setattr(FileDataset, "_files", lambda self: files)
        (filled.root / "img/cat/2.png").unlink()
        with pytest.raises(UserErrorException, match="img/cat/2.png in .* was changed or removed .* ignore_not_found=True leaves out"):
            dataset.download(tmp_path / "a")
        assert len(dataset.download(tmp_path / "b", ignore_not_found=True)) == 3

    def test_no_folder(self, filled: LocalFolderDatastore, tmp_path: Path) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        (tmp_path / "file").touch()
        for bad in (3, "", tmp_path / "file"):
            with pytest.raises(UserErrorException, match="target_path: .* is not a folder"):
                dataset.download(bad)


class TestMount:
    def test_for_a_while(self, filled: LocalFolderDatastore) -> None:
        with Dataset.File.from_files((filled, "img")).mount() as mounted:
            folder = mounted.mount_point
            assert contents(folder)["cat/1.png"] == "one"
            assert (
                os.readlink(f"{folder}/cat/1.png") == str(filled.root / "img/cat/1.png") and os.stat(f"{folder}/cat").st_mode & 0o222 == 0
            )
        assert not os.path.exists(folder)
        assert (filled.root / "img/cat/1.png").read_text() == "one"

    def test_by_hand_in_a_folder_of_ones_own(self, filled: LocalFolderDatastore, tmp_path: Path) -> None:
        (tmp_path / "point").mkdir()
        mounted = Dataset.File.from_files((filled, "img")).mount(str(tmp_path / "point"))
        assert os.listdir(tmp_path / "point") == []
        mounted.start()
        assert len(contents(mounted.mount_point)) == 4
        mounted.stop()
        mounted.stop()
        assert os.listdir(tmp_path / "point") == []

    def test_what_is_there_stays(self, filled: LocalFolderDatastore, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("mine")
        mounted = Dataset.File.from_files((filled, "img")).mount(tmp_path)
        with pytest.raises(UserErrorException, match="mount_point: .* not an empty folder"):
            mounted.start()
        mounted.stop()
        assert (tmp_path / "mine").read_text() == "mine"

    def test_mistakes(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        with pytest.raises(UserErrorException, match="mount_point: 3 is not a folder"):
            dataset.mount(3)  # type: ignore[arg-type]
        with pytest.raises(UserErrorException, match="skip_validate: not an argument of mount"):
            dataset.mount(skip_validate=True)


class TestUploadDirectory:
    def test_whole_and_by_pattern(self, ws: Team, filled: LocalFolderDatastore, tmp_path: Path) -> None:
        write(tmp_path / "src", {"a.csv": "1", "sub/b.csv": "2", "sub/c.txt": "3"})
        dataset = Dataset.File.upload_directory(tmp_path / "src", (filled, "up"), show_progress=False)
        assert dataset.to_path() == ["/a.csv", "/sub/b.csv", "/sub/c.txt"] and contents(filled.root / "up")["sub/b.csv"] == "2"
        some = Dataset.File.upload_directory(str(tmp_path / "src"), DataPath(filled, "csv"), pattern="**/*.csv", show_progress=False)
        assert some.to_path() == ["/a.csv", "/sub/b.csv"]

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"src_dir": "missing"}, "src_dir: 'missing' is not a folder"),
            ({"src_dir": None}, "src_dir: None is not a folder"),
            ({"target": "up"}, "target: expected"),
            ({"target": None}, "target: expected"),
            ({"target": ("x", "y")}, "target: 'x' is not a datastore"),
            ({"pattern": ""}, "pattern: expected"),
            ({"pattern": "../*"}, "pattern: .* leads out"),
            ({"pattern": "*.jpg"}, "has no file that matches '\\*.jpg'"),
            ({"overwrite": 1}, "overwrite: expected True or False"),
            ({"show_progress": None}, "show_progress: expected True or False"),
        ],
    )
    def test_mistakes(self, filled: LocalFolderDatastore, tmp_path: Path, change: dict[str, Any], says: str) -> None:
        write(tmp_path / "src", {"a.csv": "1"})
        with pytest.raises(UserErrorException, match=says):
            Dataset.File.upload_directory(**{"src_dir": tmp_path / "src", "target": (filled, "up"), "show_progress": False, **change})
        assert not (filled.root / "up").exists()

    def test_no_pattern_as_target(self, filled: LocalFolderDatastore, tmp_path: Path) -> None:
        write(tmp_path / "src", {"a.csv": "1"})
        with pytest.raises(UserErrorException, match="target: 'up/\\*' is a pattern"):
            Dataset.File.upload_directory(tmp_path / "src", (filled, "up/*"))


class TestDigest:
    def test_changes_with_the_files_and_the_steps(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        seen = [dataset.digest(), dataset.take(1).digest()]
        assert dataset.digest() == seen[0] and len(seen[0]) == 64
        (filled.root / "img/cat/1.png").write_text("other")
        seen.append(dataset.digest())
        write(filled.root, {"img/new": ""})
        seen.append(dataset.digest())
        assert len(set(seen)) == 4


class TestDefinition:
    def test_json_and_back(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img/*/*"), partition_format="/{kind}/{number}.png")
        made = dataset.filter(dataset["kind"] == "cat").take(3).random_split(0.5)[1]._definition
        assert Definition.from_dict(made.to_dict()) == made and str(filled.root) not in made.content()

    @pytest.mark.parametrize("value", [{}, {"format": 2, "kind": "File"}, {"format": 1, "kind": "File", "sources": [3]}])
    def test_damaged(self, value: dict[str, Any]) -> None:
        with pytest.raises(UserErrorException):
            Definition.from_dict(value)


class TestObject:
    def test_is_made_by_factories(self) -> None:
        for cls in (FileDataset, AbstractDataset, Dataset):
            with pytest.raises(UserErrorException, match="Dataset.File.from_files"):
                cls()

    def test_unregistered(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        assert (dataset.name, dataset.version, dataset.id, dataset.description, dataset.tags) == (None, None, None, None, {})
        for call in (dataset.add_tags, dataset.remove_tags, dataset.update, dataset.unregister_all_versions):
            with pytest.raises(UserErrorException, match="the dataset is not registered"):
                call()

    def test_shown(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files([(filled, f"img/{each}") for each in ("<b>", *range(8))], validate=False).take(1)
        assert "FileDataset(source=" in str(dataset) and "take" in repr(dataset)
        assert "&lt;b&gt;" in dataset._repr_html_() and "and 4 more" in dataset._repr_html_() and len(dataset._repr_html_()) < 1000

    def test_what_is_not_there_says_what_to_do(self, filled: LocalFolderDatastore) -> None:
        with pytest.raises(AttributeError, match="FileDataset.as_cache is not available in this version yet; instead, "):
            _ = Dataset.File.from_files((filled, "img")).as_cache
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            _ = Dataset.File.from_files((filled, "img")).nonsense


class TestConsumption:
    def test_named(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        named = dataset.as_named_input("images")
        assert (named.name, named.mode, named.path_on_compute, named.dataset) == ("images", "direct", None, dataset)
        assert (named.as_mount("/x").mode, named.as_mount("/x").path_on_compute, named.as_mount().name) == ("mount", "/x", "images")
        assert (named.as_download().mode, named.as_hdfs().mode) == ("download", "hdfs")
        assert DatasetConsumptionConfig("x", (Team(), "name")).dataset[1] == "name"

    def test_without_a_name(self, filled: LocalFolderDatastore) -> None:
        dataset = Dataset.File.from_files((filled, "img"))
        for config in (dataset.as_mount(), dataset.as_download(), dataset.as_hdfs(), dataset.as_named_input(None)):  # type: ignore[arg-type]
            assert config.name.startswith("input__") and len(config.name) == 15

    @pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "é!", 3])
    def test_no_name(self, filled: LocalFolderDatastore, name: Any) -> None:
        named = Dataset.File.from_files((filled, "img")).as_named_input("x")
        with pytest.raises(UserErrorException, match="name: .* is not the name of an input"):
            named.name = name
        with pytest.raises(UserErrorException, match="name: .* is not the name of an input"):
            named.dataset.as_named_input(name)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"dataset": None}, "dataset: expected"),
            ({"dataset": ("ws", "name")}, "dataset: expected"),
            ({"dataset": "name"}, "dataset: expected"),
            ({"mode": "copy"}, "mode: 'copy' is not one of direct, mount, download, hdfs"),
            ({"path_on_compute": 3}, "path_on_compute: expected a path"),
            ({"path_on_compute": ""}, "path_on_compute: expected a path"),
        ],
    )
    def test_mistakes(self, filled: LocalFolderDatastore, arguments: dict[str, Any], says: str) -> None:
        with pytest.raises(UserErrorException, match=says):
            DatasetConsumptionConfig(**{"name": "x", "dataset": Dataset.File.from_files((filled, "img")), **arguments})

    def test_no_table_by_mount(self, filled: LocalFolderDatastore) -> None:
        named = Dataset.Tabular.from_delimited_files((filled, "a.csv")).as_named_input("x")
        for method in (named.as_mount, named.as_download, named.as_hdfs):
            with pytest.raises(UserErrorException, match="a TabularDataset cannot be an input by"):
                method()


class TestDataPath:
    def test_and_back(self, filled: LocalFolderDatastore) -> None:
        path = DataPath(filled, "img", "name")
        assert (path.datastore_name, path.path_on_datastore) == ("workspaceblobstore", "img")
        reference = path.create_data_reference("ref", DataPathComputeBinding("download", "/x", True))
        assert isinstance(reference, DataReference) and reference.to_config()["pathOnCompute"] == "/x"
        assert DataPath.create_from_data_reference(reference).path_on_datastore == "img"
        assert DataPathComputeBinding.create_from_data_reference(reference).mode == "download"

    def test_mistakes(self, filled: LocalFolderDatastore) -> None:
        for call in (
            lambda: DataPath(),
            lambda: DataPath.create_from_data_reference("x"),  # type: ignore[arg-type]
            lambda: DataPathComputeBinding.create_from_data_reference("x"),  # type: ignore[arg-type]
            lambda: DataPathComputeBinding().create_data_reference("x"),
            lambda: DataPath(filled).create_data_reference("x", "mount"),  # type: ignore[arg-type]
        ):
            with pytest.raises(ValueError):
                call()
        for other in (
            lambda: DataPath("x"),
            lambda: DataPath(filled, 3),  # type: ignore[arg-type]
            lambda: DataPath(filled, "x", 3),  # type: ignore[arg-type]
            lambda: DataPathComputeBinding("direct"),
            lambda: DataPathComputeBinding(path_on_compute=3),  # type: ignore[arg-type]
        ):
            with pytest.raises(UserErrorException):
                other()
