"""Data in scripts of a job, with the real workspace behind the mailbox. The scripts know no server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from conftest import Services
from mlflows.data.dataset import Dataset
from mlflows.data.datastore import Datastore, LocalFolderDatastore
from mlflows.data.definition import made_up_id
from mlflows.exceptions import UserErrorException
from mlflows.flows.answers import answers
from mlflows.spec import JobSpec
from mlflows.workspace import Workspace
from tests.support.job_data import AnsweredJob
from tests.unit.job.conftest import INTERPRETERS

USE = """
import json, os
from azureml.core import Dataset, Datastore, Run
run = Run.get_context()
ws = run.experiment.workspace

def error_of(call):
    try:
        call()
    except Exception as error:
        return [type(error).__name__, getattr(error, "message", str(error))]
"""


@pytest.fixture(scope="module")
def ws(services: Services) -> Workspace:
    return Workspace.get("job-data")


@pytest.fixture(scope="module")
def store(ws: Workspace, tmp_path_factory: pytest.TempPathFactory) -> LocalFolderDatastore:
    return Datastore.register_local_folder(ws, "data_of_jobs", tmp_path_factory.mktemp("store"), overwrite=True)


@pytest.fixture
def name(store: LocalFolderDatastore) -> str:
    """A dataset's name, and a folder of the datastore with files ``1.csv``, ``in/2.csv``."""
    name = f"data-{uuid4().hex[:8]}"
    for path, text in {"1.csv": "x,y,t\n1,a,2021-03-01\n2,b,2021-03-02\n", "in/2.csv": "x,y,t\n3,c,2021-03-03\n"}.items():
        (store.root / name / path).parent.mkdir(parents=True, exist_ok=True)
        (store.root / name / path).write_text(text)
    return name


@pytest.fixture
def inside(ws: Workspace, store: LocalFolderDatastore, name: str, tmp_path: Path) -> Iterator[AnsweredJob]:
    """A job with a table as an input that is not registered."""
    table = Dataset.Tabular.from_delimited_files((store, f"{name}/1.csv"))._definition
    spec = {"kind": "dataset", "mode": "direct", "definition": table.to_dict(), "id": made_up_id(table), "name": None, "version": None}
    job = JobSpec(workspace=ws.name, experiment="e", source_directory=str(tmp_path), inputs={"table": spec})
    made = AnsweredJob(tmp_path / "job", ws.name, answers(job, ws._servers(), tmp_path / "job"))
    yield made
    made.close()


@pytest.fixture(params=INTERPRETERS, ids="{0[0]}.{0[1]}".format)
def any_python(request: pytest.FixtureRequest) -> str:
    return INTERPRETERS[request.param] or pytest.skip("no Python {}.{} on this machine".format(*request.param))


class TestTables:
    SCRIPT = (
        USE
        + """
import datetime, sys
name = sys.argv[1]
table = Dataset.get_by_name(ws, name)
after = table.with_timestamp_columns("t").time_after(datetime.datetime(2021, 3, 2))
first, second = table.random_split(0.5, seed=3)
print(json.dumps({
    "all": table.to_pandas_dataframe().x.tolist(),
    "same": [each.to_pandas_dataframe().y.tolist() for each in (ws.datasets[name], Dataset.get_by_id(ws, id=table.id))],
    "is": [table.name, table.version, table.tags, table.description],
    "steps": [each.to_pandas_dataframe().x.tolist() for each in (
        table.take(2), table.skip(2), table.keep_columns(["x"]), table.filter(table["x"] > 1), after, table.take_sample(1.0))],
    "columns": list(table.drop_columns("x").to_pandas_dataframe()),
    "split": sorted(first.to_pandas_dataframe().x.tolist() + second.to_pandas_dataframe().x.tolist()),
    "dtype": str(table.to_pandas_dataframe().t.dtype)[:10],
}))
"""
    )

    def test_by_name(self, ws: Workspace, store: LocalFolderDatastore, name: str, inside: AnsweredJob) -> None:
        made = Dataset.Tabular.from_delimited_files((store, f"{name}/**/*.csv"))
        made.register(ws, name, description="rows", tags={"a": "b"})
        said = inside.said(self.SCRIPT, name)
        assert said["all"] == said["split"] == [1, 2, 3] and said["same"] == [["a", "b", "c"]] * 2
        assert said["is"] == [name, 1, {"a": "b"}, "rows"]
        assert said["steps"] == [[1, 2], [3], [1, 2, 3], [2, 3], [2, 3], [1, 2, 3]]
        assert said["columns"] == ["y", "t"] and said["dtype"] == "datetime64"

    def test_an_input_that_is_not_registered(self, inside: AnsweredJob, store: LocalFolderDatastore, name: str) -> None:
        identity = made_up_id(Dataset.Tabular.from_delimited_files((store, f"{name}/1.csv"))._definition)
        script = USE + "frame = run.input_datasets['table'].to_pandas_dataframe()\nprint(json.dumps(frame.x.tolist()))"
        variables = {"AZUREML_DATASET_ENVIRONMENT_VARS": "table:direct", "table": identity}
        assert inside.said(script, **variables) == [1, 2]

    def test_a_frame_is_registered(self, ws: Workspace, inside: AnsweredJob, name: str) -> None:
        script = USE + (
            "import pandas, sys\nframe = pandas.DataFrame({'a': [1, 2]})\n"
            "made = Dataset.Tabular.register_pandas_dataframe(frame, (Datastore.get(ws, 'data_of_jobs'), 'frames'), sys.argv[1])\n"
            "print(json.dumps([made.version, made.to_pandas_dataframe().a.tolist()]))"
        )
        assert inside.said(script, name) == [1, [1, 2]]
        assert Dataset.get_by_name(ws, name).to_pandas_dataframe().a.tolist() == [1, 2]  # type: ignore[attr-defined]


