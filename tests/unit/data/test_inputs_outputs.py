"""How data stand in a run: references, named inputs, outputs; what is made of them, and every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlflows import blocks
from mlflows.data.data_reference import DataReference, reference_input
from mlflows.data.data_type import DataType
from mlflows.data.datapath import DataPath, DataPathComputeBinding
from mlflows.data.dataset import Dataset
from mlflows.data.dataset_consumption_config import DatasetConsumptionConfig
from mlflows.data.dataset_registry import Registration
from mlflows.data.datastore_kinds import LocalFolderDatastore
from mlflows.data.definition import made_up_id
from mlflows.data.output_dataset_config import OutputDatasetConfig, OutputFileDatasetConfig, OutputTabularDatasetConfig
from mlflows.exceptions import ServiceException, UserErrorException
from mlflows.spec import JobArgument

from .conftest import Team


def only_output(config: Any) -> dict[str, Any]:
    (its,) = config._as_job_argument().outputs.values()
    assert isinstance(its, dict)
    return its


class TestReference:
    def test_as_an_argument(self, filled: LocalFolderDatastore) -> None:
        argument = filled.path("/img//cat/", "r").as_upload("here", True)._as_job_argument()
        its = {"mode": "upload", "datastore": "workspaceblobstore", "path": "img/cat", "path_on_compute": "here", "overwrite": True}
        assert argument == JobArgument("$AZUREML_DATAREFERENCE_r", {"r": {"kind": "reference", **its}}, {}, "team")

    def test_names(self, filled: LocalFolderDatastore) -> None:
        assert list(filled.as_mount()._as_job_argument().inputs) == ["workspaceblobstore"]
        (name,) = filled.path("img")._as_job_argument().inputs
        assert len(name) == 32

    def test_create(self, filled: LocalFolderDatastore) -> None:
        made = DataReference.create("r", DataPath(filled, "img"), DataPathComputeBinding("download", "/x", True))
        assert (made.data_reference_name, made.path_on_datastore, made.mode, made.path_on_compute, made.overwrite) == (
            "r",
            "img",
            "download",
            "/x",
            True,
        )
        assert DataReference.create(datapath=DataPath(filled)).mode == "mount"
        with pytest.raises(ValueError, match="datapath: expected a DataPath, got None"):
            DataReference.create("r")
        with pytest.raises(ValueError, match="datapath_compute_binding: expected a DataPathComputeBinding, got 3"):
            DataReference.create("r", DataPath(filled), 3)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"datastore": "store"}, "datastore: expected a Datastore, got 'store'"),
            ({"data_reference_name": "a-b"}, "data_reference_name: 'a-b' is not the name of a variable. Use letters"),
            ({"data_reference_name": "dé"}, "data_reference_name: 'dé' is not the name of a variable. Use letters"),
            ({"path_on_datastore": 3}, "path_on_datastore: expected a path, got 3"),
            ({"mode": "copy"}, "mode: 'copy' is not one of mount, download, upload"),
            ({"path_on_compute": 3}, "path_on_compute: expected a path, got 3"),
            ({"overwrite": "yes"}, "overwrite: expected True or False, got 'yes'"),
            ({"path_on_datastore": "img/*.png"}, r"path_on_datastore: 'img/\*.png' has a pattern.* Dataset.File.from_files\(\("),
            ({"path_on_datastore": "img/?"}, "path_on_datastore: 'img/.' has a pattern, and a reference is one file or folder"),
            ({"path_on_datastore": "img[12]", "mode": "upload"}, "path_on_datastore: 'img.12.' has a pattern"),
        ],
    )
    def test_mistakes(self, filled: LocalFolderDatastore, arguments: dict[str, Any], says: str) -> None:
        with pytest.raises(UserErrorException, match=says):
            DataReference(**{"datastore": filled, **arguments})

    def test_a_pattern_of_a_run_configuration(self) -> None:
        with pytest.raises(UserErrorException, match="path_on_datastore: 'img/.' has a pattern"):
            reference_input("store", "img/*", "mount", None, False)

    def test_a_pattern_below(self, filled: LocalFolderDatastore) -> None:
        with pytest.raises(UserErrorException, match="path_on_datastore: 'img/.' has a pattern"):
            filled.path("img", "r").path("*")

    @pytest.mark.parametrize("path", ["..", "../x", "img/../../x", "a\0b"])
    def test_a_path_that_leads_out(self, filled: LocalFolderDatastore, path: str) -> None:
        with pytest.raises(UserErrorException, match="path_on_datastore: .*(leads out of its place. Give a path|null character)"):
            filled.path(path, "r")._as_job_argument()

    @pytest.mark.parametrize(
        ("arguments", "error", "says"),
        [
            ({"datastore": None}, ValueError, "datastore: None. Give a datastore"),
            ({"datastore": "x"}, UserErrorException, "datastore: expected a Datastore, got 'x'"),
            ({"path_on_datastore": 3}, UserErrorException, "path_on_datastore: expected text, got 3"),
            ({"name": 3}, UserErrorException, "name: expected text, got 3"),
        ],
    )
    def test_mistakes_of_a_path(self, filled: LocalFolderDatastore, arguments: dict[str, Any], error: Any, says: str) -> None:
        with pytest.raises(error, match=says):
            DataPath(**{"datastore": filled, **arguments})

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"mode": "copy"}, "mode: 'copy' is not one of mount"),
            ({"path_on_compute": 3}, "path_on_compute: expected a path, got 3"),
            ({"overwrite": 3}, "overwrite: expected True or False, got 3"),
        ],
    )
    def test_mistakes_of_a_binding(self, arguments: dict[str, Any], says: str) -> None:
        with pytest.raises(UserErrorException, match=says):
            DataPathComputeBinding(**arguments)


class TestNamedInput:
    def test_registered(self, ws: Team, filled: LocalFolderDatastore) -> None:
        made = Dataset.File.from_files((filled, "img"))
        dataset = made._copy(made._definition, ws, Registration("images", 3, "0a1b2c3d4e", made._definition.to_dict()))
        argument = dataset.as_download("/x")._as_job_argument()
        assert argument.text == "$AZUREML_DATAREFERENCE_input__0a1b2c3d"
        (its,) = argument.inputs.values()
        assert (its["id"], its["name"], its["version"], its["mode"], its["path_on_compute"]) == (
            "0a1b2c3d4e",
            "images",
            3,
            "download",
            "/x",
        )

    def test_what_is_set_later_is_checked_at_submit(self, filled: LocalFolderDatastore) -> None:
        for field, value in (("mode", "copy"), ("path_on_compute", 3), ("path_on_compute", "a\0b")):
            config = Dataset.File.from_files((filled, "img")).as_mount()
            setattr(config, field, value)
            with pytest.raises(UserErrorException, match=f"{field}: "):
                config._as_job_argument()
        path = filled.path("img", "r")
        path.mode = "copy"
        with pytest.raises(UserErrorException, match="mode: 'copy' is not one of mount, download, upload"):
            path._as_job_argument()

    def test_workspace(self, filled: LocalFolderDatastore) -> None:
        in_store, on_disk = Dataset.File.from_files((filled, "img")), Dataset.File.from_files(str(filled.root))
        assert in_store.as_mount()._as_job_argument().workspace == "team"
        assert on_disk.as_mount()._as_job_argument().workspace is None

    def test_one_name_for_one_dataset(self, filled: LocalFolderDatastore) -> None:
        names = {Dataset.File.from_files((filled, "img")).as_mount().name for _ in range(3)}
        assert len(names) == 1
        assert Dataset.File.from_files((filled, "img/cat")).as_mount().name not in names

    def test_made_up_id(self, filled: LocalFolderDatastore) -> None:
        one, other = Dataset.File.from_files((filled, "img")), Dataset.File.from_files((filled, "img")).take(1)
        (its,) = one.as_mount()._as_job_argument().inputs.values()
        assert its["id"] == made_up_id(one._definition) != made_up_id(other._definition)

    def test_one_that_is_given_by_name_is_looked_up_at_submit(self, ws: Team, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "_PAUSES", (0.0,))
        for config in (DatasetConsumptionConfig("x", (ws, "people")), DatasetConsumptionConfig(None, (ws, "people", 2), "mount")):
            with pytest.raises(ServiceException):
                config._as_job_argument()

    @pytest.mark.parametrize("dataset", [("people",), (None, "people"), (3, "people"), (Team(), 3), (Team(), "a", 1, 2), [Team(), "a"]])
    def test_neither_a_dataset_nor_a_name(self, dataset: Any) -> None:
        with pytest.raises(UserErrorException, match="dataset: expected a dataset or"):
            DatasetConsumptionConfig("x", dataset)


class TestOutput:
    def test_plain(self) -> None:
        config = OutputFileDatasetConfig()
        assert config.name.startswith("output_") and len(config.name) == 15
        config.name = "result"
        argument = config._as_job_argument()
        assert (argument.text, argument.inputs, argument.workspace) == ("$AZUREML_DATAREFERENCE_result", {}, None)
        assert argument.outputs == {
            "result": {
                "mode": "mount",
                "datastore": None,
                "path": "dataset/{run-id}/{output-name}",
                "overwrite": False,
                "source": None,
                "source_globs": None,
                "register": None,
                "reading": None,
                "partition_format": None,
            }
        }

    def test_destinations(self, filled: LocalFolderDatastore) -> None:
        for given in ((filled, "/a//b/{run-id}/{output-name}/"), DataPath(filled, "a/b/{run-id}/{output-name}")):
            its = only_output(OutputFileDatasetConfig("o", given))
            assert (its["datastore"], its["path"]) == ("workspaceblobstore", "a/b/{run-id}/{output-name}")
        assert only_output(OutputFileDatasetConfig("o", filled.path("x")))["path"] == "x"
        assert only_output(OutputFileDatasetConfig("o", (filled, None)))["path"] == ""
        assert OutputFileDatasetConfig("o", (filled, Path("x")))._as_job_argument().workspace == "team"

    def test_methods_return_another_one(self, filled: LocalFolderDatastore) -> None:
        assert OutputFileDatasetConfig("o", (filled, "x")).destination == (filled, "x")
        plain = OutputFileDatasetConfig("o", (filled, "x"), source=Path("made"), partition_format="{country}/*.csv")
        uploaded = plain.as_upload(True, ["**/*.csv", "a/*"])
        registered = uploaded.register_on_complete("result", "what it is", {"a": "b"})
        assert only_output(plain) == {**only_output(plain), "mode": "mount", "register": None, "source": "made"}
        its = only_output(registered)
        assert (its["mode"], its["overwrite"], its["source_globs"]) == ("upload", True, ["**/*.csv", "a/*"])
        assert its["register"] == {"name": "result", "description": "what it is", "tags": {"a": "b"}}
        assert (its["partition_format"], its["source"]) == ("{country}/*.csv", "made")
        assert only_output(registered.as_mount(True)) == {**its, "mode": "mount", "overwrite": False, "source_globs": None}
        assert only_output(plain.as_upload(source_globs="*.csv"))["source_globs"] == ["*.csv"]
        assert only_output(plain.register_on_complete("result"))["register"] == {"name": "result", "description": None, "tags": None}

    def test_tables_are_read_as_datasets_are(self, filled: LocalFolderDatastore) -> None:
        types = {"x": DataType.to_long()}
        config = OutputFileDatasetConfig("o", (filled, "x")).as_upload(True)
        table = config.read_delimited_files(True, ";", False, set_column_types=types)
        dataset = Dataset.Tabular.from_delimited_files((filled, "a.csv"), False, True, True, types, ";", False)
        assert isinstance(table, OutputTabularDatasetConfig) and table.name == "o"
        assert only_output(table) == {**only_output(config), "reading": dataset._definition.reading}
        parquet = Dataset.Tabular.from_parquet_files((filled, "a.csv"), validate=False)
        made = config.register_on_complete("result").read_parquet_files(partition_format="{day:yyyy}/*")
        assert only_output(made)["reading"] == parquet._definition.reading
        assert (only_output(made)["register"]["name"], only_output(made)["partition_format"]) == ("result", "{day:yyyy}/*")
        assert only_output(table.register_on_complete("later"))["register"]["name"] == "later"

    def test_as_the_next_steps_input(self) -> None:
        config = OutputFileDatasetConfig("o")
        assert (config.as_input().name, config.as_input("i").name, config.as_input("i").as_download().mode) == ("input_o", "i", "download")
        assert config.read_parquet_files().as_input("i").mode == "direct"
        with pytest.raises(UserErrorException, match="steps of pipelines are not available in this version yet. Use register_on_complete"):
            config.as_input("i")._as_job_argument()
        with pytest.raises(NotImplementedError, match="cannot be an input. Use OutputFileDatasetConfig"):
            OutputDatasetConfig("mount").as_input()


class TestMistakesOfOutputs:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"name": "a-b"}, "name: 'a-b' is not the name of an output. Use letters"),
            ({"name": 3}, "name: 3 is not the name of an output"),
            ({"destination": "x"}, r"destination: expected \(datastore, 'path'\) or a DataPath, got 'x'"),
            ({"destination": ("store", "x")}, "destination: expected"),
            ({"source": 3}, "source: 3 is not a path. Give the folder"),
            ({"source": ""}, "source: '' is not a path"),
            ({"partition_format": 3}, "partition_format: expected text such as .*, got 3"),
        ],
    )
    def test_of_a_file_output(self, arguments: dict[str, Any], says: str) -> None:
        with pytest.raises(UserErrorException, match=says):
            OutputFileDatasetConfig(**arguments)

    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("../x", "destination: '../x' leads out of its place"),
            ("{run-id}/../..", "leads out of its place"),
            ("{run_id}/x", "has {run_id} in it. What is filled in is {run-id} and {output-name}"),
            ("{}", "has {} in it"),
            ("a/*", "destination: 'a/\\*' is a pattern. Give the path of a folder"),
            (3, "destination: 3 is not a path in datastore 'workspaceblobstore'. Give for instance"),
        ],
    )
    def test_of_a_path(self, filled: LocalFolderDatastore, path: Any, says: str) -> None:
        with pytest.raises(UserErrorException, match=says):
            OutputFileDatasetConfig("o", (filled, path))

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"overwrite": 1}, "overwrite: expected True or False, got 1"),
            ({"source_globs": 3}, "source_globs: expected a pattern such as"),
            ({"source_globs": []}, "source_globs: expected a pattern such as"),
            ({"source_globs": ["../*"]}, "source_globs: '../\\*' leads out"),
        ],
    )
    def test_of_an_upload(self, arguments: dict[str, Any], says: str) -> None:
        with pytest.raises(UserErrorException, match=says):
            OutputFileDatasetConfig("o").as_upload(**arguments)

    @pytest.mark.parametrize(
        ("arguments", "error", "says"),
        [
            ({"name": None}, ValueError, "name: None. Give the name of the dataset"),
            ({"name": " x"}, UserErrorException, "name: ' x' is not the name of a dataset. Give 1 to 255"),
            ({"description": 3}, UserErrorException, "description: expected text, got 3"),
            ({"tags": ["a"]}, UserErrorException, "tags: expected a dict of names and values"),
        ],
    )
    def test_of_a_registration(self, arguments: dict[str, Any], error: Any, says: str) -> None:
        with pytest.raises(error, match=says):
            OutputFileDatasetConfig("o").register_on_complete(**{"name": "x", **arguments})

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"include_path": 3}, "include_path: expected True or False, got 3"),
            ({"separator": ""}, "separator: '' cannot stand between columns. Give for instance"),
            ({"header": "all"}, "header: 'all' is not available in this version yet. Give True or False"),
            ({"partition_format": "x"}, "partition_format: 'x'"),
            ({"path_glob": "*.csv"}, "path_glob: '\\*.csv' is not available in this version yet. Leave it out"),
            ({"set_column_types": {"a": "int"}}, "set_column_types: 'a': 'int' is not a column and a DataType"),
        ],
    )
    def test_of_a_table(self, arguments: dict[str, Any], says: str) -> None:
        with pytest.raises(UserErrorException, match=says):
            OutputFileDatasetConfig("o").read_delimited_files(**arguments)
        if not set(arguments) & {"separator", "header"}:
            with pytest.raises(UserErrorException, match=says):
                OutputFileDatasetConfig("o").read_parquet_files(**arguments)

    def test_of_the_rest(self) -> None:
        with pytest.raises(UserErrorException, match="disable_metadata_cache: expected True or False, got 3"):
            OutputFileDatasetConfig("o").as_mount(3)  # type: ignore[arg-type]
        with pytest.raises(UserErrorException, match="mode: 'copy' is not one of mount, upload"):
            OutputDatasetConfig("copy")
        with pytest.raises(UserErrorException, match="origin: not an argument of an output. Leave it out"):
            OutputDatasetConfig("mount", origin=3)
        with pytest.raises(UserErrorException, match="name: 'a b' is not the name of an output"):
            OutputFileDatasetConfig("o").name = "a b"
