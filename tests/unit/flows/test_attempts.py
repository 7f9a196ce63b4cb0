"""Which attempt a flow drives, and what becomes of the former one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlflows.flows import attempts, ending
from mlflows.flows.attempts import Attempt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job folder in mid-run."""
    folder = tmp_path / "run_1_00000000"
    files = ("user_logs/std_log.txt", "events/rank-0.jsonl", "mailbox/1.request.json", "code/outputs/model.bin", "run.json", "flow.json")
    for name in (*files, "job.json", "status.json", "cancel.json", "collector.json", "forwarded.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def present(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "attempt.lock"}


def test_the_first_attempt_has_number_0(tmp_path: Path) -> None:
    assert attempts.begin(tmp_path / "new") == Attempt(0)


def test_a_run_that_goes_on_stays_as_it_is(folder: Path) -> None:
    before = present(folder)
    assert attempts.begin(folder) == attempts.begin(folder) == Attempt(0)
    assert present(folder) == before


def test_a_completed_run_is_not_begun_again(folder: Path) -> None:
    ending.mark_closed(folder, "Completed")
    before = present(folder)
    assert attempts.begin(folder) == Attempt(0, completed=True)
    assert present(folder) == before


@pytest.mark.parametrize("state", ["Failed", "Cancelled", "Crashed"])
def test_a_run_that_ended_otherwise_begins_anew(folder: Path, state: str) -> None:
    ending.mark_closed(folder, state)
    assert attempts.begin(folder) == Attempt(1, new=True)
    kept = {"code/outputs/model.bin", "run.json", "flow.json", "user_logs/attempt_0/std_log.txt"}
    put_away = ("closed.json", "status.json", "job.json", "cancel.json", "collector.json", "forwarded.txt", "events/rank-0.jsonl")
    assert present(folder) == {*kept, *(f"attempts/0/{name}" for name in (*put_away, "mailbox/1.request.json"))}
    assert attempts.begin(folder) == Attempt(1)


def test_each_attempt_has_its_place(folder: Path) -> None:
    for number in range(3):
        (folder / "user_logs" / "std_log.txt").write_text(f"log of {number}")
        ending.mark_closed(folder, "Failed")
        assert attempts.begin(folder).number == number + 1
    logs = {path.parent.name: path.read_text() for path in folder.glob("user_logs/*/std_log.txt")}
    assert logs == {f"attempt_{number}": f"log of {number}" for number in range(3)}


def test_a_mark_that_a_full_disk_left_empty_counts_as_an_end(folder: Path) -> None:
    (folder / "closed.json").touch()
    assert attempts.begin(folder).new


def test_a_mark_says_in_which_state(folder: Path) -> None:
    ending.mark_closed(folder, "Failed")
    assert json.loads((folder / "closed.json").read_text())["state"] == "Failed"
    assert not (folder / "closed.json.tmp").exists()