class TestFiles:
    def test_files_register_and_datastores(
        self, ws: Workspace, store: LocalFolderDatastore, name: str, inside: AnsweredJob, any_python: str
    ) -> None:
        Dataset.File.from_files((store, name)).register(ws, name)
        script = USE + (
            """
import sys
name = sys.argv[1]
files = Dataset.get_by_name(ws, name, version=1)
with files.mount() as context:
    mounted = open(os.path.join(context.mount_point, "in", "2.csv")).read()
paths = files.download("got")
store = Datastore.get(ws, "data_of_jobs")
os.makedirs("out")
open("out/result.txt", "w").write("result")
store.upload("out", name + "/out", show_progress=False)
store.download("down", prefix=name + "/out")
made = Dataset.File.from_files((Datastore(ws, "data_of_jobs"), name + "/out"))
first = made.register(ws, name + "-out", description="made in a job", tags={"by": "a job"})
again = made.register(workspace=ws, name=name + "-out", create_new_version=True)
more = made.take(0) if False else Dataset.File.from_files((store, name)).register(ws, name + "-out", create_new_version=True)
print(json.dumps({
    "mounted": mounted, "paths": sorted(os.path.relpath(path) for path in paths), "down": open("down/%s/out/result.txt" % name).read(),
    "versions": [first.version, again.version, more.version], "tags": first.tags,
    "there": [name in ws.datasets, name in list(ws.datasets), name in ws.datasets.keys(), ws.datasets.get("nonsense"),
        "data_of_jobs" in ws.datastores, sorted(ws.datastores)[:1]],
    "default": ws.get_default_datastore().name,
    "errors": [error_of(call) for call in (
        lambda: Dataset.get_by_name(ws, "nonsense"), lambda: Dataset.get_by_name(ws, name, version=7),
        lambda: Dataset.get_by_id(ws, "1-2"), lambda: Datastore.get(ws, "nonsense"), lambda: ws.datasets["nonsense"],
        lambda: Dataset.File.from_files((store, "nothing/here")), lambda: made.register(ws, name))],
}))
"""
        )
        said = inside.said(script, name, python=any_python)
        assert said["mounted"] == "x,y,t\n3,c,2021-03-03\n" and said["down"] == "result"
        assert said["paths"] == ["got/1.csv", "got/in/2.csv"]
        assert said["versions"] == [1, 1, 2] and said["tags"] == {"by": "a job"}
        assert said["there"] == [True, True, True, None, True, ["data_of_jobs"]] and said["default"] == "workspaceblobstore"
        kinds = [kind for kind, _ in said["errors"]]
        assert kinds == ["UserErrorException"] * 4 + ["KeyError"] + ["UserErrorException"] * 2, said["errors"]
        texts = [text for _, text in said["errors"]]
        parts = ("no dataset 'nonsense'", "no version 7", "'1-2' is not the id", "no datastore 'nonsense'", "no dataset 'nonsense'")
        for text, part in zip(texts, (*parts, "There is no file", "registered already"), strict=True):
            assert part in text
        found = Dataset.get_by_name(ws, f"{name}-out", version=1)
        assert (found.description, found.to_path()) == ("made in a job", ["/result.txt"])  # type: ignore[attr-defined]

    def test_tags_and_the_end_of_a_name(self, ws: Workspace, store: LocalFolderDatastore, name: str, inside: AnsweredJob) -> None:
        Dataset.File.from_files((store, name)).register(ws, name, tags={"a": "1", "b": "2"})
        script = USE + (
            "import sys\nfound = Dataset.get_by_name(ws, sys.argv[1])\nfound.add_tags({'c': '3'})\nfound.remove_tags(['a'])\n"
            "found.update(description='new')\nprint(json.dumps(found.tags))"
        )
        assert inside.said(script, name) == {"b": "2", "c": "3"}
        found = Dataset.get_by_name(ws, name)
        assert (found.tags, found.description) == ({"b": "2", "c": "3"}, "new")
        inside.run(USE + "import sys\nDataset.get_by_name(ws, sys.argv[1]).unregister_all_versions()", name)
        with pytest.raises(UserErrorException, match="There is no dataset"):
            Dataset.get_by_name(ws, name)


def test_no_secret_reaches_the_job(ws: Workspace, inside: AnsweredJob) -> None:
    canary = "canary-9a1f"
    Datastore.register_url(ws, "with_a_secret", "sftp://host.invalid/data", {"password": canary}, overwrite=True)
    keys = {"access_key_id": canary, "secret_access_key": canary}
    Datastore.register_s3(ws, "bucket_of_jobs", "bucket", "http://127.0.0.1:1", **keys, overwrite=True, skip_validation=True)
    script = USE + (
        "found = ws.datastores\nprint(json.dumps([[str(vars(found[name])), found[name].datastore_type, found[name].container_name] "
        "for name in ('with_a_secret', 'bucket_of_jobs')]))"
    )
    said = inside.said(script)
    assert [each[1:] for each in said] == [["Url", "data"], ["S3", "bucket"]]
    assert canary not in json.dumps(said)
    assert not [path for path in inside.folder.rglob("*") if path.is_file() and canary in path.read_text(errors="replace")]
