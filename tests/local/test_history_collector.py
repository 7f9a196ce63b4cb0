"""The collector against a real MLflow server."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from mlflows.exceptions import UserErrorException
from mlflows.history import closing, describe, metrics, runs, status
from mlflows.history.artifacts import Artifacts
from mlflows.history.closing import Outcome
from mlflows.history.collector import Collector
from mlflows.history.runs import RunRef
from mlflows.history.status import RunStatus
from mlflows.history.tracking import MlflowRun, Tracking
from mlflows.spec import JobSpec
from tests.conftest import MlflowServer
from tests.support.history import JobFolder
from tests.support.spooling import ACTIONS, play

SPEC = JobSpec(
    "/code", script="train.py", experiment="collector tests", arguments=["--lr", "0.1"], tags={"team": "a"}, properties={"p": "1"}
)


@pytest.fixture
def tracking(mlflow_server: MlflowServer) -> Tracking:
    return Tracking(mlflow_server.url)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path)


class Job:
    """A run, its folder and its collector."""

    def __init__(self, tracking: Tracking, folder: JobFolder, **options: Any) -> None:
        self.tracking, self.folder = tracking, folder
        self.ref = runs.create_script_run(tracking, SPEC, runs.new_run_id(SPEC.experiment))
        status.set_status(tracking, self.ref, RunStatus.RUNNING)
        self.collector = Collector(tracking, self.ref, folder.path, SPEC, **options)

    def run(self) -> MlflowRun:
        return self.tracking.get_run(self.ref.mlflow_run_id)

    def artifacts(self) -> Artifacts:
        return Artifacts(self.tracking, self.ref.mlflow_run_id, self.ref.artifact_uri)

    def ask(self, op: str, **args: Any) -> Any:
        answer = self.folder.ask(op, self.ref.run_id, **args)
        assert answer["ok"], answer
        return answer["value"]


@pytest.fixture
def job(tracking: Tracking, folder: JobFolder) -> Iterator[Job]:
    made = Job(tracking, folder)
    yield made
    if made.collector._thread is not None:
        made.collector.finish(5)


def until(condition: Any, seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("condition not met in time")


def test_everything_a_script_logs_is_in_mlflow(job: Job) -> None:
    folder = job.folder
    for value in (1, 2.5, math.nan):
        folder.metric("loss", value)
    folder.metric("who", "me")
    folder.event("row", name="rows", columns={"i": 1, "s": "a"})
    folder.event("row", name="rows", columns={"i": 2, "s": "b"})
    folder.write("uploads/p.png", b"\x89PNG")
    folder.event("image", name="pic", file="uploads/p.png")
    folder.event("json", name="cm", kind="confusion_matrix", value={"data": 1})
    folder.write("uploads/deep/x.bin", b"x")
    folder.event("upload", name="deep/x y.bin", file="uploads/deep/x.bin")
    folder.event("tag", key="k%y", value="v")
    folder.event("tag", key="team", value=None)
    folder.event("property", properties={"p": "2", "q": "3"})
    folder.event("display_name", value="My run")
    folder.event("description", value="What it is")
    folder.write("user_logs/std_log.txt", "hello\n")
    folder.write("system_logs/supervisor.log", "started\n")
    folder.write("system_logs/supervisor.json", "{}")
    folder.write("code/outputs/model/a.pkl", b"m" * 3_000_000)
    folder.write("code/outputs/empty", b"")
    folder.write("code/logs/tb.log", "tb")
    assert not job.collector.finish(30, Outcome(RunStatus.FAILED, {"code": "UserError", "message": "m"}))
    run = job.run()
    assert (run.status, run.tags["mlflows.status"], run.end_ms is not None) == ("FAILED", "Failed", True)
    assert run.params == {"lr": "0.1"}
    assert run.tags["mlflow.runName"] == "My run" and run.tags["mlflow.note.content"] == "What it is"
    assert {key: value for key, value in run.tags.items() if not key.startswith("mlflow")} == {"team": "", "k_y": "v"}
    assert describe.properties_of(run) == {"p": "1", "q": "3"}
    assert json.loads(run.tags["mlflow.loggedArtifacts"]) == [{"path": "rows.json", "type": "table"}]
    found = metrics.metrics_of(job.tracking, run)
    assert math.isnan(found["loss"].pop())
    assert found == {
        "loss": [1, 2.5],
        "who": "me",
        "rows": {"i": [1, 2], "s": ["a", "b"]},
        "pic": f"{job.ref.artifact_uri}/images/p.png",
        "cm": {"data": 1},
    }
    assert describe.file_names(job.artifacts()) == [
        "confusion_matrix/cm.json",
        "deep/x y.bin",
        "images/p.png",
        "logs/tb.log",
        "outputs/empty",
        "outputs/model/a.pkl",
        "rows.json",
        "system_logs/supervisor.log",
        "user_logs/std_log.txt",
    ]
    assert len(job.artifacts().read("outputs/model/a.pkl")) == 3_000_000
    assert json.loads(job.artifacts().read("rows.json")) == {"columns": ["i", "s"], "data": [[1, "a"], [2, "b"]]}
    for url in describe.log_files(job.artifacts()).values():
        assert urllib.request.urlopen(url).status == 200


def test_points_and_logs_arrive_while_the_script_runs(job: Job) -> None:
    job.collector.start()
    job.folder.metric("loss", 1)
    until(lambda: job.run().metrics.get("loss") == 1.0, seconds=3)
    job.folder.write("user_logs/std_log.txt", "first\n")
    until(lambda: job.artifacts().read_from("user_logs/std_log.txt", 0) == b"first\n", seconds=10)
    job.folder.write("user_logs/std_log.txt", "first\nsecond\n")
    until(lambda: job.artifacts().read_from("user_logs/std_log.txt", 6) == b"second\n", seconds=10)


def test_the_mailbox_is_answered(job: Job) -> None:
    folder, run_id = job.folder, job.ref.run_id
    job.collector.start()
    folder.metric("acc", 3)
    assert job.ask("get_metrics") == {"acc": 3}
    assert job.ask("get_metrics", name="other") == {}
    folder.event("child", run="kid", parent=run_id, name="Kid")
    folder.metric("m", 1, run="kid")
    folder.event("child", run="grandkid", parent="kid", name=None)
    assert job.ask("get_children") == ["kid"]
    assert sorted(job.ask("get_children", recursive=True)) == ["grandkid", "kid"]
    assert job.ask("get_metrics", recursive=True) == {run_id: {"acc": 3}, "kid": {"m": 1}, "grandkid": {}}
    assert job.ask("get_parent") is None
    assert folder.ask("get_parent", "grandkid")["value"] == "kid"
    assert folder.ask("get_number", "grandkid")["value"] >= job.ask("get_number") >= 1
    assert job.ask("get_tags") == {"team": "a"}
    assert job.ask("get_properties") == {"p": "1"}
    assert job.ask("workspace")["name"] == "local"
    details = job.ask("get_details")
    assert details["runId"] == run_id and details["status"] == "Running"
    folder.write("code/outputs/model.pkl", "m")
    model = job.ask("register_model", model_name=f"model-{run_id}", model_path="./outputs/model.pkl", tags={"a": 1})
    assert (model["version"], model["tags"], model["id"]) == (1, {"a": "1"}, f"model-{run_id}:1")
    assert model["url"] == f"models:/model-{run_id}/1"
    assert job.ask("get_file_names") == ["outputs/model.pkl"]
    target = folder.path / "fetched"
    job.ask("download_file", name="outputs/model.pkl", path=str(target))
    assert target.read_text() == "m"
    job.ask("flush")


@pytest.mark.parametrize(
    ("op", "args", "kind", "text"),
    [
        ("no_such_op", {}, "UserErrorException", "not available inside a job"),
        ("broken", {}, "AzureMLException", "KeyError"),
        ("refused", {}, "UserErrorException", "no such dataset"),
        ("download_file", {"name": "nope", "path": "/tmp/x"}, "UserErrorException", "has no file 'nope'"),
        ("register_model", {"model_name": "a b"}, "WebserviceException", "not valid"),
        ("register_model", {"model_name": "ab", "model_path": "outputs/x"}, "ModelPathNotFoundException", "outputs/x"),
        ("register_model", {"model_name": "ab", "model_path": "outputs/../../run.json"}, "ModelPathNotFoundException", "outputs"),
    ],
)
def test_a_bad_question_is_told_why(tracking: Tracking, folder: JobFolder, op: str, args: dict[str, Any], kind: str, text: str) -> None:
    def refuse(arguments: dict[str, Any]) -> None:
        raise UserErrorException("no such dataset")

    job = Job(tracking, folder, answers={"broken": lambda arguments: arguments["missing"], "refused": refuse})
    job.collector.start()
    answer = folder.ask(op, job.ref.run_id, **args)
    job.collector.finish(5)
    assert not answer["ok"]
    assert answer["error"]["type"] == kind and text in answer["error"]["message"]


def test_a_given_answer_wins_and_an_unknown_run_is_told(tracking: Tracking, folder: JobFolder) -> None:
    job = Job(tracking, folder, answers={"workspace": lambda arguments: {"name": "mine", **arguments}})
    job.collector.start()
    assert job.ask("workspace", x=1) == {"name": "mine", "x": 1}
    assert "no run 'nobody'" in folder.ask("get_tags", "nobody")["error"]["message"]
    job.collector.finish(5)


def test_child_runs_end_with_the_script(job: Job) -> None:
    folder = job.folder
    folder.event("child", run="done", parent=job.ref.run_id, name="done")
    folder.event("complete", run="done")
    folder.event("child", run="bad", parent=job.ref.run_id, name="bad")
    folder.event("fail", run="bad", message="oh", code=None)
    folder.event("child", run="open", parent=job.ref.run_id, name="open")
    job.collector.finish(20, Outcome(RunStatus.CANCELED))
    children = {child.tags["mlflows.run_id"]: child for child in runs.children(job.tracking, job.run())}
    assert {name: child.status for name, child in children.items()} == {"done": "FINISHED", "bad": "FAILED", "open": "KILLED"}
    assert describe.error_of(children["bad"]) == {"code": "UserError", "message": "oh"}


def test_a_frozen_server_delays_but_loses_nothing(job: Job, mlflow_server: MlflowServer) -> None:
    job.collector.start()
    mlflow_server.send(signal.SIGSTOP)
    try:
        for value in range(1500):
            job.folder.metric("loss", value)
        time.sleep(2)
    finally:
        mlflow_server.send(signal.SIGCONT)
    for value in range(1500, 1600):
        job.folder.metric("loss", value)
    assert not job.collector.finish(30, Outcome(RunStatus.COMPLETED))
    assert [point.value for point in job.tracking.metric_history(job.ref.mlflow_run_id, "loss")] == list(range(1600))


def test_a_server_that_comes_and_goes_while_the_last_batches_are_sent(job: Job, mlflow_server: MlflowServer) -> None:
    for value in range(6500):
        job.folder.metric("loss", value)
    switches = [threading.Timer(0.15 * (n + 1), mlflow_server.send, [(signal.SIGSTOP, signal.SIGCONT)[n % 2]]) for n in range(12)]
    for switch in switches:
        switch.start()
    try:
        assert not job.collector.finish(60, Outcome(RunStatus.COMPLETED))
    finally:
        for switch in switches:
            switch.join()
    assert [point.value for point in job.tracking.metric_history(job.ref.mlflow_run_id, "loss")] == list(range(6500))


def test_finish_keeps_to_its_budget(job: Job, mlflow_server: MlflowServer) -> None:
    job.folder.metric("loss", 1)
    job.collector.start()
    until(lambda: job.run().metrics)
    mlflow_server.send(signal.SIGSTOP)
    try:
        job.folder.metric("loss", 2)
        began = time.monotonic()
        left = job.collector.finish(0.5, Outcome(RunStatus.COMPLETED))
        assert time.monotonic() - began < 2.5
        assert left and not left.closed
    finally:
        mlflow_server.send(signal.SIGCONT)
    again = Collector(job.tracking, job.ref, job.folder.path, SPEC)
    assert not again.finish(20, Outcome(RunStatus.COMPLETED))
    assert [point.value for point in job.tracking.metric_history(job.ref.mlflow_run_id, "loss")] == [1, 2]


def test_replaying_everything_changes_nothing(job: Job) -> None:
    for value in range(50):
        job.folder.metric("loss", value, rank=value % 2)
    job.folder.event("list", name="l", value=[1, 1, 1])
    for _ in range(3):
        assert not Collector(job.tracking, job.ref, job.folder.path, SPEC).finish(10)
        (job.folder.path / "collector.json").unlink()
    history = job.tracking.metric_history(job.ref.mlflow_run_id, "loss")
    assert sorted(point.value for point in history) == list(range(50))
    assert len(job.tracking.metric_history(job.ref.mlflow_run_id, "l")) == 3


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS)
def test_whatever_happens_every_point_is_in_mlflow_once(
    mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory, actions: list[Any]
) -> None:
    job = Job(Tracking(mlflow_server.url), JobFolder(tmp_path_factory.mktemp("job")))
    points, series = play(actions, job.folder, lambda: Collector(job.tracking, job.ref, job.folder.path, SPEC))
    assert not Collector(job.tracking, job.ref, job.folder.path, SPEC).finish(20)
    keys = sorted({point.key for point in points})
    assert {point for key in keys for point in job.tracking.metric_history(job.ref.mlflow_run_id, key)} == points
    found = metrics.metrics_of(job.tracking, job.run())
    assert found == {name: values[0] if len(values) == 1 else values for name, values in series.items()}


def test_one_bad_entry_does_not_hold_up_the_others(job: Job) -> None:
    job.tracking.log_batch(job.ref.mlflow_run_id, params={"lr": "0.10"})
    for value in range(5):
        job.folder.metric("loss", value)
    left = job.collector.finish(20, Outcome(RunStatus.COMPLETED))
    assert left.closed and len(left.refused) == 1 and "param lr" in str(left)
    assert len(job.tracking.metric_history(job.ref.mlflow_run_id, "loss")) == 5
    assert job.run().params == {"lr": "0.10"}


def test_a_run_that_was_deleted_is_told(job: Job) -> None:
    job.tracking.post("runs/delete", {"run_id": job.ref.mlflow_run_id})
    job.folder.metric("loss", 1)
    left = job.collector.finish(10, Outcome(RunStatus.COMPLETED))
    assert left and not left.closed
    assert "active" in str(left)


def test_a_hundred_runs_at_once(tracking: Tracking, tmp_path: Path) -> None:
    """More requests at once than MLflow's store has connections would lock it up."""
    jobs = []
    for number in range(40):
        job = Job(tracking, JobFolder(tmp_path / str(number)))
        job.folder.metric("x", number)
        jobs.append(job)
    for job in jobs:
        job.collector.start()
    for job in jobs:
        job.collector._outcome, job.collector._deadline = Outcome(RunStatus.COMPLETED), time.monotonic() + 30
        job.collector._wake.set()
    assert not any(job.collector.finish(30, Outcome(RunStatus.COMPLETED)) for job in jobs)
    assert {job.run().status for job in jobs} == {"FINISHED"}


