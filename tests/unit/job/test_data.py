"""Datasets and datastores in scripts of any interpreter; who answers has the datastore that every workspace has, a folder."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pandas
import pytest

from mlflows import settings
from mlflows.exceptions import UserErrorException
from mlflows.flows.answers import answers
from mlflows.flows.context import RunWorkspace
from mlflows.flows.data_answers import DataAnswers
from mlflows.history.mailbox import Mailbox
from mlflows.job import mailbox
from mlflows.settings import Servers
from mlflows.spec import JobSpec
from tests.support.job_data import AnsweredJob, Nothing
from tests.unit.job.conftest import INTERPRETERS

STORE = "workspaceblobstore"
OLD = [version for version in INTERPRETERS if version < (3, 10)]
SERVERS = Servers("http://127.0.0.1:1/api", "", "http://127.0.0.1:1", "", local=False)

USE = """
import json, os
from azureml.core import Dataset, Datastore, Run, Workspace
from azureml.data import FileDataset, TabularDataset
run = Run.get_context()
ws = run.experiment.workspace
store = ws.get_default_datastore()
"""
"""What scripts begin with."""


def definition(kind: str, path: str, **reading: object) -> dict[str, object]:
    sources = [{"kind": "datastore", "place": STORE, "path": path}]
    return {"format": 1, "kind": kind, "sources": sources, "reading": reading, "partition_format": None, "steps": []}


CSV = {"as": "delimited", "infer": True, "separator": ",", "header": True, "empty_as_string": False, "encoding": "utf-8", "types": {}}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder of the datastore."""
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    made = settings.workspace_dir("job-data") / "datastores" / STORE
    for name, text in {"d/a.txt": "A", "d/in/b.txt": "BB", "t/1.csv": "x,y\n1,a\n2,b\n", "t/2.csv": "x,y\n3,c\n"}.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


@pytest.fixture
def spec():
    unregistered = {"kind": "dataset", "name": None, "version": None}
    inputs = {
        "table": {**unregistered, "mode": "direct", "definition": definition("Tabular", "t", **CSV), "id": "id-table"},
        "files": {**unregistered, "mode": "mount", "definition": definition("File", "d"), "id": "id-files"},
    }
    return JobSpec(workspace="job-data", experiment="e", source_directory="/nowhere", inputs=inputs)


@pytest.fixture
def inside(root, spec, tmp_path):
    """A job in whose inputs are a table and files."""
    job = AnsweredJob(tmp_path / "job", "job-data", answers(spec, SERVERS, tmp_path / "job"))
    yield job
    job.close()


@pytest.fixture
def variables():
    return {"AZUREML_DATASET_ENVIRONMENT_VARS": "table:direct,files:mount", "table": "id-table", "files": "/the/mount"}


