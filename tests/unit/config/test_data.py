"""Data of a run: from arguments, command and the run configuration to inputs and outputs, and every mistake in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlflows
from mlflows.config.freeze import freeze, run_definition
from mlflows.config.run_configuration import RunConfiguration
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.config.sections import Data, DataLocation, DataReferenceConfiguration, OutputData, RegisteredDataset
from mlflows.data.data_reference import DataReference
from mlflows.data.datapath import DataPath
from mlflows.data.dataset import Dataset
from mlflows.data.datastore import Datastore
from mlflows.data.datastore_kinds import LocalFolderDatastore
from mlflows.data.definition import made_up_id
from mlflows.data.output_dataset_config import OutputFileDatasetConfig
from mlflows.exceptions import UserErrorException
from mlflows.rendering import process_of
from mlflows.rest import RestClient
from mlflows.spec import JobSpec

Freeze = Callable[..., JobSpec]


class Place:
    """A workspace whose Prefect server does not answer."""

    def __init__(self, name: str = "w") -> None:
        self.name = name

    def _prefect(self) -> RestClient:
        return RestClient("http://127.0.0.1:1/api")


class EarlierRun:
    """A run that has kept these files."""

    id = "earlier_1_aaaaaaaa"

    def get_file_names(self) -> list[str]:
        return ["outputs/model/weights.pt", "user_logs/std_log.txt"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFolderDatastore:
    """The default datastore, with files."""
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    found = Datastore.get_default(Place())
    assert isinstance(found, LocalFolderDatastore)
    (found.root / "img").mkdir(parents=True)
    (found.root / "img" / "1.png").write_text("one")
    (found.root / "people.csv").write_text("name,age\nAnn,30\n")
    return found


@pytest.fixture
def frozen(tmp_path: Path) -> Freeze:
    """freeze(ScriptRunConfig(...)), with ``sections`` put into its run configuration."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("print(1)\n")

    def make(arguments: Any = None, command: Any = None, variables: Any = None, resume_from: Any = None, **sections: Any) -> JobSpec:
        script = None if command else "train.py"
        config = ScriptRunConfig(tmp_path / "code", script, arguments, command=command, resume_from=resume_from)
        config.run_config.environment_variables = variables or {}
        for name, value in sections.items():
            setattr(config.run_config, name, value)
        return freeze(config, workspace="w", experiment="e", lookup=Place())

    return make


def reference(path: str | None = "img", mode: str = "mount", on_compute: str | None = None, overwrite: bool = False) -> dict[str, Any]:
    return {
        "kind": "reference",
        "mode": mode,
        "datastore": "workspaceblobstore",
        "path": path,
        "path_on_compute": on_compute,
        "overwrite": overwrite,
    }


def output(**changes: Any) -> dict[str, Any]:
    return {
        "mode": "mount",
        "datastore": None,
        "path": "dataset/{run-id}/{output-name}",
        "overwrite": False,
        "source": None,
        "source_globs": None,
        "register": None,
        "reading": None,
        "partition_format": None,
        **changes,
    }