def ref_named(tracking: Tracking, **changes: Any) -> RunRef:
    return runs.create(tracking, SPEC.experiment, runs.new_run_id("r"), **changes)


def test_opening_twice_finds_the_same_run(tracking: Tracking) -> None:
    run_id = runs.new_run_id("open")
    spec = SPEC.replace(experiment="Näme with spaces/x'y", display_name="shown")
    ref = runs.open_run(tracking, spec, run_id, f"flow-{run_id}")
    assert runs.open_run(tracking, spec, run_id) == ref
    assert runs.open_run(tracking, spec, "other", f"flow-{run_id}") == ref
    found = runs.find_run(tracking, run_id)
    assert found is not None and runs.ref_of(found) == ref
    assert found.tags["mlflow.runName"] == "shown"
    assert runs.find_by_flow_run(tracking, f"flow-{run_id}") is not None
    assert runs.find_run(tracking, "nobody") is None
    assert runs.find_run(tracking, "0" * 32) is None


def test_a_child_submitted_elsewhere_hangs_below_its_parent(tracking: Tracking) -> None:
    parent = ref_named(tracking)
    child = runs.create_script_run(tracking, SPEC.replace(parent_run_id=parent.run_id), runs.new_run_id("c"))
    assert tracking.get_run(child.mlflow_run_id).tags["mlflow.parentRunId"] == parent.mlflow_run_id


