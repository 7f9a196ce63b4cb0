"""What the end of a run says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlflows.history.closing import MAX_ERROR, Outcome, error_text, outcome_from_status_file
from mlflows.history.status import TERMINAL, RunStatus, mlflow_status, status_of


def record(**changes: Any) -> dict[str, Any]:
    return {"state": "Failed", "reason": "exit", "exit_code": 3, "message": "m", "ended": 1700000000.5, "log_tail": [], **changes}


def test_a_failure_keeps_what_explains_it() -> None:
    found = outcome_from_status_file(record(traceback="T", log_tail=["a"], log="user_logs/std_log.txt", rank=0, signal=None))
    error = {
        "code": "UserError",
        "message": "m",
        "exit_code": 3,
        "rank": 0,
        "traceback": "T",
        "log_tail": ["a"],
        "log": "user_logs/std_log.txt",
    }
    assert found == Outcome("Failed", error, 1700000000500)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"state": "Completed", "exit_code": 0}, Outcome("Completed", None, 1700000000500)),
        ({"state": "Canceled", "reason": "cancel"}, Outcome("Canceled", None, 1700000000500)),
        ({"state": "Completed", "ended": None}, Outcome("Completed", None, None)),
    ],
)
def test_other_ends_have_no_error(changes: dict[str, Any], outcome: Outcome) -> None:
    assert outcome_from_status_file(record(**changes)) == outcome


@pytest.mark.parametrize(
    ("reason", "code"), [("deadline", "MaxRunDurationExceeded"), ("start_error", "StartError"), ("signal", "UserError")]
)
def test_codes(reason: str, code: str) -> None:
    error = outcome_from_status_file(record(reason=reason)).error
    assert error is not None and error["code"] == code


@pytest.mark.parametrize("state", [None, "Running", "", 3])
def test_a_state_that_is_no_end_is_told(state: Any) -> None:
    with pytest.raises(ValueError, match="expected one of Completed, Failed, Canceled"):
        outcome_from_status_file({"state": state})


@pytest.mark.parametrize(
    "error",
    [
        {"code": "c", "message": "m"},
        {"code": "c", "message": "m" * 20_000},
        {"code": "c", "message": "m", "traceback": "t" * 20_000 + "end", "log_tail": ["l" * 1000] * 20},
        {
            "code": "c",
            "message": "m" * 9000,
            "traceback": "\u20ac" * 9000,
            "log_tail": ["\u20ac" * 1000] * 20,
            "other": {"deep": "x" * 9000},
        },
    ],
)
def test_an_error_fits_its_tag(error: dict[str, Any]) -> None:
    text = error_text(error)
    kept = json.loads(text)
    assert len(text) <= MAX_ERROR
    assert kept["code"] == "c" and kept["message"].startswith("m")
    if "traceback" in kept and error["traceback"].endswith("end"):
        assert kept["traceback"].endswith("end")


def test_every_status_has_a_word_of_mlflow() -> None:
    assert {word: mlflow_status(word) for word in TERMINAL} == {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
    assert mlflow_status(RunStatus.QUEUED) == "SCHEDULED"
    assert mlflow_status(RunStatus.CANCEL_REQUESTED) == "RUNNING"
    assert RunStatus.RUNNING in RunStatus.get_running_statuses()
    assert not {"CancelRequested", "Finalizing", *TERMINAL} & set(RunStatus.get_running_statuses())


@pytest.mark.parametrize(
    ("tag", "mlflow", "word"),
    [
        ("Running", "FINISHED", "Running"),
        ("Completed", "RUNNING", "Finalizing"),
        ("Completed", "FINISHED", "Completed"),
        (None, "FINISHED", "Completed"),
        (None, "SCHEDULED", "NotStarted"),
    ],
)
def test_our_word_wins_and_an_end_needs_both(tag: str | None, mlflow: str, word: str) -> None:
    assert status_of({"mlflows.status": tag} if tag else {}, mlflow) == word