class TestFiles:
    def test_download_mount_and_names(self, inside, any_python, variables):
        script = (
            USE
            + """
assert run.input_datasets["files"] == "/the/mount"
files = Dataset.get_by_id(ws, id="id-files")
assert type(files) is FileDataset and files.name is None and files.version is None and files.id == "id-files", files
got = files.download(target_path="got")
with files.mount() as mounted:
    at = mounted.mount_point
    seen = sorted(os.path.relpath(os.path.join(parent, name), at) for parent, _, names in os.walk(at) for name in names)
    text = open(os.path.join(at, "in", "b.txt")).read()
with files.mount("here") as mounted:
    assert open("here/a.txt").read() == "A"
assert not os.path.lexists("here")
try:
    files.download("got")
except Exception as error:
    refused = error.message
files.download("got", overwrite=True)
with open("got/a.txt", "a") as handle:
    handle.write("mine")
print(json.dumps({"got": got, "to_path": files.to_path(), "seen": seen, "text": text, "refused": refused,
    "take": files.take(1).to_path(), "skip": files.skip(1).to_path(),
    "split": sorted(sum((part.to_path() for part in files.random_split(0.5, seed=1)), [])),
    "some": files.take(1).download(), "made": Dataset.File.from_files((store, "d/in/*")).to_path()}))
"""
        )
        said = inside.said(script, python=any_python, **variables)
        code = inside.folder / "code"
        assert said["got"] == [str(code / "got" / "a.txt"), str(code / "got" / "in" / "b.txt")]
        assert said["to_path"] == said["split"] == ["/a.txt", "/in/b.txt"]
        assert said["seen"] == ["a.txt", "in/b.txt"] and said["text"] == "BB"
        assert said["take"] == ["/a.txt"] and said["skip"] == ["/in/b.txt"] and said["made"] == ["/b.txt"]
        assert "2 of 2 files" in said["refused"]
        assert Path(said["some"][0]).read_text() == "A"
        assert (code / "got" / "a.txt").read_text() == "Amine"

    def test_a_dataset_does_not_change_by_what_a_script_does(self, inside, root, any_python):
        script = (
            USE
            + """
files = Dataset.get_by_id(ws, "id-files")
with files.mount() as mounted:
    for name in ("a.txt", "in/new.txt"):
        try:
            os.remove(os.path.join(mounted.mount_point, name)) if name == "a.txt" else open(os.path.join(mounted.mount_point, name), "w")
        except OSError:
            pass
print(json.dumps(files.to_path()))
"""
        )
        assert inside.said(script, python=any_python) == ["/a.txt", "/in/b.txt"]
        assert (root / "d" / "a.txt").read_text() == "A"

    def test_what_is_uploaded_meanwhile_is_seen(self, inside, root, any_python):
        script = (
            USE
            + """
files = Dataset.File.from_files((store, "d"))
before = files.download()
os.mkdir("more")
open("more/c.txt", "w").write("C")
store.upload("more", "d", show_progress=False)
print(json.dumps([len(before), sorted(map(os.path.basename, Dataset.File.from_files((store, "d")).download("again")))]))
"""
        )
        assert inside.said(script, python=any_python) == [2, ["a.txt", "b.txt", "c.txt"]]

    def test_files_of_the_job_itself(self, inside, any_python):
        script = (
            USE
            + """
os.makedirs("own")
open("own/x.txt", "w").write("x")
files = Dataset.File.from_files("own")
print(json.dumps([files.to_path(), [open(path).read() for path in files.download()]]))
"""
        )
        assert inside.said(script, python=any_python) == [["/x.txt"], ["x"]]