def test_closing_is_stronger_than_the_scripts_own_mlflow_and_happens_once(mlflow_server: MlflowServer) -> None:
    ours, others = Tracking(mlflow_server.url), Tracking(mlflow_server.url)
    ref = ref_named(ours)
    others.update_run(ref.mlflow_run_id, "FINISHED", 1)
    failed = Outcome(RunStatus.FAILED, {"code": "UserError", "message": "exit 3"}, 1_700_000_000_000)
    assert closing.close(ours, ref, failed)
    assert not closing.close(others, ref, Outcome(RunStatus.COMPLETED))
    assert not closing.close(ours, ref, Outcome(RunStatus.CANCELED))
    run = others.get_run(ref.mlflow_run_id)
    assert (run.status, run.tags["mlflows.status"], run.end_ms) == ("FAILED", "Failed", 1_700_000_000_000)
    others.update_run(ref.mlflow_run_id, "RUNNING")  # whoever closed it died between its two requests
    assert not closing.close(others, ref, Outcome(RunStatus.COMPLETED))
    assert others.get_run(ref.mlflow_run_id).status == "FAILED"


def test_a_status_never_goes_back_but_for_a_new_attempt(mlflow_server: MlflowServer) -> None:
    ours, others = Tracking(mlflow_server.url), Tracking(mlflow_server.url)
    ref = ref_named(ours)
    assert status.set_status(ours, ref, RunStatus.QUEUED, host="h", attempt=0)
    assert ours.get_run(ref.mlflow_run_id).status == "SCHEDULED"
    assert status.set_status(others, ref, RunStatus.RUNNING)
    assert ours.get_run(ref.mlflow_run_id).status == "RUNNING"
    closing.close(ours, ref, Outcome(RunStatus.FAILED, {"code": "x", "message": "y"}))
    for tracking in (ours, Tracking(mlflow_server.url)):
        assert not status.set_status(tracking, ref, RunStatus.RUNNING)
        assert not status.set_status(tracking, ref, RunStatus.RUNNING, attempt=0)
    assert status.set_status(ours, ref, RunStatus.RUNNING, attempt=1)
    run = ours.get_run(ref.mlflow_run_id)
    assert (run.status, run.tags["mlflows.error"], run.tags["mlflows.attempt"]) == ("RUNNING", "", "1")
    assert closing.close(ours, ref, Outcome(RunStatus.COMPLETED))
    with pytest.raises(ValueError, match="'Completed' is not one of"):
        status.set_status(ours, ref, RunStatus.COMPLETED)
    with pytest.raises(ValueError, match="'Running' is not one of"):
        closing.close(ours, ref, Outcome(RunStatus.RUNNING))


def test_a_deleted_experiment_is_told_with_its_remedy(tracking: Tracking) -> None:
    number = tracking.experiment_id("to be deleted")
    tracking.post("experiments/delete", {"experiment_id": number})
    with pytest.raises(UserErrorException, match=f"mlflow experiments restore -x {number}"):
        Tracking(tracking.uri).experiment_id("to be deleted")


def test_pages_are_read_to_the_end(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflows.history.tracking.PAGE", 2)
    monkeypatch.setattr("mlflows.history.tracking.HISTORY_PAGE", 2)
    made = [runs.create(tracking, "pages", f"page-{number}") for number in range(5)]
    found = list(tracking.search_runs([made[0].experiment_id]))
    assert [run.tags["mlflows.run_id"] for run in found] == [f"page-{number}" for number in (4, 3, 2, 1, 0)]
    assert len(list(tracking.search_runs([made[0].experiment_id], most=3))) == 3
    ref = made[0]
    from mlflows.history.tracking import Metric

    tracking.log_batch(ref.mlflow_run_id, [Metric("x", float(step), 1, step) for step in range(5)])
    assert [point.step for point in tracking.metric_history(ref.mlflow_run_id, "x")] == [0, 1, 2, 3, 4]
