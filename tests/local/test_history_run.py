"""The client-side Run against a real MLflow server."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflows.exceptions import (
    ActivityFailedException,
    AzureMLException,
    ExperimentExecutionException,
    ModelPathNotFoundException,
    RunEnvironmentException,
    UserErrorException,
    WebserviceException,
)
from mlflows.history import closing, runs, status
from mlflows.history.closing import Outcome
from mlflows.history.collector import Collector
from mlflows.history.details import RunDetails
from mlflows.history.run import _PROVIDERS, Run, ScriptRun
from mlflows.history.runs import RunRef
from mlflows.history.status import RunStatus
from mlflows.history.tracking import Tracking, TrackingUnreachable
from mlflows.spec import JobSpec
from tests.conftest import MlflowServer, free_port
from tests.support.history import Experiment, JobFolder, Workspace

SPEC = JobSpec("/code", script="train.py", experiment="run tests", tags={"team": "a"}, snapshot="s" * 64)


@pytest.fixture
def workspace(mlflow_server: MlflowServer) -> Workspace:
    return Workspace(Tracking(mlflow_server.url))


@pytest.fixture
def experiment(workspace: Workspace) -> Experiment:
    return Experiment(workspace, SPEC.experiment)


def script_run(workspace: Workspace, spec: JobSpec = SPEC) -> RunRef:
    return runs.create_script_run(workspace.tracking, spec, runs.new_run_id(spec.experiment))


def interactive(experiment: Experiment) -> Run:
    ref = runs.create(
        experiment.workspace.tracking,
        experiment.name,
        runs.new_run_id("i"),
        tags={"mlflows.type": runs.INTERACTIVE_RUN},
        run_status=RunStatus.RUNNING,
    )
    return Run(experiment, ref.run_id, _ref=ref)


class TestFinding:
    def test_by_id(self, workspace: Workspace, experiment: Experiment) -> None:
        ref = script_run(workspace)
        for found in (Run.get(workspace, ref.run_id), Run.get(workspace, ref.mlflow_run_id), Run(experiment, ref.run_id)):
            assert found.id == ref.run_id
            assert found.experiment.name == SPEC.experiment
        assert type(Run.get(workspace, ref.run_id)) is ScriptRun
        with pytest.raises(UserErrorException, match="no run 'nobody'"):
            Run.get(workspace, "nobody")
        with pytest.raises(UserErrorException, match="no run 'nobody' in experiment 'run tests'"):
            Run(experiment, "nobody")
        with pytest.raises(UserErrorException, match="no run 'x' in experiment 'never made'"):
            Run(Experiment(workspace, "never made"), "x")
        with pytest.raises(UserErrorException, match="run_id must be"):
            Run(experiment, "")

    def test_listing(self, workspace: Workspace) -> None:
        experiment = Experiment(workspace, "listing")
        first, second = (script_run(workspace, SPEC.replace(experiment="listing", tags={"n": n}, properties={"p": n})) for n in "12")
        closing.close(workspace.tracking, first, Outcome(RunStatus.COMPLETED))
        child = Run(experiment, second.run_id).child_run("kid")

        def ids(**wanted: Any) -> list[str]:
            return [run.id for run in Run.list(experiment, **wanted)]

        assert ids() == [second.run_id, first.run_id]
        assert ids(include_children=True) == [child.id, second.run_id, first.run_id]
        assert ids(status="Completed") == [first.run_id]
        assert ids(tags="n") == [second.run_id, first.run_id]
        assert ids(tags={"n": 2}) == [second.run_id]
        assert ids(properties={"p": "1"}) == [first.run_id]
        assert ids(type="hyperdrive") == []
        assert list(Run.list(Experiment(workspace, "never made"))) == []
        assert [Run(experiment, ref.run_id).number for ref in (first, second)] == [1, 2]

    def test_by_compute(self, workspace: Workspace) -> None:
        ref = script_run(workspace, SPEC.replace(compute_target="gpu-by-itself"))
        compute = type("Compute", (), {"workspace": workspace, "name": "gpu-by-itself"})()
        assert [run.id for run in Run.list_by_compute(compute)] == [ref.run_id]

    def test_type_providers(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(_PROVIDERS, runs.SCRIPT_RUN, raising=False)
        ref = script_run(workspace)
        Run.add_type_provider(runs.SCRIPT_RUN, lambda experiment, run_id: ("made", run_id))
        assert Run.get(workspace, ref.run_id) == ("made", ref.run_id)
        del _PROVIDERS[runs.SCRIPT_RUN]
        with pytest.raises(ValueError, match="must be callable"):
            Run.add_type_provider("x", 3)  # type: ignore[arg-type]

    def test_context_outside_a_job(self) -> None:
        assert Run.get_context().id.startswith("OfflineRun")
        with pytest.raises(RunEnvironmentException):
            Run.get_context(allow_offline=False)
        with pytest.raises(RunEnvironmentException):
            Run.get_submitted_run()


class TestLogging:
    def test_values_come_back_as_logged(self, experiment: Experiment, tmp_path: Path) -> None:
        image = tmp_path / "p.png"
        image.write_bytes(b"\x89PNG\r\n\x1a\n")
        with interactive(experiment) as run:
            run.log("i", 1)
            run.log("s", "text")
            run.log("series", 1)
            run.log("series", 2.5)
            run.log_list("list", [1, 2])
            run.log_row("row", x=1, y="a")
            run.log_table("table", {"a": [1, 2]})
            run.log_image("pic", path=str(image))
            run.log_confusion_matrix("cm", {"schema_type": "confusion_matrix", "schema_version": "v1", "data": {}})
        found = Run(experiment, run.id).get_metrics()
        assert found.pop("pic").startswith("mlflow-artifacts:/")
        assert found == {
            "i": 1,
            "s": "text",
            "series": [1, 2.5],
            "list": [1, 2],
            "row": {"x": 1, "y": "a"},
            "table": {"a": [1, 2]},
            "cm": {"schema_type": "confusion_matrix", "schema_version": "v1", "data": {}},
        }
        assert run.get_metrics("series") == {"series": [1, 2.5]}
        assert {"row.json", "table.json", "confusion_matrix/cm.json"} <= set(run.get_file_names())
        assert run.get_status() == "Completed"

    def test_another_object_goes_on_where_the_first_stopped(self, workspace: Workspace, experiment: Experiment, tmp_path: Path) -> None:
        ref, folder = script_run(workspace), JobFolder(tmp_path)
        folder.metric("acc", 1)
        Collector(workspace.tracking, ref, folder.path, SPEC).finish(10, Outcome(RunStatus.COMPLETED))
        run = Run(experiment, ref.run_id)
        run.log("acc", 2)
        run.flush()
        assert Run(experiment, ref.run_id).get_metrics() == {"acc": [1, 2]}
        assert [point.step for point in workspace.tracking.metric_history(ref.mlflow_run_id, "acc")] == [0, 1]

    def test_what_mlflow_itself_logged_is_there(self, experiment: Experiment) -> None:
        from mlflows.history.tracking import Metric

        run = interactive(experiment)
        points = [Metric("theirs", float(step), 1, step) for step in range(3)]
        experiment.workspace.tracking.log_batch(run._ref.mlflow_run_id, [*points, Metric("one", 1.5, 1, 0)])
        assert run.get_metrics() == {"theirs": [0.0, 1.0, 2.0], "one": 1.5}

    def test_numbers_not_flushed_are_saved_at_exit(self, mlflow_server: MlflowServer, experiment: Experiment) -> None:
        run = interactive(experiment)
        code = (
            "from mlflows.history.run import Run\nfrom mlflows.history.tracking import Tracking\n"
            "from tests.support.history import Experiment, Workspace\n"
            f"run = Run(Experiment(Workspace(Tracking({mlflow_server.url!r})), {experiment.name!r}), {run.id!r})\n"
            "[run.log('n', value) for value in range(3)]\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
        assert [type(value) for value in run.get_metrics()["n"]] == [int, int, int]

    @pytest.mark.parametrize(
        ("call", "kind", "text"),
        [
            (lambda run: run.log("x", [1]), UserErrorException, "use run.log_list"),
            (lambda run: run.log("x", 2**70), UserErrorException, "wider than 64 bits"),
            (lambda run: run.log("x", 1, step="a"), UserErrorException, "step of metric 'x'"),
            (lambda run: run.log_list("x", 3), UserErrorException, "must be a list"),
            (lambda run: run.log_list("x", [[1]]), AzureMLException, "not a single value"),
            (lambda run: run.log_table("x", [1]), UserErrorException, "must be a dict of columns"),
            (lambda run: run.log_table("x", {"a": [1], "b": [1, 2]}), UserErrorException, "differ in length"),
            (lambda run: run.log_image("x"), AzureMLException, "either path or plot"),
            (lambda run: run.log_image("x", path="/nope.png"), UserErrorException, "nope.png"),
            (lambda run: run.log_residuals("x", "{"), UserErrorException, "not JSON"),
            (lambda run: run.log_predictions("x", 3), UserErrorException, "must be a dict or JSON"),
            (lambda run: run.log_accuracy_table("x", {"data": 1}), UserErrorException, "lacks schema_type"),
            (lambda run: run.set_tags([("a", 1)]), UserErrorException, "tags must be a dict"),
            (lambda run: run.tag("mlflows.status", "Completed"), UserErrorException, "reserved"),
            (lambda run: run.add_properties("x"), UserErrorException, "properties must be a dict"),
            (lambda run: run.create_children(), UserErrorException, "give count"),
            (lambda run: run.create_children(2, "a"), UserErrorException, "either count"),
            (lambda run: run.create_children(0), UserErrorException, "count is 0"),
            (lambda run: run.create_children(101), UserErrorException, "count is 101"),
            (lambda run: run.create_children(tag_key="a"), UserErrorException, "tag_key together"),
            (lambda run: run.create_children(tag_key="a", tag_values=range(101)), UserErrorException, "at most 100"),
            (lambda run: run.upload_file("a", "/nope"), UserErrorException, "not there"),
            (lambda run: run.upload_file("a", "/tmp"), UserErrorException, "use run.upload_folder"),
            (lambda run: run.upload_file("../a", "/nope"), UserErrorException, "not a relative path"),
            (lambda run: run.upload_folder("a", "/nope"), UserErrorException, "not there"),
            (lambda run: run.upload_files(["a", "b"], ["/x"]), TypeError, "2 names for 1 paths"),
            (lambda run: run.download_file("nope"), UserErrorException, "'nope' was not found"),
            (lambda run: run.download_file("../../x"), UserErrorException, "was not found"),
            (lambda run: run.download_files(output_paths=["a"]), UserErrorException, "1 paths for 0 files"),
            (lambda run: run.get_all_logs("/etc/passwd"), UserErrorException, "is a file"),
            (lambda run: run.register_model("a b"), WebserviceException, "'a b' is not valid"),
            (lambda run: run.register_model("ok", "outputs/nope"), ModelPathNotFoundException, "outputs/nope"),
            (lambda run: run.get_environment(), UserErrorException, "no run definition"),
            (lambda run: run.restore_snapshot(), UserErrorException, "has no snapshot"),
        ],
    )
    def test_bad_input(self, experiment: Experiment, call: Callable[[Run], Any], kind: type[Exception], text: str) -> None:
        run = interactive(experiment)
        with pytest.raises(kind, match=text):
            call(run)
        assert run.get_file_names() == []


class TestFiles:
    def test_up_and_down(self, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        run = interactive(experiment)
        source = tmp_path / "src"
        (source / "deep").mkdir(parents=True)
        (source / "a.txt").write_text("a")
        (source / "deep" / "b.txt").write_text("b")
        run.upload_folder("outputs", str(source))
        run.upload_file("stream.bin", io.BytesIO(b"stream"))
        run.upload_files(["x.txt"], [str(source / "a.txt")])
        assert run.get_file_names() == ["outputs/a.txt", "outputs/deep/b.txt", "stream.bin", "x.txt"]
        with pytest.raises(UserErrorException, match="Resource Conflict.*x.txt already exists"):
            run.upload_file("x.txt", str(source / "a.txt"))
        run.download_file("stream.bin")
        assert Path("stream.bin").read_bytes() == b"stream"
        Path("there").mkdir()
        run.download_file("outputs/deep/b.txt", "there")
        run.download_file("outputs/a.txt", "new/name.txt")
        assert Path("there/b.txt").read_text() == "b" and Path("new/name.txt").read_text() == "a"
        run.download_files("./outputs", "all")
        run.download_files("outputs", "bare", append_prefix=False)
        run.download_files("outputs", output_paths=["one", "two"])
        assert Path("all/outputs/deep/b.txt").exists() and Path("bare/deep/b.txt").exists() and Path("two").read_text() == "b"

    def test_logs(self, workspace: Workspace, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        ref, folder = script_run(workspace), JobFolder(tmp_path / "job")
        folder.write("user_logs/std_log.txt", "hello\n")
        folder.write("code/logs/tb.txt", "tb")
        Collector(workspace.tracking, ref, folder.path, SPEC).finish(10, Outcome(RunStatus.COMPLETED))
        run = Run(experiment, ref.run_id)
        assert sorted(run.get_all_logs("logs here")) == ["logs here/logs/tb.txt", "logs here/user_logs/std_log.txt"]
        assert Path(run.get_all_logs()[0]).is_relative_to(f"assets/logs/{ref.run_id}")
        run.download_file("azureml-logs/70_driver_log.txt")
        assert Path("70_driver_log.txt").read_text() == "hello\n"
        assert run.get_details_with_logs()["logFiles"] == {"user_logs/std_log.txt": "hello\n", "logs/tb.txt": "tb"}

    def test_models(self, experiment: Experiment, tmp_path: Path) -> None:
        run = interactive(experiment)
        (tmp_path / "m.pkl").write_text("m")
        run.upload_file("outputs/m.pkl", str(tmp_path / "m.pkl"))
        name = f"model-{run.id}"
        model = run.register_model(
            name, "outputs/m.pkl", tags={"a": 1}, properties={"p": "q"}, model_framework="ScikitLearn", description="d"
        )
        assert (model.id, model.url) == (f"{name}:1", f"models:/{name}/1")
        assert (model.tags, model.properties) == ({"a": "1"}, {"p": "q"})
        assert (model.model_framework, model.description, model.run_id) == ("ScikitLearn", "d", run._ref.mlflow_run_id)
        assert run.register_model(name, "outputs").version == 2
        for path in (Path("./outputs/m.pkl"), "./outputs/m.pkl"):
            assert run.register_model(name, path).source == model.source
        run.log("loss", 1)
        run.flush()
        with pytest.raises(ModelPathNotFoundException, match="Its files: outputs/m.pkl. A file in"):
            run.register_model(name, "nope")


class TestTree:
    def test_tags_and_properties(self, experiment: Experiment) -> None:
        run = interactive(experiment)
        run.tag("a", 1)
        run.set_tags({"b": True, "c": None})
        assert run.get_tags() == {"a": "1", "b": "True", "c": ""}
        run.remove_tags(["a", "never there"])
        run.remove_tags("b")
        assert run.tags == {"c": ""}
        run.add_properties({"p": 1})
        run.add_properties({"p": 1, "q": 2})
        with pytest.raises(UserErrorException, match="Property 'p' is '1' already"):
            run.add_properties({"p": 3})
        assert run.properties == {"p": "1", "q": "2"}
        run.display_name, run.description = "Shown", "Text"
        assert (run.name, run.display_name, run.description) == ("Shown", "Shown", "Text")

    def test_children(self, experiment: Experiment) -> None:
        run = interactive(experiment)
        assert run.parent is None
        child = run.child_run("kid")
        assert child.parent.id == run.id and child.display_name == "kid" and child.status == "Running"
        made = run.create_children(tag_key="fold", tag_values=[1, 2])
        assert [each.tags for each in made] == [{"fold": "1"}, {"fold": "2"}]
        assert len(run.create_children(3)) == 3
        grandchild = child.child_run(run_id=f"{run.id}-grand")
        grandchild.log("x", 1)
        grandchild.complete()
        assert len(list(run.get_children())) == 6
        assert [each.id for each in run.get_children(recursive=True, status="Completed")] == [grandchild.id]
        assert [each.id for each in run.get_children(tags={"fold": 2})] == [made[1].id]
        assert run.get_metrics(recursive=True)[grandchild.id] == {"x": 1}

    def test_ends(self, experiment: Experiment) -> None:
        run = interactive(experiment)
        with pytest.raises(ValueError, match="boom"), run:
            raise ValueError("boom")
        assert run.get_detailed_status() == {"status": "Failed", "details": "User program failed with ValueError: boom"}
        run.complete()
        assert run.get_status() == "Failed"
        other = interactive(experiment)
        other.fail("no data", "DataError")
        assert other.get_details()["error"]["error"] == {"code": "DataError", "message": "no data"}
        third = interactive(experiment)
        third.start()
        third.complete(_set_status=False)
        assert third.get_status() == "Running"
        assert third.clean() == []


class Prefect:
    base_url = "http://prefect"

    def __init__(self) -> None:
        self.posts: list[Any] = []

    def post(self, path: str, body: Any) -> None:
        self.posts.append((path, body))


class TestCancel:
    def test_a_flow_is_asked(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        prefect = Prefect()
        monkeypatch.setattr(Workspace, "_prefect", lambda self: prefect, raising=False)
        ref = runs.create_script_run(workspace.tracking, SPEC, runs.new_run_id("c"), "flow-1")
        run = Run.get(workspace, ref.run_id)
        run.cancel()
        assert prefect.posts == [("/flow_runs/flow-1/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": False})]
        assert run.get_status() == "CancelRequested"
        closing.close(workspace.tracking, ref, Outcome(RunStatus.CANCELED))
        run.cancel()
        assert len(prefect.posts) == 1
        assert "has ended already: Canceled" in capsys.readouterr().out

    def test_a_run_without_flow_ends_at_once(self, experiment: Experiment) -> None:
        run = interactive(experiment)
        run.cancel()
        assert run.get_status() == "Canceled"

    def test_prefect_away(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        from mlflows.rest import RestClient

        address = f"http://127.0.0.1:{free_port()}/api"
        monkeypatch.setattr(Workspace, "_prefect", lambda self: RestClient(address), raising=False)
        ref = runs.create_script_run(workspace.tracking, SPEC, runs.new_run_id("c"), "flow-2")
        with pytest.raises(TrackingUnreachable, match=f"Prefect server at {address}"):
            Run.get(workspace, ref.run_id).cancel()


class TestWaiting:
    """A thread plays the job: it writes the folder, ships it, and closes it."""

    @pytest.fixture
    def play(self, workspace: Workspace, tmp_path: Path) -> Callable[..., tuple[RunRef, JobFolder, threading.Thread]]:
        def begin(outcome: Outcome, local: bool = True, lines: int = 5) -> tuple[RunRef, JobFolder, threading.Thread]:
            ref, folder = script_run(workspace), JobFolder(tmp_path / runs.new_run_id("job"))
            thread = threading.Thread(target=job, args=(ref, folder, outcome, local, lines))
            thread.start()
            return ref, folder, thread

        def job(ref: RunRef, folder: JobFolder, outcome: Outcome, local: bool, lines: int) -> None:
            where = {"host": socket.gethostname(), "job_folder": str(folder.path)} if local else {}
            status.set_status(workspace.tracking, ref, RunStatus.RUNNING, **where)
            collector = Collector(workspace.tracking, ref, folder.path, SPEC)
            collector.start()
            for number in range(lines):
                with (folder.path / "user_logs" / "std_log.txt").open("a") as log:
                    log.write(f"line {number} é\n")
                time.sleep(0.05)
            assert not collector.finish(20, outcome)
            folder.write("closed.json", "{}")

        return begin

    @pytest.mark.parametrize("local", [True, False])
    def test_the_log_is_shown_and_the_details_come_back(
        self, play: Any, experiment: Experiment, local: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ref, folder, thread = play(Outcome(RunStatus.COMPLETED), local)
        run = ScriptRun(experiment, ref.run_id, _ref=ref, _folder=folder.path if local else None, _definition={"script": "train.py"})
        details = run.wait_for_completion(show_output=True)
        thread.join()
        url, log = run.get_portal_url(), "".join(f"line {number} é\n" for number in range(5))
        assert capsys.readouterr().out == (
            f"RunId: {run.id}\nWeb View: {url}\n\n"
            f"Streaming user_logs/std_log.txt\n===============================\n\n{log}"
            f"\nExecution Summary\n=================\nRunId: {run.id}\nWeb View: {url}\n\n"
        )
        assert details["status"] == "Completed" and details["runDefinition"] == {"script": "train.py"}
        assert list(details["logFiles"]) == ["user_logs/std_log.txt"]
        assert set(details) >= {
            "runId",
            "target",
            "startTimeUtc",
            "endTimeUtc",
            "properties",
            "inputDatasets",
            "outputDatasets",
            "submittedBy",
        }
        assert details["properties"] == {"ContentSnapshotId": "s" * 64}

    @pytest.mark.parametrize("local", [True, False])
    def test_the_log_of_a_build_is_shown_first(
        self, workspace: Workspace, experiment: Experiment, tmp_path: Path, local: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ref, folder = script_run(workspace), JobFolder(tmp_path / runs.new_run_id("job"))
        where = {"host": socket.gethostname(), "job_folder": str(folder.path)} if local else {}
        status.set_status(workspace.tracking, ref, RunStatus.PREPARING, **where)

        def job() -> None:
            collector = Collector(workspace.tracking, ref, folder.path, SPEC)
            folder.write("azureml-logs/20_image_build_log.txt", "installing é\n")
            collector.start()
            time.sleep(2.5)
            folder.write("azureml-logs/20_image_build_log.txt", "installing é\ninstalled")
            folder.write("user_logs/std_log.txt", "line\n")
            assert not collector.finish(20, Outcome(RunStatus.COMPLETED))
            folder.write("closed.json", "{}")

        thread = threading.Thread(target=job)
        thread.start()
        run = ScriptRun(experiment, ref.run_id, _ref=ref, _folder=folder.path if local else None, _definition={})
        details = run.wait_for_completion(show_output=True)
        thread.join()
        build, script = "azureml-logs/20_image_build_log.txt", "user_logs/std_log.txt"
        assert (
            f"Streaming {build}\n{'=' * (10 + len(build))}\n\ninstalling é\ninstalled\n\n"
            f"Streaming {script}\n{'=' * (10 + len(script))}\n\nline\n\nExecution Summary"
        ) in capsys.readouterr().out
        assert list(details["logFiles"]) == [build, script]

    def test_a_local_run_costs_one_question(self, play: Any, experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
        ref, folder, thread = play(Outcome(RunStatus.COMPLETED))
        thread.join()
        run = ScriptRun(experiment, ref.run_id, _ref=ref, _folder=folder.path, _definition={}, _flow_run_id="flow-1")
        asked: list[str] = []
        rest = experiment.workspace.tracking.rest
        opened = rest.open

        def open_noted(method: str, path: str, *more: Any, **options: Any) -> Any:
            asked.append(path)
            return opened(method, path, *more, **options)

        monkeypatch.setattr(rest, "open", open_noted)
        run.wait_for_completion(show_output=True)
        assert len(asked) == 1 and "runs/get" in asked[0]

    @pytest.mark.parametrize("local", [True, False])
    def test_a_failure_says_all_there_is_to_know(
        self, play: Any, workspace: Workspace, local: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        error = {
            "code": "UserError",
            "message": "User program failed with ValueError: x",
            "exit_code": 3,
            "traceback": "Traceback:\n  here",
        }
        ref, folder, thread = play(Outcome(RunStatus.FAILED, error), local)
        thread.join()
        run = Run.get(workspace, ref.run_id)
        with pytest.raises(ActivityFailedException) as caught:
            run.wait_for_completion()
        message = caught.value.message
        for part in ("User program failed with ValueError: x", '"exit_code": 3', "Traceback:\n  here", run.get_portal_url()):
            assert part in message
        if local:
            assert str(folder.path / "user_logs/std_log.txt") in message and "line 4 é" in message
        details = run.wait_for_completion(show_output=True, raise_on_error=False)
        assert details["error"]["error"]["message"] == "User program failed with ValueError: x"
        assert "Error:\n" in capsys.readouterr().out

    def test_a_canceled_run_comes_back(self, play: Any, workspace: Workspace) -> None:
        ref, _, thread = play(Outcome(RunStatus.CANCELED))
        thread.join()
        assert Run.get(workspace, ref.run_id).wait_for_completion()["status"] == "Canceled"

    def test_a_folder_that_nobody_closes_ends_with_mlflow(self, workspace: Workspace, experiment: Experiment, tmp_path: Path) -> None:
        ref, folder = script_run(workspace), JobFolder(tmp_path)
        folder.write("user_logs/std_log.txt", "last words")
        closer = threading.Timer(0.5, closing.close, (workspace.tracking, ref, Outcome(RunStatus.FAILED, {"code": "x", "message": "lost"})))
        closer.start()
        run = ScriptRun(experiment, ref.run_id, _ref=ref, _folder=folder.path)
        with pytest.raises(ActivityFailedException, match="lost"):
            run.wait_for_completion()

    def test_a_status_that_lasts_is_shown(self, workspace: Workspace, experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
        ref = script_run(workspace)
        status.set_status(workspace.tracking, ref, RunStatus.PREPARING)
        threading.Timer(1.0, closing.close, (workspace.tracking, ref, Outcome(RunStatus.CANCELED))).start()
        ScriptRun(experiment, ref.run_id, _ref=ref).wait_for_completion(show_output=True)
        assert capsys.readouterr().out.count("Preparing ...\n") == 1

    def test_ctrl_c_leaves_the_run_alone(self, workspace: Workspace, experiment: Experiment) -> None:
        ref = script_run(workspace)
        run = ScriptRun(experiment, ref.run_id, _ref=ref)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(ExperimentExecutionException, match=r"the run continues. Stop it with run.cancel\(\)"):
            run.wait_for_completion()
        assert run.get_status() == "NotStarted"

    def test_a_server_that_stays_away_is_told(self, experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mlflows.history.streaming.PATIENCE", 0.5)
        ref = script_run(experiment.workspace)
        address = f"http://127.0.0.1:{free_port()}"
        run = ScriptRun(Experiment(Workspace(Tracking(address)), experiment.name), ref.run_id, _ref=ref)
        with pytest.raises(TrackingUnreachable, match=f"No answer from the MLflow server at {address}.*mlflows up"):
            run.wait_for_completion()


class TestShowing:
    def test_as_text_and_html(self, workspace: Workspace) -> None:
        ref = script_run(workspace, SPEC.replace(experiment="show <b>"))
        run = Run.get(workspace, ref.run_id)
        assert str(run) == repr(run) == f"Run(Experiment: show <b>,\nId: {ref.run_id},\nType: azureml.scriptrun,\nStatus: NotStarted)"
        html = run._repr_html_()
        assert "show &lt;b&gt;" in html and run.get_portal_url() in html
        assert run.get_snapshot_id() == "s" * 64

    def test_run_details_print_a_summary(self, experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
        run = interactive(experiment)
        run.log_list("loss", [3, 2, 1])
        run.fail("broke")
        RunDetails(run).show()
        out = capsys.readouterr().out
        assert f"Run {run.id}: Failed" in out and "loss: 1 (last of 3)" in out and "Error: broke" in out
        assert "broke" in RunDetails(run)._html()
        with pytest.raises(TypeError, match="needs a run, not a str"):
            RunDetails("run")

    def test_the_workspace_is_asked_for_what_it_has(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        keyvault = type(
            "Keyvault", (), {"get_secret": lambda self, name: name * 2, "get_secrets": lambda self, names: dict.fromkeys(names)}
        )()
        for name, answer in (
            ("get_default_keyvault", lambda self: keyvault),
            ("_environment", lambda self, definition: ("environment", definition)),
            ("_restore_snapshot", lambda self, snapshot, path: f"{path}/{snapshot[:2]}"),
            ("_take_snapshot", lambda self, path: "taken"),
        ):
            monkeypatch.setattr(Workspace, name, answer, raising=False)
        ref = script_run(workspace)
        run = Run(Experiment(workspace, SPEC.experiment), ref.run_id, _ref=ref, _definition={"environment": {"name": "e"}})
        assert run.get_secret("a") == "aa" and run.get_secrets(["b"]) == {"b": None}
        assert run.get_environment() == ("environment", {"name": "e"})
        assert run.restore_snapshot(path="/p") == "/p/ss"
        assert run.take_snapshot("code") == "taken" and run.get_snapshot_id() == "taken"

    def test_a_child_is_submitted_by_the_experiment(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Experiment, "submit", lambda self, config, **options: (config, options), raising=False)
        ref = script_run(workspace)
        run = Run(Experiment(workspace, SPEC.experiment), ref.run_id, _ref=ref)
        assert run.submit_child("config", {"a": "b"}) == ("config", {"tags": {"a": "b"}, "_parent_run_id": ref.run_id})


def test_the_definition_is_stored_with_the_run(workspace: Workspace, experiment: Experiment, tmp_path: Path) -> None:
    ref = script_run(workspace)
    definition = json.loads(json.dumps({"script": "train.py", "environment": {"name": "e"}}))
    Collector(workspace.tracking, ref, JobFolder(tmp_path).path, SPEC, {}, definition).finish(10, Outcome(RunStatus.COMPLETED))
    run = Run(experiment, ref.run_id)
    assert run.get_details()["runDefinition"] == definition
    assert run.get_file_names() == []


def test_artifacts_elsewhere_go_through_the_mlflow_library(workspace: Workspace, tmp_path: Path) -> None:
    """A server that does not proxy artifacts hands out another address; here a folder."""
    name = f"folder {tmp_path.name} {os.getpid()}"
    workspace.tracking.post("experiments/create", {"name": name, "artifact_location": (tmp_path / "store").as_uri()})
    run = interactive(Experiment(workspace, name))
    (tmp_path / "a.txt").write_text("a")
    run.upload_file("deep/b.txt", str(tmp_path / "a.txt"))
    run.log_table("table", {"x": [1, 2]})
    assert (tmp_path / "store" / run._ref.mlflow_run_id / "artifacts" / "deep" / "b.txt").read_text() == "a"
    assert run.get_file_names() == ["deep/b.txt", "table.json"]
    run.download_file("deep/b.txt", str(tmp_path / "fetched.txt"))
    assert (tmp_path / "fetched.txt").read_text() == "a"
    assert run.get_metrics() == {"table": {"x": [1, 2]}}
    assert run._artifacts().read_from("deep/b.txt", 1) == b""
    with pytest.raises(UserErrorException, match="'nope' was not found"):
        run.download_file("nope")