class TestArguments:
    def test_a_dataset_by_mount(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        files = Dataset.File.from_files((store, "img"))
        spec = frozen(["--d", files.as_named_input("images").as_mount("/data")])
        assert spec.arguments == ["--d", "$AZUREML_DATAREFERENCE_images"]
        assert spec.inputs == {
            "images": {
                "kind": "dataset",
                "mode": "mount",
                "path_on_compute": "/data",
                "definition": files._definition.to_dict(),
                "id": made_up_id(files._definition),
                "name": None,
                "version": None,
            }
        }
        assert spec.outputs == {}
        assert JobSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec

    def test_bare_datasets(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        files, table = Dataset.File.from_files((store, "img")), Dataset.Tabular.from_delimited_files((store, "people.csv"))
        spec = frozen([files, table, files])
        (first, second) = spec.inputs
        assert spec.arguments == [f"$AZUREML_DATAREFERENCE_{name}" for name in (first, second, first)]
        assert [spec.inputs[name]["mode"] for name in (first, second)] == ["mount", "direct"]
        assert first == f"input__{made_up_id(files._definition)[:8]}"
        assert frozen([files, table]) == frozen([files, table])

    def test_references_and_outputs(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        written = OutputFileDatasetConfig("out", (store, "x/{run-id}")).as_upload()
        spec = frozen([store.path("img", "d").as_download("here"), store.as_mount(), written])
        assert spec.arguments == [f"$AZUREML_DATAREFERENCE_{name}" for name in ("d", "workspaceblobstore", "out")]
        assert spec.inputs == {"d": reference(mode="download", on_compute="here"), "workspaceblobstore": reference(None)}
        assert spec.outputs == {"out": output(mode="upload", datastore="workspaceblobstore", path="x/{run-id}")}

    def test_in_a_command_a_real_shell_sees_one_word(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        mounted = Dataset.File.from_files((store, "img")).as_named_input("d").as_mount()
        spec = frozen(["--again", mounted], ["printf", "'<%s>'", mounted, OutputFileDatasetConfig("o")])
        assert spec.command == ('printf \'<%s>\' "$AZUREML_DATAREFERENCE_d" "$AZUREML_DATAREFERENCE_o" --again "$AZUREML_DATAREFERENCE_d"')
        given = {"AZUREML_DATAREFERENCE_d": "/a b/$c", "AZUREML_DATAREFERENCE_o": "/o"}
        done = subprocess.run(["/bin/sh", "-c", spec.command], env=given, capture_output=True, text=True, check=True)
        assert done.stdout == "</a b/$c></o><--again></a b/$c>"

    def test_the_caller_keeps_the_objects(self, tmp_path: Path, store: LocalFolderDatastore) -> None:
        (tmp_path / "train.py").write_text("")
        mounted = Dataset.File.from_files((store, "img")).as_mount()
        config = ScriptRunConfig(tmp_path, command=["python train.py", mounted])
        assert freeze(config, workspace="w", experiment="e") == freeze(config, workspace="w", experiment="e")
        assert config.command == ["python train.py", mounted]


class TestSections:
    def test_references(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        path = store.path("img", "d")
        spec = frozen(
            ["--d", str(path)],
            data_references={
                "d": path.to_config(),
                "section": DataReferenceConfiguration("workspaceblobstore", "download", "/img/", "here", True),
                "object": path.as_upload(),
            },
        )
        assert spec.arguments == ["--d", "$AZUREML_DATAREFERENCE_d"]
        assert spec.inputs == {
            "d": reference(),
            "section": reference(mode="download", on_compute="here", overwrite=True),
            "object": reference(mode="upload"),
        }

    def test_datasets_as_people_put_them_there(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        """The key is the name; a script's text may name it as SDK v1's placeholder."""
        files = Dataset.File.from_files((store, "img"))
        spec = frozen(
            ["--d", "DatasetConsumptionConfig:training", "--o=DatasetOutputConfig:written"],
            data={"training": files.as_mount(), "bare": files, "created": Data.create(files.as_named_input("x").as_download("/y"))},
            output_data={"written": OutputFileDatasetConfig("other")},
        )
        assert spec.arguments == ["--d", "$AZUREML_DATAREFERENCE_training", "--o=$AZUREML_DATAREFERENCE_written"]
        assert {name: its["mode"] for name, its in spec.inputs.items()} == {"training": "mount", "bare": "mount", "created": "download"}
        assert spec.inputs["created"]["definition"] == files._definition.to_dict()
        assert spec.inputs["created"]["path_on_compute"] == "/y"
        assert spec.outputs == {"written": output()}
        text = frozen(command="run DatasetConsumptionConfig:d", data={"d": files})
        assert text.command == 'run "$AZUREML_DATAREFERENCE_d"'

    def test_a_path_and_an_output_as_files_have_them(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        location = {"dataPath": {"datastoreName": "workspaceblobstore", "relativePath": "img"}}
        options = {
            "pathOnCompute": "made/here",
            "registrationOptions": {"name": "result", "description": "d", "tags": {"a": "b"}},
            "uploadOptions": {"overwrite": True, "sourceGlobs": {"globPatterns": ["*.csv"]}},
        }
        spec = frozen(
            data={"d": {"dataLocation": location, "mechanism": "Download"}},
            output_data={"o": {"outputLocation": location, "mechanism": "Upload", "additionalOptions": options}, "p": OutputData()},
        )
        assert spec.inputs == {"d": reference(mode="download")}
        assert spec.outputs == {
            "o": output(
                mode="upload",
                datastore="workspaceblobstore",
                path="img",
                overwrite=True,
                source="made/here",
                source_globs=["*.csv"],
                register={"name": "result", "description": "d", "tags": {"a": "b"}},
            ),
            "p": output(),
        }

    def test_the_same_in_a_section_and_in_arguments(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        mounted = Dataset.File.from_files((store, "img")).as_named_input("d").as_mount()
        assert list(frozen([mounted, mounted], data={"d": mounted}).inputs) == ["d"]

    def test_saved_and_loaded(self, frozen: Freeze, store: LocalFolderDatastore, tmp_path: Path) -> None:
        files = Dataset.File.from_files((store, "img"))
        written = OutputFileDatasetConfig("o", (store, "x")).as_upload(True, "*.csv").register_on_complete("result", tags={"a": "b"})
        sections = {
            "data_references": {"r": store.path("img", "r").as_download(), "s": DataReferenceConfiguration("workspaceblobstore")},
            "data": {"d": files.as_named_input("d").as_mount("/d")},
            "output_data": {"o": written, "p": OutputFileDatasetConfig("p", (store, "y"), "here")},
        }
        run_config = RunConfiguration()
        for name, value in sections.items():
            setattr(run_config, name, value)
        run_config.save(tmp_path, "x")
        loaded = RunConfiguration.load(tmp_path, "x")
        again = frozen(data_references=loaded.data_references, data=loaded.data, output_data=loaded.output_data)
        assert again.to_dict() == frozen(**sections).to_dict()

    def test_what_has_no_effect_is_logged(self, frozen: Freeze, store: LocalFolderDatastore, caplog: pytest.LogCaptureFixture) -> None:
        files = Dataset.File.from_files((store, "img"))
        frozen(data={"d": Data(files.as_mount(), True, environment_variable_name="D2", options={"a": 1})})
        for field in ("environment_variable_name", "create_output_directories", "options"):
            assert f"data['d'].{field} has no effect" in caplog.text


class TestResume:
    def test_from_a_path(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        spec = frozen(resume_from=DataPath(store, "img"))
        assert spec.arguments == ["--resume-from", "$AZUREML_DATAREFERENCE_MODEL_LOCATION"]
        assert spec.inputs == {"MODEL_LOCATION": reference()}

    @pytest.mark.parametrize(
        ("given", "path"),
        [
            (EarlierRun(), "outputs"),
            ((EarlierRun(), "/outputs/model/"), "outputs/model"),
            ((EarlierRun(), "outputs/model/weights.pt"), "outputs/model/weights.pt"),
        ],
    )
    def test_from_a_run(self, frozen: Freeze, given: Any, path: str) -> None:
        spec = frozen(["-n", 1], resume_from=given)
        assert spec.arguments == ["-n", "1", "--resume-from", "$AZUREML_DATAREFERENCE_MODEL_LOCATION"]
        assert spec.inputs["MODEL_LOCATION"] == {"kind": "run_outputs", "run_id": EarlierRun.id, "path": path, "mode": "download"}
        shown = run_definition(spec)["dataReferences"]["MODEL_LOCATION"]
        assert (shown["runId"], shown["pathOnDataStore"]) == (EarlierRun.id, path)

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (3, "resume_from: expected a DataPath, got int: 3. An earlier run will do"),
            ((EarlierRun(), "a/../b"), "resume_from: 'a/../b' is not the path of files of a run. Give for instance"),
            ((EarlierRun(), ""), "resume_from: '' is not the path of files"),
            ((EarlierRun(), "outputs/mod"), "has no file 'outputs/mod', and none below it. Its files: outputs/model/weights.pt"),
        ],
    )
    def test_mistakes(self, frozen: Freeze, given: Any, says: str) -> None:
        with pytest.raises(UserErrorException) as caught:
            frozen(resume_from=given)
        assert says in caught.value.message


TAKEN = [
    "AZUREML_RUN_ID",
    "AZUREML_x",
    "MLFLOW_RUN_ID",
    "MLFLOWS_HOME",
    "PATH",
    "HOME",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "RANK",
    "TF_CONFIG",
]


class TestNames:
    @pytest.mark.parametrize("name", TAKEN)
    def test_of_a_variable_that_is_needed(self, frozen: Freeze, store: LocalFolderDatastore, name: str) -> None:
        files = Dataset.File.from_files((store, "img"))
        for given in (files.as_named_input(name), store.path("img", name), OutputFileDatasetConfig(name)):
            with pytest.raises(
                UserErrorException, match=rf"arguments\[0\]: an \w+ of the name '{name}' would replace .*Give it another name"
            ):
                frozen([given])

    @pytest.mark.parametrize("name", ["data", "path", "home", "user", "Home", "PATHS", "mnist"])
    def test_of_anything_else(self, frozen: Freeze, store: LocalFolderDatastore, name: str) -> None:
        assert list(frozen([store.path("img", name)]).inputs) == [name]

    def test_of_the_environments_variables(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        with pytest.raises(UserErrorException, match="'DATA' is the name of an input, and environment_variables sets DATA. Give one"):
            frozen([store.path("img", "DATA")], variables={"DATA": "/x"})

    def test_two_of_one_name(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        files = Dataset.File.from_files((store, "img"))
        with pytest.raises(UserErrorException, match=r"arguments\[1\]: there are two different inputs of the name 'd'.*as_named_input"):
            frozen([files.as_named_input("d"), files.as_named_input("d").as_mount()])
        with pytest.raises(UserErrorException, match="two different inputs of the name 'd'"):
            frozen([store.path("img", "d")], data={"d": files})
        with pytest.raises(UserErrorException, match="two different outputs of the name 'o'"):
            frozen([OutputFileDatasetConfig("o"), OutputFileDatasetConfig("o").as_upload()])
        with pytest.raises(UserErrorException, match="'d' is the name of an input and of an output. Give one of them another name"):
            frozen([OutputFileDatasetConfig("d"), files.as_named_input("d")])


class TestMistakes:
    def test_another_workspaces_datastore(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        other = Datastore.get_default(Place("other"))
        for given in (other.path("x"), OutputFileDatasetConfig("o", (other, "x")), Dataset.File.from_files((other, "x"), validate=False)):
            with pytest.raises(UserErrorException, match="is of workspace 'other', and the run is of 'w'. Take a datastore of 'w'"):
                frozen([given])
        assert frozen([Dataset.File.from_files(str(store.root))]).inputs

    def test_a_step_that_is_still_to_come(self, frozen: Freeze) -> None:
        with pytest.raises(UserErrorException, match=r"arguments\[0\]: .*steps of pipelines are not available .*register_on_complete"):
            frozen([OutputFileDatasetConfig("o").as_input("i")])

    def test_a_placeholder_of_nothing(self, frozen: Freeze) -> None:
        with pytest.raises(
            UserErrorException, match=r"arguments\[0\]: 'DatasetConsumptionConfig:x': the run has no input .* There are: none"
        ):
            frozen(["DatasetConsumptionConfig:x"])

    @pytest.mark.parametrize(
        ("sections", "parts"),
        [
            ({"data_references": 3}, ["data_references: expected a dict", "int: 3"]),
            ({"data": Data()}, ["data: expected a dict", "Data"]),
            ({"output_data": ["x"]}, ["output_data: expected a dict", "['x']"]),
            ({"data_references": {"d": 1}}, ["data_references['d']", "expected a DataReference", "int: 1"]),
            ({"data_references": {"d": DataReferenceConfiguration()}}, ["data_references['d']", "datastore_name", "None"]),
            ({"data_references": {"d": DataReferenceConfiguration("workspaceblobstore", "copy")}}, ["mode: 'copy' is not one of mount"]),
            ({"data_references": {"d": DataReferenceConfiguration("workspaceblobstore", "mount", "../x")}}, ["'../x' leads out", "Give a"]),
            ({"data_references": {"d": DataReferenceConfiguration("workspaceblobstore", "mount", 3)}}, ["path_on_datastore", "got 3"]),  # type: ignore[arg-type]
            ({"data_references": {"d": DataReferenceConfiguration("workspaceblobstore", path_on_compute=3)}}, ["path_on_compute", "got 3"]),  # type: ignore[arg-type]
            ({"data_references": {"d": DataReferenceConfiguration("workspaceblobstore", overwrite=3)}}, ["overwrite", "got 3"]),  # type: ignore[arg-type]
            ({"data_references": {"a b": DataReferenceConfiguration("workspaceblobstore")}}, ["'a b' cannot be the name", "Use letters"]),
            ({"data": {"d": 1}}, ["data['d']", "expected dataset.as_named_input('name') or a Data", "int: 1"]),
            ({"data": {"d": Data()}}, ["data['d']", "data_location", "Use dataset.as_named_input"]),
            ({"data": {"d": Data("x")}}, ["data_location: expected a section", "'x'"]),
            ({"data": {"d": Data({"dataset": {}}, mechanism="copy")}}, ["mechanism: 'copy' is not one of direct"]),
            ({"data": {"d": Data(DataLocation(RegisteredDataset()))}}, ["data_location.dataset: has neither an id nor a name", "Give"]),
            ({"data": {"d": Data(DataLocation(data_path={"datastoreName": "x"}))}}, ["mode: 'direct' is not one of mount"]),
            ({"output_data": {"o": 1}}, ["output_data['o']", "expected an OutputFileDatasetConfig", "int: 1"]),
            ({"output_data": {"o": OutputData(mechanism="copy")}}, ["mechanism: 'copy' is not one of mount, upload"]),
            ({"output_data": {"o": OutputData("x")}}, ["output_location: expected a section", "'x'"]),
            ({"output_data": {"o": OutputData(additional_options=3)}}, ["additional_options: expected a section", "int: 3"]),
            (
                {"output_data": {"o": OutputData({"dataPath": {"datastoreName": "workspaceblobstore", "relativePath": "../x"}})}},
                ["output_data['o']: destination: '../x' leads out"],
            ),
        ],
    )
    def test_sections(self, frozen: Freeze, store: LocalFolderDatastore, sections: dict[str, Any], parts: list[str]) -> None:
        with pytest.raises(UserErrorException) as caught:
            frozen(**sections)
        for part in parts:
            assert part in caught.value.message

    def test_a_name_without_a_workspace_to_look_it_up_in(self, tmp_path: Path) -> None:
        (tmp_path / "train.py").write_text("")
        config = ScriptRunConfig(tmp_path, "train.py")
        config.run_config.data = {"d": Data(DataLocation(RegisteredDataset("some-id")))}
        with pytest.raises(UserErrorException, match=r"data\['d'\]: .*'some-id' cannot be looked up without a workspace. Give the dataset"):
            freeze(config, workspace="w", experiment="e")


class TestRunDefinition:
    def test_shape(self, frozen: Freeze, store: LocalFolderDatastore) -> None:
        files = Dataset.File.from_files((store, "img"))
        written = OutputFileDatasetConfig("o", (store, "x")).as_upload().register_on_complete("result")
        spec = frozen([files.as_named_input("d").as_mount("/d"), DataReference(store, "r", "img"), written])
        shown = run_definition(spec)
        assert shown["data"]["d"]["dataLocation"]["dataset"]["id"] == made_up_id(files._definition)
        assert (shown["data"]["d"]["mechanism"], shown["data"]["d"]["pathOnCompute"]) == ("Mount", "/d")
        assert shown["dataReferences"] == {
            "r": {
                "dataStoreName": "workspaceblobstore",
                "mode": "Mount",
                "pathOnDataStore": "img",
                "pathOnCompute": None,
                "overwrite": False,
            }
        }
        assert shown["outputData"]["o"]["outputLocation"]["dataPath"] == {"datastoreName": "workspaceblobstore", "relativePath": "x"}
        assert shown["outputData"]["o"]["mechanism"] == "Upload"
        assert shown["outputData"]["o"]["additionalOptions"]["registrationOptions"]["name"] == "result"
        json.dumps(shown)

    @pytest.mark.parametrize("given", [3, None, "x"])
    def test_create_of_no_dataset(self, given: Any) -> None:
        with pytest.raises(UserErrorException, match="data: expected a dataset or dataset.as_named_input"):
            Data.create(given)


NAMES = """
from azureml.core import Dataset, Datastore
from azureml.core.runconfig import Data, DataLocation, DataReferenceConfiguration, OutputData, RunConfiguration
from azureml.core.runconfig import Dataset as RunDataset
from azureml.data import OutputFileDatasetConfig
from azureml.data.data_reference import DataReference
from azureml.data.datapath import DataPath, DataPathComputeBinding
from azureml.data.dataset_consumption_config import DatasetConsumptionConfig
from azureml.data.output_dataset_config import OutputDatasetConfig, OutputFileDatasetConfig as Same, OutputTabularDatasetConfig
import mlflows
assert OutputFileDatasetConfig is Same is mlflows.OutputFileDatasetConfig and mlflows.DataReference is DataReference
print(DataLocation(dataset=RunDataset(dataset_id="x")).dataset.dataset_id)
try:
    from azureml.data import HDFSOutputDatasetConfig
except ImportError as error:
    print(error)
"""


def test_import_names() -> None:
    paths = os.pathsep.join((str(Path(mlflows.__file__).parent / "azureml_path"), str(Path(mlflows.__file__).parents[1])))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", NAMES], env=environment, capture_output=True, text=True)
    assert done.stdout == "x\nmlflows does not have azureml.data.HDFSOutputDatasetConfig yet: use OutputFileDatasetConfig\n", done.stderr


def test_a_run_without_data_loads_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    code = (
        "import sys; from mlflows.config.freeze import freeze; from mlflows import ScriptRunConfig, Experiment; "
        f"freeze(ScriptRunConfig({str(tmp_path)!r}, 'train.py', ['--n', 1]), workspace='w', experiment='e'); "
        "print([name for name in ('mlflows.config.data', 'mlflows.data.definition', 'mlflows.data.datastore') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_rendering_shows_data(tmp_path: Path, store: LocalFolderDatastore) -> None:
    (tmp_path / "train.py").write_text("")
    files = Dataset.File.from_files((store, "not/there"), validate=False)

    def shown(arguments: list[Any]) -> dict[str, Any]:
        return process_of(freeze(ScriptRunConfig(tmp_path, "train.py", arguments), workspace="w", experiment="e"), "e_1_aaaaaaaa")

    found = shown([files.as_named_input("d").as_mount(), OutputFileDatasetConfig("o")])
    assert (found["inputs"]["d"]["mode"], found["outputs"]["o"]["path"]) == ("mount", "dataset/{run-id}/{output-name}")
    assert found["job"]["argv"][2:] == ["$AZUREML_DATAREFERENCE_d", "$AZUREML_DATAREFERENCE_o"]
    assert set(shown([])) == {"command", "job"}
