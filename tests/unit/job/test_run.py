"""The script-side Run inside a job."""

import io
import json
import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest

from mlflows.exceptions import (
    AzureMLException,
    ModelPathNotFoundException,
    RunEnvironmentException,
    UserErrorException,
)
from mlflows.job import here, mailbox
from mlflows.job import run as run_module
from mlflows.job.offline import _OfflineRun
from mlflows.job.run import Run, _SubmittedRun

DATASET = {
    "id": "i",
    "name": None,
    "version": None,
    "kind": "File",
    "description": None,
    "tags": {},
    "definition": {"format": 1, "kind": "File", "sources": [], "reading": {}, "partition_format": None, "steps": []},
}
"""What is answered of a dataset that is not registered."""
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A job folder, with this process inside that job."""
    for name in ("events", "uploads", "mailbox", "code"):
        (tmp_path / name).mkdir()
    for name in ("RANK", "OMPI_COMM_WORLD_RANK", "MLFLOWS_LOG_ALL_RANKS"):
        monkeypatch.delenv(name, raising=False)
    values = {
        "MLFLOWS_JOB_FOLDER": str(tmp_path),
        "AZUREML_RUN_ID": "exp_1_abc",
        "MLFLOWS_RANK": "0",
        "MLFLOWS_EXPERIMENT": "my exp",
        "AZUREML_ARM_WORKSPACE_NAME": "ws",
        "AZUREML_ARM_SUBSCRIPTION": "sub",
        "AZUREML_ARM_RESOURCEGROUP": "rg",
        mailbox.TIMEOUT_VARIABLE: "0.3",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    here._CURRENT.clear()
    run_module._CONTEXT.clear()
    monkeypatch.chdir(tmp_path / "code")
    return tmp_path


@pytest.fixture
def run(folder):
    return Run.get_context()


def events(folder, rank=0):
    path = folder / "events" / f"rank-{rank}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def last(folder):
    event = events(folder)[-1]
    assert abs(event.pop("t") - time.time() * 1000) < 60000
    return event


class Answering:
    """Answers the requests of a mailbox, in a thread, like the collector does."""

    def __init__(self, folder, answers):
        self.mailbox = folder / "mailbox"
        self.answers = answers
        self.asked = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while not self.ended.wait(0.003):
            for path in self.mailbox.glob("*.request.json"):
                request = json.loads(path.read_text())
                if request not in self.asked:
                    self.asked.append(request)
                    self._answer(request)

    def _answer(self, request):
        answer = self.answers[request["op"]]
        value = answer(request["args"]) if callable(answer) else answer
        body = value if isinstance(value, dict) and "ok" in value else {"ok": True, "value": value}
        path = self.mailbox / f"{request['id']}.answer.json"
        path.with_suffix(".tmp").write_text(json.dumps(body))
        path.with_suffix(".tmp").rename(path)


@pytest.fixture
def answering(folder, monkeypatch):
    monkeypatch.setenv(mailbox.TIMEOUT_VARIABLE, "10")
    made = []

    def start(**answers):
        made.append(Answering(folder, answers))
        return made[-1]

    yield start
    for one in made:
        one.ended.set()
        one.thread.join()


class TestContext:
    def test_in_a_job(self, run):
        assert type(run) is _SubmittedRun and isinstance(run, Run)
        assert run is Run.get_context() is Run.get_submitted_run()
        assert (run.id, run.type, run.status, run.parent) == ("exp_1_abc", "azureml.scriptrun", "Running", None)
        assert (run.experiment.name, run.experiment.workspace.name) == ("my exp", "ws")
        assert (run.experiment.workspace.subscription_id, run.experiment.workspace.resource_group) == ("sub", "rg")
        assert "exp_1_abc" in repr(run)
        assert run._run_id == run.id  # scripts read it

    def test_parent(self, run, monkeypatch):
        monkeypatch.setenv("MLFLOWS_PARENT_RUN_ID", "exp_0_parent")
        assert run.parent.id == "exp_0_parent"

    def test_outside(self, monkeypatch, capsys):
        monkeypatch.delenv("MLFLOWS_JOB_FOLDER", raising=False)
        offline = Run.get_context()
        assert type(offline) is _OfflineRun and not isinstance(offline, Run)
        assert offline.id.startswith("OfflineRun_") and offline._run_id == offline.id
        offline.log("loss", 0.5)
        with offline.child_run() as child:
            child.log_row("row", a=1)
        printed = capsys.readouterr().out
        assert printed.startswith("Attempted to log") and "loss" in printed and "0.5" in printed
        for name in ("experiment", "parent", "input_datasets", "get_metrics", "register_model", "display_name", "tags", "get_details"):
            assert not hasattr(offline, name)
        with pytest.raises(TypeError):
            offline.log("loss", 0.5, step=1)
        with pytest.raises(RunEnvironmentException):
            Run.get_context(allow_offline=False)

    def test_what_is_not_there_says_what_to_do(self, run):
        with pytest.raises(AttributeError, match="submit script"):
            run.submit_child(None)
        assert not hasattr(run, "no_such_thing")
        with pytest.raises(
            AttributeError, match=r"Workspace.set_default_datastore is not available .*: Workspace.get\('ws'\) has it, on the"
        ):
            run.experiment.workspace.set_default_datastore("x")
        with pytest.raises(AttributeError, match=r"Experiment.get_runs .*: Experiment\(Workspace.get\('ws'\), 'my exp'\) has it, on the"):
            run.experiment.get_runs()


class TestMetrics:
    @pytest.mark.parametrize("value", [0.5, 3, -1, True, False, "text", None, 1e300, 2**63 - 1])
    def test_values(self, run, folder, value):
        run.log("m", value)
        assert last(folder) == {"e": "metric", "name": "m", "value": value, "step": None}
        assert type(last(folder)["value"]) is type(value)

    def test_nan_and_infinities(self, run, folder):
        for value in (math.nan, math.inf, -math.inf):
            run.log("m", value, step=2)
        lines = (folder / "events" / "rank-0.jsonl").read_text().splitlines()
        assert [line.partition('"value": ')[2].partition(",")[0] for line in lines] == ["NaN", "Infinity", "-Infinity"]

    def test_names_steps_and_descriptions(self, run, folder):
        run.log('a "b"\n\\ grüße 🙂', 1, step=7)
        assert last(folder)["name"] == 'a "b"\n\\ grüße 🙂' and last(folder)["step"] == 7
        run.log("m", 1.5, "what it is", 3)
        assert last(folder)["description"] == "what it is"

    def test_numpy_and_others(self, run, folder):
        numpy = pytest.importorskip("numpy")
        for value, expected in [
            (numpy.float32(0.5), 0.5),
            (numpy.int64(3), 3),
            (numpy.array(2.5), 2.5),
            (numpy.bool_(True), True),
            (Decimal("1.5"), 1.5),
        ]:
            run.log("m", value, step=numpy.int64(4))
            assert last(folder)["value"] == expected and last(folder)["step"] == 4
        with pytest.raises(UserErrorException, match="log_list"):
            run.log("m", numpy.array([1, 2]))
        run.log_list("l", numpy.array([1, 2]))
        assert last(folder)["value"] == [1, 2]

    @pytest.mark.parametrize("value", [[1], (1, 2), range(3), {1}, (n for n in range(2))])
    def test_several_values(self, run, folder, value):
        with pytest.raises(UserErrorException, match="'m'.*log_list"):
            run.log("m", value)
        assert events(folder) == []

    def test_bad_values(self, run, capsys):
        with pytest.raises(UserErrorException, match="64 bits"):
            run.log("m", 2**63)
        with pytest.raises(UserErrorException, match="step of metric 'm'.*'x'"):
            run.log("m", 1, step="x")

    def test_unknown_type_becomes_a_string(self, run, folder, capsys):
        run.log("m", {"a": 1})
        assert last(folder)["value"] == "{'a': 1}"
        assert "logged as a string" in capsys.readouterr().err

    def test_lists_rows_tables(self, run, folder):
        run.log_list("l", range(3))
        assert last(folder) == {"e": "list", "name": "l", "value": [0, 1, 2]}
        run.log_list("empty", [])
        assert last(folder)["name"] == "l"
        with pytest.raises(AzureMLException, match="element of 'l'"):
            run.log_list("l", [[1]])
        with pytest.raises(UserErrorException, match="'l' must be a list"):
            run.log_list("l", 1)
        run.log_row("r", description="d", x=1, y=0.5)
        assert last(folder) == {"e": "row", "name": "r", "columns": {"x": 1, "y": 0.5}, "description": "d"}
        run.log_table("t", {"x": [1, 2], "y": (3, 4)})
        assert last(folder) == {"e": "table", "name": "t", "value": {"x": [1, 2], "y": [3, 4]}}
        with pytest.raises(UserErrorException, match="differ in length"):
            run.log_table("t", {"x": [1, 2], "y": [3]})
        with pytest.raises(UserErrorException, match="dict of columns"):
            run.log_table("t", [1])

    def test_documents(self, run, folder):
        matrix = {"schema_type": "confusion_matrix", "schema_version": "v1", "data": {"class_labels": ["a"], "matrix": [[1]]}}
        run.log_confusion_matrix("c", matrix)
        assert last(folder) == {"e": "json", "name": "c", "kind": "confusion_matrix", "value": matrix}
        run.log_residuals("r", json.dumps(matrix))
        assert last(folder)["kind"] == "residuals" and last(folder)["value"] == matrix
        run.log_accuracy_table("a", matrix)
        run.log_predictions("p", matrix)
        for bad in ("{", [1], {"data": 1}):
            with pytest.raises(UserErrorException, match="'c'"):
                run.log_confusion_matrix("c", bad)

    def test_speed(self, run):
        count = 20000
        best = min(_seconds(lambda: [run.log("loss", n * 0.1, step=n) for n in range(count)]) for _ in range(3))
        assert best / count < 10e-6

    def test_threads_and_forks_do_not_mix_lines(self, run, folder):
        def work(name):
            for n in range(500):
                run.log(name, n)
                run.log_list(name, list(range(300)))

        workers = [threading.Thread(target=work, args=(f"thread{n}",)) for n in range(3)]
        workers += [multiprocessing.get_context("fork").Process(target=work, args=(f"fork{n}",)) for n in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        found = events(folder)
        assert len(found) == 6000
        for name in [f"thread{n}" for n in range(3)] + [f"fork{n}" for n in range(3)]:
            assert [event["value"] for event in found if event["e"] == "metric" and event["name"] == name] == list(range(500))

    def test_a_killed_script_loses_nothing(self, folder):
        text = "import os\nfrom mlflows import Run\nrun = Run.get_context()\nfor n in range(100): run.log('m', n)\nos.kill(os.getpid(), 9)"
        subprocess.run([sys.executable, "-c", text], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        assert [event["value"] for event in events(folder)] == list(range(100))

    def test_a_disk_that_cannot_take_it_does_not_stop_the_script(self, run, folder, capsys):
        run.log("m", 1)
        real = run._job.spool._descriptor
        full = os.open("/dev/full", os.O_WRONLY)
        run._job.spool._descriptor = full
        run.log("m", 2)
        run.log("m", 3)
        run._job.spool._descriptor = real
        os.close(full)
        run.log("m", 4)
        assert [event["value"] for event in events(folder)] == [1, 4]
        assert capsys.readouterr().err.count("cannot be written") == 1

    def test_a_script_that_closes_all_its_files(self, run, folder):
        run.log("m", 1)
        os.close(run._job.spool._descriptor)
        run.log("m", 2)
        assert [event["value"] for event in events(folder)] == [1, 2]


def _seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class TestRanks:
    @pytest.mark.parametrize("name, value", [("MLFLOWS_RANK", "1"), ("RANK", "3"), ("OMPI_COMM_WORLD_RANK", "2")])
    def test_other_ranks_are_silent(self, folder, monkeypatch, name, value):
        monkeypatch.setenv(name, value)
        run = Run.get_context()
        run.log("m", 1)
        run.tag("a", "b")
        run.complete()
        run.flush()
        run.child_run().log("m", 1)
        assert events(folder, int(value)) == []
        with pytest.raises(UserErrorException):
            run.log("m", [1])
        run.upload_file("shard", io.BytesIO(b"x"))
        assert [event["e"] for event in events(folder, int(value))] == ["upload"]

    def test_unless_asked(self, folder, monkeypatch):
        monkeypatch.setenv("MLFLOWS_RANK", "1")
        monkeypatch.setenv("MLFLOWS_LOG_ALL_RANKS", "1")
        Run.get_context().log("m", 1)
        assert events(folder, 1)[0]["value"] == 1


class TestTagsAndProperties:
    def test_tags(self, run, folder):
        run.tag("a", 1)
        assert last(folder) == {"e": "tag", "key": "a", "value": "1"}
        run.tag("b")
        assert last(folder) == {"e": "tag", "key": "b", "value": None}
        run.set_tags({"c": 2.5})
        assert last(folder) == {"e": "tags", "tags": {"c": "2.5"}}
        run.remove_tags("a")
        run.remove_tags(["b", "c"])
        assert last(folder) == {"e": "untag", "keys": ["b", "c"]}
        with pytest.raises(UserErrorException, match="tags must be a dict"):
            run.set_tags(["a"])

    def test_properties_are_written_once(self, run, folder):
        run.add_properties({"a": 1})
        run.add_properties({"a": "1"})
        with pytest.raises(UserErrorException, match="'a' is '1' already"):
            run.add_properties({"a": 2})

    def test_display_name_and_description(self, run, folder):
        run.display_name = "new name"
        assert last(folder) == {"e": "display_name", "value": "new name"} and run.display_name == run.name == "new name"
        run.description = "text"
        assert last(folder) == {"e": "description", "value": "text"} and run.description == "text"

    def test_read_back(self, run, answering):
        answers = answering(get_tags={"a": "1"}, get_properties={"p": "2"})
        assert run.tags == {"a": "1"}
        run.tag("b", "2")
        assert run.tags == {"a": "1", "b": "2"}
        assert run.properties == {"p": "2"}
        assert [request["op"] for request in answers.asked] == ["get_tags", "get_properties"]


class TestFiles:
    def test_upload(self, run, folder):
        (folder / "code" / "model.pkl").write_bytes(b"one")
        run.upload_file("outputs/model.pkl", "model.pkl")
        (folder / "code" / "model.pkl").write_bytes(b"two")
        assert (folder / "uploads" / "outputs" / "model.pkl").read_bytes() == b"one"
        assert last(folder) == {"e": "upload", "name": "outputs/model.pkl", "file": "uploads/outputs/model.pkl"}

    def test_streams(self, run, folder):
        run.upload_file("a.bin", io.BytesIO(b"bytes"))
        run.upload_file(name="a.txt", path_or_stream=io.StringIO("text"))
        assert (folder / "uploads" / "a.bin").read_bytes() == b"bytes"
        assert (folder / "uploads" / "a.txt").read_text() == "text"

    def test_folders_and_several(self, run, folder):
        for name in ("d/a.txt", "d/e/b.txt"):
            (folder / "code" / name).parent.mkdir(exist_ok=True)
            (folder / "code" / name).write_text(name)
        run.upload_folder("outputs/d", "d")
        assert [event["name"] for event in events(folder)] == ["outputs/d/a.txt", "outputs/d/e/b.txt"]
        run.upload_files(["x", "y/z"], ["d/a.txt", folder / "code" / "d" / "e" / "b.txt"])
        assert (folder / "uploads" / "y" / "z").read_text() == "d/e/b.txt"
        with pytest.raises(TypeError, match="1 names for 2 paths"):
            run.upload_files(["x"], ["a", "b"])

    def test_a_name_is_taken_once(self, run, folder):
        run.upload_file("a", io.BytesIO(b"1"))
        for name in ("a", "./a", "a/b"):
            with pytest.raises(UserErrorException, match="Resource Conflict: ArtifactId .*exp_1_abc"):
                run.upload_file(name, io.BytesIO(b"2"))
        assert (folder / "uploads" / "a").read_bytes() == b"1"

    @pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "a\0b", "..\\x"])
    def test_names_that_lead_out(self, run, folder, name):
        with pytest.raises(UserErrorException, match="relative path"):
            run.upload_file(name, io.BytesIO(b"1"))
        assert events(folder) == []

    def test_missing_files(self, run):
        with pytest.raises(UserErrorException, match="'none.txt' for 'a'.*working directory"):
            run.upload_file("a", "none.txt")
        with pytest.raises(UserErrorException, match="is a directory: use run.upload_folder"):
            run.upload_file("a", ".")
        with pytest.raises(UserErrorException, match="Folder 'none'"):
            run.upload_folder("a", "none")

    def test_images(self, run, folder):
        (folder / "code" / "p.png").write_bytes(PNG)
        run.log_image("plot", path="p.png")
        run.log_image("plot", path="p.png", description="d")
        found = events(folder)
        assert found[0]["file"] != found[1]["file"]
        for event in found:
            assert event["file"].startswith("uploads/plot_") and (folder / event["file"]).read_bytes() == PNG

    def test_plots(self, run, folder):
        class Figure:
            def savefig(self, path, format):
                Path(path).write_bytes(format.encode())

        run.log_image("a plot", plot=Figure())
        event = last(folder)
        assert event["e"] == "image" and event["name"] == "a plot"
        assert event["file"].startswith("uploads/a plot_1") and event["file"].endswith(".png")
        assert (folder / event["file"]).read_bytes() == b"png"

    def test_bad_images(self, run, folder):
        (folder / "code" / "p.txt").write_text("text")
        for arguments in ({}, {"path": "p.png", "plot": 1}, {"plot": 1}, {"path": "p.txt"}):
            with pytest.raises(AzureMLException, match="'plot'|'p.txt'"):
                run.log_image("plot", **arguments)
        with pytest.raises(UserErrorException, match=r"none\.png"):
            run.log_image("plot", path="none.png")
        assert events(folder) == []


class TestChildren:
    def test_child(self, run, folder):
        with run.child_run("kid") as child:
            child.log("m", 1)
            child.upload_file("a", io.BytesIO(b"1"))
            run.upload_file("a", io.BytesIO(b"2"))
        found = events(folder)
        assert [event["e"] for event in found] == ["child", "metric", "upload", "upload", "complete"]
        assert found[0]["run"] == child.id and found[0]["parent"] == "exp_1_abc" and found[0]["name"] == "kid"
        assert [event.get("run") for event in found[1:]] == [child.id, child.id, None, child.id]
        assert (folder / found[2]["file"]).read_bytes() == b"1"
        assert child.parent is run and child.status == "Completed" and child.id.startswith("exp_1_abc_")
        grandchild = child.child_run(run_id="mine")
        assert last(folder) == {"e": "child", "run": "mine", "parent": child.id, "name": None}
        assert grandchild.parent is child

    def test_child_that_fails(self, run, folder):
        with pytest.raises(ValueError), run.child_run() as child:
            raise ValueError("bad")
        assert last(folder) == {"e": "fail", "message": "User program failed with ValueError: bad", "code": None, "run": child.id}
        assert child.status == "Failed"

    def test_several(self, run, folder):
        children = run.create_children(tag_key="fold", tag_values=[1, 2])
        assert [event["value"] for event in events(folder) if event["e"] == "tag"] == ["1", "2"]
        assert len({child.id for child in children}) == 2
        assert len(run.create_children(3)) == 3

    @pytest.mark.parametrize(
        "arguments, match",
        [
            ({}, "give count"),
            ({"count": 101}, "101 children"),
            ({"count": 0}, "0 children"),
            ({"tag_key": "a"}, "belong together"),
            ({"tag_values": [1]}, "belong together"),
            ({"count": 3, "tag_key": "a", "tag_values": [1]}, "count is 3"),
        ],
    )
    def test_bad_combinations(self, run, folder, arguments, match):
        with pytest.raises(UserErrorException, match=match):
            run.create_children(**arguments)
        assert events(folder) == []


class TestEnd:
    def test_the_exit_code_decides(self, run, folder, capsys):
        run.complete()
        assert last(folder) == {"e": "complete"}
        run.fail(ValueError("x"), "Code")
        assert last(folder) == {"e": "fail", "message": "User program failed with ValueError: x", "code": "Code"}
        run.cancel()
        assert "no effect" in capsys.readouterr().err
        assert run.status == "Running"

    def test_as_context_manager(self, run, folder):
        with run as same:
            assert same is run
        assert last(folder) == {"e": "complete"}


class TestMailbox:
    def test_answers(self, run, answering, folder):
        answers = answering(
            get_metrics={"loss": [1, 2]},
            get_details={"runId": "exp_1_abc", "status": "Finalizing"},
            get_file_names=["outputs/a", "outputs/d/b", "logs/c"],
            download_file=lambda args: Path(args["path"]).write_text(args["name"]) and None,
            get_secret="s3cret",
            get_secrets={"a": "b"},
            workspace={"name": "ws", "location": "here"},
            get_children=[{"id": "kid1"}, "kid2"],
            register_model=lambda args: {"name": args["model_name"], "version": 2, "id": f"{args['model_name']}:2"},
            flush=None,
            get_number=3,
            dataset_by_name={**DATASET, "name": "d", "version": 1},
        )
        assert run.get_metrics() == {"loss": [1, 2]}
        assert run.get_status() == run.status == "Finalizing"
        assert run.number == run.number == 3 and [request["op"] for request in answers.asked].count("get_number") == 1
        assert run.get_secret("a") == "s3cret" and run.get_secrets(["a"]) == {"a": "b"}
        assert run.experiment.workspace.get_default_keyvault().get_secret(name="a") == "s3cret"
        assert run.experiment.workspace.location == "here"
        assert run.experiment.workspace.datasets["d"].version == 1
        assert [child.id for child in run.get_children()] == ["kid1", "kid2"]
        model = run.register_model("m", model_path="outputs/m", tags={"a": "b"})
        assert (model.name, model.version, model.id) == ("m", 2, "m:2")
        run.flush()
        run.download_file("outputs/a")
        assert (folder / "code" / "a").read_text() == "outputs/a"
        run.download_file("outputs/a", str(folder / "uploads"))
        assert (folder / "uploads" / "a").exists()
        run.download_files("./outputs/", output_directory="got", append_prefix=False)
        assert sorted(path.name for path in (folder / "code" / "got").rglob("*") if path.is_file()) == ["a", "b"]
        asked = {request["op"]: request for request in answers.asked}
        assert asked["get_metrics"]["args"] == {"name": None, "recursive": False} and asked["get_metrics"]["run"] == "exp_1_abc"
        assert list((folder / "mailbox").iterdir()) == []

    def test_errors(self, run, answering):
        answering(register_model={"ok": False, "error": {"type": "ModelPathNotFoundException", "message": "no outputs/m; there is a"}})
        with pytest.raises(ModelPathNotFoundException, match="no outputs/m"):
            run.register_model("m")

    def test_nobody_answers(self, run, folder, capsys):
        with pytest.raises(AzureMLException, match=r"'get_metrics' of run exp_1_abc within 0.3 seconds.*MLFLOWS_MAILBOX_TIMEOUT_SECONDS"):
            run.get_metrics()
        run.flush(timeout_seconds=0.1)
        assert "nothing is lost" in capsys.readouterr().err
        assert list((folder / "mailbox").iterdir()) == []

    def test_a_child_asks_for_itself(self, run, answering):
        answers = answering(get_metrics={})
        child = run.child_run()
        child.get_metrics("loss", recursive=True)
        assert answers.asked[0]["run"] == child.id
        assert answers.asked[0]["args"] == {"name": "loss", "recursive": True}


class TestDatasets:
    def test_inputs_and_outputs(self, run, monkeypatch, answering):
        for name, value in {
            "AZUREML_DATASET_ENVIRONMENT_VARS": "train:mount,table:direct",
            "AZUREML_DATASET_FILE_OUTPUTS": "out;other",
            "train": "/data/train",
            "TABLE": "id-1",
            "out": "/data/out",
            "other": "/data/other",
        }.items():
            monkeypatch.setenv(name, value)
        answering(dataset_by_id=lambda args: {**DATASET, "id": args["id"], "name": "t"})
        assert run.input_datasets["train"] == "/data/train"
        assert run.input_datasets["table"].id == "id-1"
        assert list(run.input_datasets) == ["train", "table"] and "train" in run.input_datasets and len(run.input_datasets) == 2
        assert run.output_datasets == {"out": "/data/out", "other": "/data/other"}
        with pytest.raises(KeyError, match="its inputs: table, train"):
            run.input_datasets["none"]