class TestTables:
    SCRIPT = (
        USE
        + """
table = run.input_datasets["table"]
assert type(table) is TabularDataset and table.id == os.environ["table"]
frame = table.to_pandas_dataframe()
again = Dataset.get_by_id(workspace=ws, id=os.environ["table"]).keep_columns(["y"]).take(2).to_pandas_dataframe()
made = Dataset.Tabular.from_delimited_files(path=[(store, "t/2.csv")]).drop_columns("x").to_pandas_dataframe()
print(json.dumps([frame.x.tolist(), frame.y.tolist(), again.y.tolist(), list(made), table.skip(2).to_pandas_dataframe().x.tolist()]))
"""
    )

    def test_in_a_job_with_pandas(self, inside, variables):
        assert inside.said(self.SCRIPT, **variables) == [[1, 2, 3], ["a", "b", "c"], ["a", "b"], ["y"], [3]]

    def test_without_pandas(self, inside, any_python, variables):
        """What hides pandas from the script stands for an environment that lacks it."""
        script = (
            "import sys\nsys.modules['pandas'] = None\n"
            + USE
            + """
try:
    run.input_datasets["table"].to_pandas_dataframe()
except Exception as error:
    print(type(error).__name__, error.message)
"""
        )
        said = inside.run(script, python=any_python, **variables)
        assert said.startswith("UserErrorException Tables need pandas and pyarrow")

    def test_as_parquet(self, root, spec, tmp_path):
        """What interpreters older than 3.10 get."""
        data = DataAnswers(spec, RunWorkspace("job-data", SERVERS), tmp_path / "job")
        asked = {"definition": {**definition("Tabular", "t", **CSV), "steps": [{"do": "skip", "count": 1}]}}
        path = data.dataset_table(asked)["path"]
        assert pandas.read_parquet(path).to_dict("list") == {"x": [2, 3], "y": ["b", "c"]}
        assert Path(path).parent == tmp_path / "job" / "inputs"
        before = os.stat(path).st_mtime_ns
        assert data.dataset_table(asked)["path"] == path and os.stat(path).st_mtime_ns == before
        with pytest.raises(UserErrorException, match="there is no column 'z'"):
            data.dataset_table({"definition": {**asked["definition"], "steps": [{"do": "keep_columns", "columns": ["z"]}]}})

    @pytest.mark.parametrize("version", OLD, ids="{0[0]}.{0[1]}".format)
    def test_what_needs_a_newer_python_says_so(self, inside, version, variables):
        python = INTERPRETERS[version] or pytest.skip("no such Python on this machine")
        script = (
            USE
            + """
said = []
table = run.input_datasets["table"]
for call in (lambda: table.filter(1), lambda: table.time_before(1), lambda: Dataset.Tabular.register_pandas_dataframe(1, 2, "n")):
    try:
        call()
    except Exception as error:
        said.append(str(getattr(error, "message", error)))
print(json.dumps(said))
"""
        )
        said = inside.said(script, python=python, **variables)
        assert len(said) == 3 and all("Python 3.10 or newer" in text for text in said)


class TestDatastores:
    def test_up_and_down(self, inside, root, any_python):
        script = (
            USE
            + """
os.makedirs("up/in")
for name in ("up/1.txt", "up/in/2.txt"):
    open(name, "w").write(name)
reference = store.upload("up", "models/run", show_progress=True)
assert reference.path_on_datastore == "models/run" and reference.datastore is store, vars(reference)
Datastore.get(ws, "workspaceblobstore").upload_files(["up/in/2.txt"], target_path="flat", show_progress=False)
Datastore(ws, "workspaceblobstore").upload_files(["up/in/2.txt"], relative_root="up", target_path="kept", show_progress=False)
open("up/1.txt", "w").write("changed")
store.upload("up", "models/run", show_progress=False)
count = store.download("down", prefix="models/run", show_progress=False)
said = []
for call in (
    lambda: store.upload("none"), lambda: store.upload_files(["up/none"]), lambda: store.upload("up", "../out"),
    lambda: store.upload_files("up/1.txt"), lambda: store.download("down", prefix="../.."),
):
    try:
        call()
    except Exception as error:
        said.append("%s: %s" % (type(error).__name__, error.message))
store.upload("up", "models/run", overwrite=True, show_progress=False)
files = Dataset.File.from_files(store.path("models/run"))
print(json.dumps([count, open("down/models/run/1.txt").read(), said, store.name, store.datastore_type, files.to_path()]))
"""
        )
        said = inside.run(script, python=any_python)
        count, text, errors, name, kind, files = json.loads(said.splitlines()[-1])
        assert (count, text, name, kind) == (2, "up/1.txt", STORE, "LocalFolder")
        assert files == ["/1.txt", "/in/2.txt"]
        assert "ploaded 2" in said
        assert (root / "models/run/1.txt").read_text() == "changed" and (root / "flat/2.txt").exists() and (root / "kept/in/2.txt").exists()
        assert [error.partition(":")[0] for error in errors] == ["UserErrorException"] * 5, errors
        for error, part in zip(
            errors, ("src_dir: 'none'", "files: 'up/none'", "leads out", "expected a list of paths", "leads out"), strict=True
        ):
            assert part in error

    def test_a_name_does_not_leave_its_folder(self, root, spec, tmp_path):
        data = DataAnswers(spec, RunWorkspace("job-data", SERVERS), tmp_path / "job")
        source = tmp_path / "mine"
        source.write_text("1")
        mine = str(source)
        for files, folder in (([[mine, "../x"]], ""), ([[mine, "a/../../x"]], ""), ([["mine", "x"]], ""), ([[mine, "x"]], "../y")):
            with pytest.raises(UserErrorException):
                data.datastore_upload({"name": STORE, "files": files, "folder": folder})
        with pytest.raises(UserErrorException, match="not an absolute path"):
            data.datastore_download({"name": STORE, "target": "x"})


