"""The collector against a history in memory: nothing lost, nothing doubled, whoever dies when."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflows.history import collector as module
from mlflows.history.closing import Outcome
from mlflows.history.collector import Collector
from mlflows.history.status import RunStatus
from mlflows.job import layout
from mlflows.spec import JobSpec
from tests.support.history import REF, JobFolder, MemoryTracking
from tests.support.spooling import ACTIONS, play

SPEC = JobSpec("/code", script="train.py", arguments=["--lr", "0.1", "--api-key", "hidden"])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_SECONDS", "DELIVERY_SECONDS", "LONGEST_BACKOFF", "SHAPES_SECONDS"):
        monkeypatch.setattr(module, name, 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path)


def collector(tracking: MemoryTracking, folder: JobFolder, spec: JobSpec = SPEC) -> Collector:
    return Collector(tracking, REF, folder.path, spec)


def shapes(tracking: MemoryTracking) -> dict[str, Any]:
    return {name: entry["values"] for name, entry in json.loads(tracking.tags.get("mlflows.metrics", "{}")).items()}


def test_a_small_run_ends_with_one_batch(folder: JobFolder) -> None:
    tracking = MemoryTracking()
    folder.metric("acc", 1)
    left = collector(tracking, folder).finish(5, Outcome(RunStatus.COMPLETED))
    assert not left and left.closed
    assert tracking.requests == 1
    assert tracking.series("acc") == [(0, 1.0)]
    assert tracking.params == {"lr": "0.1"}
    assert tracking.tags["mlflows.status"] == "Completed"
    assert shapes(tracking) == {"acc": [1]}


def test_a_second_collector_sends_nothing_again_but_knows_all(folder: JobFolder) -> None:
    first, second = MemoryTracking(), MemoryTracking()
    for value in (1, 2, 3):
        folder.metric("x", value)
    before = collector(first, folder)
    before._begin()
    before._step()
    folder.metric("x", 4)
    assert not collector(second, folder).finish(5)
    assert [step for step, _ in first.series("x")] == [0, 1, 2]
    assert second.series("x") == [(3, 4.0)]
    assert shapes(second) == {"x": [1, 2, 3, 4]}


def test_batches_hold_a_thousand_points(folder: JobFolder) -> None:
    tracking = MemoryTracking()
    folder.event("list", name="x", value=list(range(300)))
    for value in range(2500):
        folder.metric("y", value)
    assert not collector(tracking, folder).finish(5)
    assert len(tracking.points) == 2800
    assert tracking.requests <= 4


def test_what_does_not_arrive_in_time_is_told_and_stays(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_BACKOFF", 0.02)
    tracking = MemoryTracking()
    tracking.failing = set(range(0, 10_000, 2)) | set(range(1, 10_000, 2))
    folder.metric("x", 1)
    tracking._request = lambda body: (_ for _ in ()).throw(module.TrackingUnreachable("away"))  # type: ignore[method-assign]
    left = collector(tracking, folder).finish(0.1, Outcome(RunStatus.COMPLETED))
    assert left and left.points == 1 and not left.closed
    assert "1 points" in str(left)
    again = MemoryTracking()
    assert not collector(again, folder).finish(5)
    assert again.series("x") == [(0, 1.0)]


def test_an_unreadable_state_file_only_costs_time(folder: JobFolder) -> None:
    tracking = MemoryTracking()
    folder.write(layout.COLLECTOR_FILE, "{half")
    folder.metric("x", 1)
    assert not collector(tracking, folder).finish(5)
    assert tracking.series("x") == [(0, 1.0)]


def test_links_that_leave_the_folder_are_not_followed(folder: JobFolder, tmp_path: Path) -> None:
    folder.write("code/outputs/model.pkl", "m")
    os.symlink("/etc/passwd", folder.path / "code/outputs/stolen")
    os.symlink("/etc", folder.path / "code/outputs/etc")
    os.symlink(folder.path / "code/outputs/model.pkl", folder.path / "code/outputs/same")
    os.mkfifo(folder.path / "code/outputs/pipe")
    left = collector(MemoryTracking(), folder).finish(5)
    assert left.skipped == ("outputs/stolen",)
    state = json.loads((folder.path / layout.COLLECTOR_FILE).read_text())
    assert sorted(state["files"]) == ["outputs/model.pkl", "outputs/same"]


def test_outputs_may_be_left_out(folder: JobFolder) -> None:
    folder.write("code/outputs/model.pkl", "m")
    folder.write("code/logs/a.txt", "a")
    folder.write("code/mine/b.txt", "b")
    spec = SPEC.replace(output_collection=False, directories_to_watch=["mine", "../..", "/etc"])
    collector(MemoryTracking(), folder, spec).finish(5)
    assert sorted(json.loads((folder.path / layout.COLLECTOR_FILE).read_text())["files"]) == ["mine/b.txt"]


def test_the_scripts_own_failure_is_told(folder: JobFolder) -> None:
    folder.event("fail", message="bad data", code="DataError")
    left = collector(MemoryTracking(), folder).finish(5)
    assert not left
    assert left.failure == {"code": "DataError", "message": "bad data"}


@settings(max_examples=150, deadline=None)
@given(actions=ACTIONS, failing=st.sets(st.integers(1, 60)))
def test_whatever_happens_every_point_arrives_once(tmp_path_factory: pytest.TempPathFactory, actions: list[Any], failing: set[int]) -> None:
    """Also where requests get no answer, before or after they were carried out."""
    folder, tracking = JobFolder(tmp_path_factory.mktemp("job")), MemoryTracking()
    tracking.failing = failing
    points, series = play(actions, folder, lambda: collector(tracking, folder))
    assert not collector(tracking, folder).finish(10)
    assert tracking.points == points
    assert shapes(tracking) == series
