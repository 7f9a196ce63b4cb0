"""Runs that read and write data of this machine: what the script sees, where its results go, what is left behind."""

from __future__ import annotations

import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from conftest import Services
from mlflows import settings
from mlflows.data.data_reference import DataReference
from mlflows.data.datapath import DataPath
from mlflows.data.dataset import Dataset
from mlflows.data.datastore import Datastore
from mlflows.data.datastore_kinds import LocalFolderDatastore
from mlflows.data.output_dataset_config import OutputFileDatasetConfig
from mlflows.exceptions import UserErrorException
from mlflows.job import layout
from mlflows.workspace import Workspace
from tests.support.data_runs import ended, error_of, seen, submit


@pytest.fixture(scope="module")
def ws(services: Services) -> Workspace:
    return Workspace.get("data-runs")


@pytest.fixture
def store(ws: Workspace) -> LocalFolderDatastore:
    return ws.get_default_datastore()


@pytest.fixture
def place(store: LocalFolderDatastore) -> str:
    """A folder of the datastore with two files in it, for one test."""
    folder = f"t{uuid.uuid4().hex[:8]}"
    (store.root / folder / "sub").mkdir(parents=True)
    (store.root / folder / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (store.root / folder / "sub" / "b.txt").write_text("b")
    return folder


class TestInputs:
    def test_mounted_folder(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        files = Dataset.File.from_files((store, place))
        run = ended(submit(ws, tmp_path / "code", "", ["--data", files.as_named_input("my_data").as_mount()]))
        found = seen(run, tmp_path)
        path = found["argv"][1]
        assert found["content"] == [{"a.csv": "x,y\n1,2\n3,4\n", "sub/b.txt": "b"}]
        for name in ("my_data", "MY_DATA", "AZUREML_DATAREFERENCE_my_data"):
            assert found["variables"][name] == path
        assert found["variables"]["AZUREML_DATASET_ENVIRONMENT_VARS"] == "my_data:mount"
        assert not (settings.job_folder(run.id) / layout.INPUTS).exists()
        assert sorted(os.listdir(store.root / place)) == ["a.csv", "sub"]

    def test_downloaded_files_are_the_scripts_own(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        files = Dataset.File.from_files((store, f"{place}/**"))
        script = "open(sys.argv[1] + '/a.csv', 'a').write('more')\nopen(sys.argv[1] + '/new', 'w').write('n')\n"
        ended(submit(ws, tmp_path / "code", script, [files.as_named_input("d").as_download()]))
        assert (store.root / place / "a.csv").read_text() == "x,y\n1,2\n3,4\n" and not (store.root / place / "new").exists()

    @pytest.mark.parametrize("mode", ["as_mount", "as_download"])
    def test_single_file_is_a_path(self, ws: Workspace, store: LocalFolderDatastore, place: str, mode: str, tmp_path: Path) -> None:
        one = Dataset.File.from_files((store, f"{place}/a.csv"))
        run = ended(submit(ws, tmp_path / "code", "", [getattr(one.as_named_input("one"), mode)()]))
        assert seen(run, tmp_path)["content"] == ["x,y\n1,2\n3,4\n"]

    def test_folder_with_one_file_is_a_folder(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        run = ended(submit(ws, tmp_path / "code", "", [Dataset.File.from_files((store, f"{place}/sub")).as_mount()]))
        assert seen(run, tmp_path)["content"] == [{"b.txt": "b"}]

    def test_in_a_command_with_spaces_in_paths(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        os.rename(store.root / place, store.root / f"{place} with spaces")
        one = Dataset.File.from_files((store, f"{place} with spaces/a.csv"))
        run = ended(
            submit_command(
                ws, tmp_path / "my code", ["cat", one.as_named_input("one").as_mount(path_on_compute="my data"), "> outputs/copy"]
            )
        )
        run.download_file("outputs/copy", str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_text() == "x,y\n1,2\n3,4\n"

    def test_path_on_compute(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        files = Dataset.File.from_files((store, place))
        absolute = tmp_path / "where" / "I want it"
        inputs = [files.as_named_input("a").as_mount("data/in"), files.as_named_input("b").as_download(str(absolute))]
        run = ended(submit(ws, tmp_path / "code", "assert open('data/in/sub/b.txt').read() == 'b'\n", inputs))
        found = seen(run, tmp_path)
        assert found["argv"] == [str(settings.job_folder(run.id) / "code/data/in"), str(absolute)]
        assert found["content"][0] == found["content"][1]
        assert not os.path.lexists(absolute)

    def test_path_on_compute_that_is_taken(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "file").touch()
        files = Dataset.File.from_files((store, place)).as_named_input("a").as_download(str(tmp_path / "mine"))
        run = ended(submit(ws, tmp_path / "code", "", [files]), "Failed")
        assert "is there already on this machine" in error_of(run) and (tmp_path / "mine" / "file").exists()

    def test_same_variables_for_run_config_data_references(
        self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path
    ) -> None:
        reference = DataReference(store, "raw", place, "download")
        references = {"raw": reference.to_config()}
        run = ended(
            submit(
                ws,
                tmp_path / "code",
                "",
                ["--raw", str(reference)],
                prepare=lambda config: setattr(config.run_config, "data_references", references),
            )
        )
        assert seen(run, tmp_path)["content"] == [{"a.csv": "x,y\n1,2\n3,4\n", "sub/b.txt": "b"}]

    def test_missing_files_end_the_run_before_its_script(self, ws: Workspace, store: LocalFolderDatastore, tmp_path: Path) -> None:
        gone = Dataset.File.from_files((store, "no/such/folder"), validate=False)
        run = ended(submit(ws, tmp_path / "code", "", [gone.as_mount()]), "Failed")
        assert "There is no file at no/such/folder in datastore" in error_of(run)
        assert not (settings.job_folder(run.id) / layout.STATUS_FILE).exists()

    def test_mlflow_knows_the_inputs(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        registered = Dataset.File.from_files((store, place)).register(ws, f"known-{place}")
        table = Dataset.Tabular.from_delimited_files((store, f"{place}/a.csv"))
        first = ended(submit(ws, tmp_path / "code", "", [registered.as_mount(), table.as_named_input("table")]))
        (store.root / place / "a.csv").write_text("x,y\n5,6\n")
        second = ended(submit(ws, tmp_path / "code", "", [registered.as_mount(), table.as_named_input("table")]))
        told = [datasets_of(ws, run) for run in (first, second)]
        assert set(told[0]) == set(told[1]) == {f"known-{place}", "table"}
        assert all(told[0][name]["digest"] != told[1][name]["digest"] for name in told[0])
        assert told[0]["table"]["source_type"] == "local" and str(store.root / place) in told[0]["table"]["source"]

    def test_that_do_not_answer_hold_up_no_other_run(self, ws: Workspace, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
            address = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
            waiting = [
                submit(ws, tmp_path / "code", "", [Dataset.File.from_files(address, validate=False).as_mount()])
                for _ in range((os.cpu_count() or 1) + 6)
            ]
            plain = submit(ws, tmp_path / "plain", "")
            began = time.monotonic()
            ended(plain)
            assert time.monotonic() - began < 15
            for run in waiting:
                run.cancel()
            for run in waiting:
                ended(run, "Canceled")
            assert time.monotonic() - began < 40


class TestReferences:
    def test_mounted_one_is_the_folder_itself(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        script = "open(sys.argv[1] + '/written', 'w').write('w')\n"
        run = ended(submit(ws, tmp_path / "code", script, [store.path(place).as_mount()]))
        assert seen(run, tmp_path)["argv"] == [str(store.root / place)]
        assert (store.root / place / "written").read_text() == "w"

    def test_upload(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        script = "os.makedirs(sys.argv[1] + '/x')\nopen(sys.argv[1] + '/x/y', 'w').write('up')\n"
        ended(submit(ws, tmp_path / "code", script, [store.path(f"{place}/new").as_upload()]))
        assert (store.root / place / "new" / "x" / "y").read_text() == "up"

    def test_what_is_there_is_not_overwritten(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        script = "open(sys.argv[1] + '/a.csv', 'w').write('other')\n"
        run = ended(submit(ws, tmp_path / "code", script, [store.path(place).as_upload()]), "Failed")
        assert "has 1 of its 1 files already" in error_of(run) and "overwrite=True" in error_of(run)
        assert (store.root / place / "a.csv").read_text() == "x,y\n1,2\n3,4\n"
        kept = list((settings.job_folder(run.id) / layout.DATA_OUTPUTS).glob("*/a.csv"))
        assert [path.read_text() for path in kept] == ["other"]
        ended(submit(ws, tmp_path / "code", script, [store.path(place).as_upload(overwrite=True)]))
        assert (store.root / place / "a.csv").read_text() == "other"


WRITE = "os.makedirs(sys.argv[1], exist_ok=True)\nopen(sys.argv[1] + '/r.csv', 'w').write('n\\n1\\n')\n"


class TestOutputs:
    def test_default_destination(self, ws: Workspace, store: LocalFolderDatastore, tmp_path: Path) -> None:
        run = ended(submit(ws, tmp_path / "code", WRITE, [OutputFileDatasetConfig("result")]))
        assert (store.root / "dataset" / run.id / "result" / "r.csv").read_text() == "n\n1\n"
        assert seen(run, tmp_path)["variables"]["AZUREML_DATASET_FILE_OUTPUTS"] == "result"

    def test_registered_and_read_by_the_next_run(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        output = OutputFileDatasetConfig("result", (store, f"{place}/{{run-id}}/{{output-name}}")).as_upload()
        output = output.register_on_complete(f"result-{place}", "what came out", {"a": "b"})
        first = ended(submit(ws, tmp_path / "code", WRITE, [output]))
        registered = Dataset.get_by_name(ws, f"result-{place}")
        assert [each["dataset"]["name"] for each in first.get_details()["outputDatasets"]] == [registered.name]
        assert (registered.description, registered.tags, registered.to_path()) == ("what came out", {"a": "b"}, ["/r.csv"])
        assert (store.root / place / first.id / "result" / "r.csv").exists()
        second = ended(submit(ws, tmp_path / "code", "", [registered.as_named_input("before").as_mount()]))
        assert seen(second, tmp_path)["content"] == [{"r.csv": "n\n1\n"}]
        ended(submit(ws, tmp_path / "code", WRITE, [output]))
        assert Dataset.get_by_name(ws, f"result-{place}").version == 2

    def test_as_a_table(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        output = OutputFileDatasetConfig("t", (store, f"{place}/t")).read_delimited_files().register_on_complete(f"table-{place}")
        ended(submit(ws, tmp_path / "code", WRITE, [output]))
        assert Dataset.get_by_name(ws, f"table-{place}").to_pandas_dataframe().to_dict("list") == {"n": [1]}

    def test_of_a_failed_run(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        upload = OutputFileDatasetConfig("up", (store, f"{place}/up")).as_upload().register_on_complete(f"failed-{place}")
        mount = OutputFileDatasetConfig("mount", (store, f"{place}/mount")).as_mount()
        script = "for path in sys.argv[1:]:\n    open(path + '/r', 'w').write('half')\nsys.exit('no more')\n"
        run = ended(submit(ws, tmp_path / "code", script, [upload, mount]), "Failed")
        assert "no more" in error_of(run)
        assert not (store.root / place / "up").exists() and (store.root / place / "mount" / "r").read_text() == "half"
        assert (settings.job_folder(run.id) / layout.DATA_OUTPUTS / "up" / "r").read_text() == "half"
        with pytest.raises(UserErrorException, match="no dataset"):
            Dataset.get_by_name(ws, f"failed-{place}")

    def test_only_what_matches(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        output = OutputFileDatasetConfig("o", (store, f"{place}/o")).as_upload(source_globs=["**/*.csv"])
        script = WRITE + "open(sys.argv[1] + '/r.tmp', 'w').write('x')\n"
        ended(submit(ws, tmp_path / "code", script, [output]))
        assert os.listdir(store.root / place / "o") == ["r.csv"]

    def test_source(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        output = OutputFileDatasetConfig("o", (store, f"{place}/o"), source="results/final").as_upload()
        script = "open('results/final/m', 'w').write(sys.argv[1])\n"
        run = ended(submit(ws, tmp_path / "code", script, [output]))
        assert (store.root / place / "o" / "m").read_text() == str(settings.job_folder(run.id) / "code/results/final")

    def test_many_files_beside_others(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        output = OutputFileDatasetConfig("o", (store, f"{place}/{{run-id}}")).as_upload()
        script = "for n in range(40):\n    open(sys.argv[1] + '/%d' % n, 'w').write('x')\n"
        for _ in range(2):
            run = ended(submit(ws, tmp_path / "code", script, [output]))
            assert len(os.listdir(store.root / place / run.id)) == 40
        assert not list((settings.job_folder(run.id) / layout.DATA_OUTPUTS).glob("*"))

    def test_links_are_followed_and_what_is_no_file_is_named(
        self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path
    ) -> None:
        (tmp_path / "scratch").mkdir()
        (tmp_path / "scratch" / "weights").write_text("w")
        script = (
            f"os.symlink({str(tmp_path / 'scratch')!r}, sys.argv[1] + '/model')\n"
            "os.symlink(sys.argv[1], sys.argv[1] + '/round')\nos.mkfifo(sys.argv[1] + '/pipe')\n"
        )
        ended(submit(ws, tmp_path / "code", script, [OutputFileDatasetConfig("o", (store, f"{place}/o")).as_upload()]))
        assert (store.root / place / "o" / "model" / "weights").read_text() == "w"
        assert os.listdir(store.root / place / "o") == ["model"]

    def test_a_folder_that_became_a_file(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        script = "os.rmdir(sys.argv[1])\nopen(sys.argv[1], 'w').write('x')\n"
        run = ended(submit(ws, tmp_path / "code", script, [OutputFileDatasetConfig("o", (store, f"{place}/o")).as_upload()]), "Failed")
        assert "is no folder any more" in error_of(run)
        assert "outputs/seen.json" in run.get_file_names()

    def test_begun_again_it_replaces_what_it_has_sent(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        script = (
            "first = not os.path.exists('outputs/been')\nopen('outputs/been', 'w').write('')\n"
            "open(sys.argv[1] + ('/first' if first else '/second'), 'w').write('x')\nsys.exit(first)\n"
        )
        run = ended(submit(ws, tmp_path / "code", script, [store.path(f"{place}/up").as_upload()]), "Failed")
        assert os.listdir(store.root / place / "up") == ["first"]
        retry(ws, run)
        ended(run)
        assert sorted(os.listdir(store.root / place / "up")) == ["first", "second"]


class TestPaths:
    @pytest.mark.parametrize("second", ["data", "data/sub", "./data/"])
    def test_one_in_the_other_is_refused(self, ws: Workspace, store: LocalFolderDatastore, place: str, second: str, tmp_path: Path) -> None:
        files = Dataset.File.from_files((store, place))
        inputs = [files.as_named_input("a").as_mount("data"), files.as_named_input("b").as_mount(second)]
        run = ended(submit(ws, tmp_path / "code", "", inputs), "Failed")
        assert "are one in the other, or the same" in error_of(run)

    def test_of_two_runs_at_once(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        reference = DataReference(store, "r", place, "mount", str(tmp_path / "shared" / ""))
        references = {"r": reference.to_config()}
        options = {"prepare": lambda config: setattr(config.run_config, "data_references", references)}
        script = "import time\ntime.sleep(3)\nassert os.path.exists(os.environ['AZUREML_DATAREFERENCE_r'] + '/a.csv')\n"
        first = submit(ws, tmp_path / "code", script, [], **options)
        while not os.path.lexists(tmp_path / "shared"):
            assert first.get_status() not in ("Failed", "Completed")
        second = ended(submit(ws, tmp_path / "code", script, [], **options), "Failed")
        assert "path_on_compute" in error_of(second)
        ended(first)
        assert not os.path.lexists(tmp_path / "shared")

    def test_a_link_that_leads_out_of_the_datastore(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (store.root / place / "door").symlink_to(tmp_path / "outside")
        run = ended(submit(ws, tmp_path / "code", "", [OutputFileDatasetConfig("o", (store, f"{place}/door/x"))]), "Failed")
        assert "door" in error_of(run) and not os.listdir(tmp_path / "outside")

    def test_a_reference_to_nothing(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        run = ended(submit(ws, tmp_path / "code", "", [store.path(f"{place}/no.pkl").as_download()]), "Failed")
        assert "There is no file at" in error_of(run)
        run = ended(submit(ws, tmp_path / "code", "", [store.path(f"{place}/new").as_mount()]))
        assert (store.root / place / "new").is_dir()


class TestNothingStaysBehind:
    def test_of_a_script_that_mounts_by_itself(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        Dataset.File.from_files((store, place)).register(ws, f"own-{place}")
        script = (
            "from azureml.core import Dataset, Run\n"
            f"files = Dataset.get_by_name(Run.get_context().experiment.workspace, 'own-{place}')\n"
            "with files.mount() as mounted:\n    print(sorted(os.listdir(mounted.mount_point)))\n"
        )
        run = ended(submit(ws, tmp_path / "code", script))
        assert not (settings.job_folder(run.id) / layout.INPUTS).exists()

    def test_of_a_run_whose_second_input_is_not_there(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        files = Dataset.File.from_files((store, place)).as_named_input("a").as_download(str(tmp_path / "a"))
        gone = Dataset.File.from_files((store, "no/such"), validate=False).as_mount()
        run = ended(submit(ws, tmp_path / "code", "", [files, gone]), "Failed")
        assert not (settings.job_folder(run.id) / layout.INPUTS).exists() and not os.path.lexists(tmp_path / "a")


class TestResume:
    def test_from_a_path(self, ws: Workspace, store: LocalFolderDatastore, place: str, tmp_path: Path) -> None:
        run = ended(submit(ws, tmp_path / "code", "", [], resume_from=DataPath(store, place)))
        found = seen(run, tmp_path)
        assert found["argv"] == ["--resume-from", str(store.root / place)]
        assert found["variables"]["AZUREML_DATAREFERENCE_MODEL_LOCATION"] == str(store.root / place)


def submit_command(ws: Workspace, folder: Path, command: list[Any]) -> Any:
    from mlflows.config.script_run_config import ScriptRunConfig
    from mlflows.experiment import Experiment

    folder.mkdir()
    return Experiment(ws, "data runs").submit(ScriptRunConfig(str(folder), command=command))


def retry(ws: Workspace, run: Any) -> None:
    """As a person does by the button in Prefect's UI."""
    flow_run = ws._prefect().post("/flow_runs/filter", {"flow_runs": {"name": {"any_": [run.id]}}})[0]
    state = {"type": "SCHEDULED", "name": "AwaitingRetry"}
    ws._prefect().post(f"/flow_runs/{flow_run['id']}/set_state", {"state": state, "force": True})
    deadline = time.monotonic() + 60
    while (settings.job_folder(run.id) / layout.CLOSED_FILE).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def datasets_of(ws: Workspace, run: Any) -> dict[str, dict[str, Any]]:
    """Name -> what MLflow was told."""
    inputs = ws._tracking().get("runs/get", {"run_id": run._ref.mlflow_run_id})["run"]["inputs"]["dataset_inputs"]
    assert all({"key": "mlflow.data.context", "value": "training"} in each["tags"] for each in inputs)
    return {each["dataset"]["name"]: each["dataset"] for each in inputs}


def test_a_datastore_that_is_not_there(ws: Workspace, tmp_path: Path) -> None:
    Datastore.register_local_folder(ws, "gone", str(tmp_path))
    reference = Datastore.get(ws, "gone").path("x").as_download()
    Datastore.get(ws, "gone").unregister()
    run = ended(submit(ws, tmp_path / "code", "", [reference]), "Failed")
    assert "has no datastore 'gone'" in error_of(run)