class TestViews:
    def test_two_at_once_make_one(self, root, spec, tmp_path):
        data = DataAnswers(spec, RunWorkspace("job-data", SERVERS), tmp_path / "job")
        found = []
        asked = {"definition": definition("File", "d")}
        threads = [threading.Thread(target=lambda: found.append(data.dataset_files(asked))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 6 and len({answer["folder"] for answer in found}) == 1
        (only,) = (tmp_path / "job" / "inputs").iterdir()
        assert str(only) == found[0]["folder"] and only.name.startswith(".") and len(only.name) == 25
        assert [Path(each["path"]).read_text() for each in found[0]["files"]] == ["A", "BB"]

    def test_half_of_one_is_made_anew(self, root, spec, tmp_path):
        data = DataAnswers(spec, RunWorkspace("job-data", SERVERS), tmp_path / "job")
        folder = Path(data.dataset_files({"definition": definition("File", "d")})["folder"])
        folder.rename(str(folder) + ".making")
        again = DataAnswers(spec, RunWorkspace("job-data", SERVERS), tmp_path / "job")
        assert again.dataset_files({"definition": definition("File", "d")})["folder"] == str(folder)
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    def test_an_ended_job_gets_nothing_more(self, root, spec, tmp_path):
        (tmp_path / "job").mkdir()
        (tmp_path / "job" / "status.json").write_text("{}")
        data = DataAnswers(spec, RunWorkspace("job-data", SERVERS), tmp_path / "job")
        with pytest.raises(UserErrorException, match="has ended"):
            data._tick(0)


class TestPatience:
    def test_as_long_as_somebody_works(self, tmp_path, monkeypatch):
        (tmp_path / "mailbox").mkdir()
        monkeypatch.setenv(mailbox.TIMEOUT_VARIABLE, "0.8")
        box = Mailbox(tmp_path / "mailbox", Nothing(), {"slow": lambda _: time.sleep(2.5) or "done"})
        threading.Timer(0.1, box.serve).start()
        assert mailbox.ask(str(tmp_path), "r", "slow", {}, patient=True) == "done"
        threading.Timer(0.1, box.serve).start()
        with pytest.raises(mailbox.NoAnswer):
            mailbox.ask(str(tmp_path), "r", "slow", {})

    def test_nobody_works(self, tmp_path):
        (tmp_path / "mailbox").mkdir()
        began = time.monotonic()
        with pytest.raises(mailbox.NoAnswer, match="within 0.3 seconds"):
            mailbox.ask(str(tmp_path), "r", "slow", {}, timeout=0.3, patient=True)
        assert time.monotonic() - began < 1

    def test_a_missing_file_is_an_answer(self, tmp_path):
        (tmp_path / "mailbox").mkdir()
        box = Mailbox(tmp_path / "mailbox", Nothing(), {"open": lambda _: os.stat("/nothing/there")})
        threading.Timer(0.1, box.serve).start()
        with pytest.raises(Exception, match="FileNotFoundError"):
            mailbox.ask(str(tmp_path), "r", "open", {}, timeout=5)


def test_importing_run_loads_no_data(inside, any_python):
    script = """
import sys
from azureml.core import Run
run = Run.get_context()
run.log("a", 1)
run.experiment.workspace.name
print([name for name in sys.modules if name.startswith("mlflows.data") or name in ("mlflows.job.datasets", "pandas")])
"""
    assert inside.run(script, python=any_python) == "[]\n"
