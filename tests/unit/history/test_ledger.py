"""What events mean for MLflow."""

from __future__ import annotations

from typing import Any

import pytest

from mlflows.history import shapes
from mlflows.history.ledger import Ledger
from mlflows.history.shapes import Shapes
from mlflows.history.spool import Event


def taken(*bodies: dict[str, Any], rank: str = "rank-0.jsonl", ledger: Ledger | None = None) -> Ledger:
    ledger = ledger or Ledger()
    for body in bodies:
        ledger.take(Event(rank, 0, {"t": 1000, **body}))
    return ledger


def metric(name: str, value: Any, step: Any = None) -> dict[str, Any]:
    return {"e": "metric", "name": name, "value": value, "step": step}


def given_back(ledger: Ledger) -> dict[str, Any]:
    return {name: shapes.value_of(entry, "uri:") for name, entry in ledger.shapes.to_json().items()}


def test_numbers_become_points_at_the_time_of_the_call() -> None:
    ledger = taken(metric("a%", 1), metric("a%", 2.5), metric("a%", 3, 10), metric("a%", 4), metric("b", 5))
    assert [tuple(point) for point in ledger.writes.metrics] == [
        ("a_", 1.0, 1000, 0),
        ("a_", 2.5, 1000, 1),
        ("a_", 3.0, 1000, 10),
        ("a_", 4.0, 1000, 11),
        ("b", 5.0, 1000, 0),
    ]


def test_whatever_is_no_number_is_kept_in_the_shapes_only() -> None:
    ledger = taken(metric("s", "text"), metric("b", True), metric("n", None), metric("huge", 10**400))
    assert ledger.writes.metrics == []
    assert given_back(ledger) == {"s": "text", "b": True, "n": None, "huge": 10**400}


def test_shapes_come_back_as_they_were_logged() -> None:
    ledger = taken(
        metric("i", 1),
        metric("series", 1),
        metric("series", 2.5),
        {"e": "list", "name": "list", "value": [1, 2]},
        {"e": "list", "name": "empty", "value": []},
        {"e": "row", "name": "one", "columns": {"x": 1, "y": "a"}},
        {"e": "row", "name": "two", "columns": {"x": 1}},
        {"e": "row", "name": "two", "columns": {"y": 2}},
        {"e": "table", "name": "table", "value": {"a": [1, 2], "b": ["p", "q"]}},
        {"e": "image", "name": "pic", "file": "uploads/deep/p.png"},
        {"e": "json", "name": "cm", "kind": "confusion_matrix", "value": {"data": 1}},
    )
    assert given_back(ledger) == {
        "i": 1,
        "series": [1, 2.5],
        "list": [1, 2],
        "one": {"x": 1, "y": "a"},
        "two": {"x": [1, None], "y": [None, 2]},
        "table": {"a": [1, 2], "b": ["p", "q"]},
        "pic": "uri:/images/p.png",
        "cm": {"data": 1},
    }
    points = {(point.key, point.step): point.value for point in ledger.writes.metrics}
    assert points[("list", 1)] == 2.0 and points[("two/x", 0)] == 1.0 and points[("two/y", 1)] == 2.0 and points[("table/a", 1)] == 2.0
    assert [(upload.source, upload.artifact) for upload in ledger.writes.uploads] == [("uploads/deep/p.png", "images/p.png")]
    assert [document.artifact for document in ledger.writes.documents] == ["confusion_matrix/cm.json"]
    assert ledger.logged_tables() == [{"path": f"{name}.json", "type": "table"} for name in ("one", "two", "table")]
    assert shapes.table_artifact(ledger.shapes.rows("two")) == {"columns": ["x", "y"], "data": [[1, None], [None, 2]]}


def test_ranks_count_apart_and_are_given_back_in_their_order() -> None:
    ledger = taken(metric("x", 1), metric("x", 2), rank="rank-1.jsonl")
    taken(metric("x", 3), rank="rank-0.jsonl", ledger=ledger)
    assert [(point.value, point.step) for point in ledger.writes.metrics] == [(1.0, 0), (2.0, 1), (3.0, 0)]
    assert given_back(ledger) == {"x": [3, 1, 2]}


def test_long_series_are_left_to_mlflow() -> None:
    ledger = taken({"e": "list", "name": "ints", "value": list(range(shapes.MAX_VALUES + 5))}, metric("ints", 7))
    assert ledger.shapes.to_json() == {"ints": {"kind": "scalar", "long": "int"}}
    again = Shapes.from_json(ledger.shapes.to_json(), "client")
    again.scalars("client", "ints", [1])
    assert again.to_json() == ledger.shapes.to_json()


def test_a_name_used_for_something_else_counts_as_the_later() -> None:
    assert given_back(taken(metric("x", 1), {"e": "row", "name": "x", "columns": {"a": 1}})) == {"x": {"a": 1}}


def test_tags_follow_the_order_of_calls() -> None:
    ledger = taken(
        {"e": "tag", "key": "a", "value": "1"},
        {"e": "tags", "tags": {"b": "2", "c": "3"}},
        {"e": "untag", "keys": ["b", "a"]},
        {"e": "tag", "key": "a", "value": "4"},
    )
    assert ledger.writes.tags == {"a": "4", "c": "3"}
    assert ledger.writes.removed == {"b"}


def test_a_script_cannot_set_what_only_we_may() -> None:
    ledger = taken({"e": "tag", "key": "mlflows.status", "value": "Completed"}, {"e": "untag", "keys": "mlflows.run_id"})
    assert not ledger.writes


def test_a_property_is_written_once() -> None:
    ledger = taken(
        {"e": "property", "properties": {"a": "1", "known": "new"}},
        {"e": "property", "properties": {"a": "2", "b": "3"}},
        ledger=Ledger({"known": "old"}),
    )
    assert ledger.writes.tags == {"mlflows.property.a": "1", "mlflows.property.b": "3"}


def test_names_and_ends() -> None:
    ledger = taken({"e": "display_name", "value": "N"}, {"e": "description", "value": "D"}, {"e": "fail", "message": "no", "code": None})
    assert ledger.writes.tags == {"mlflow.runName": "N", "mlflow.note.content": "D"}
    assert ledger.failure == {"code": "UserError", "message": "no"}
    assert ledger.writes.end == ("Failed", ledger.failure)


@pytest.mark.parametrize(
    "body",
    [
        {"e": "unknown"},
        {"e": "metric"},
        {"e": "list", "name": "x", "value": 3},
        {"e": "row", "name": "x", "columns": None},
        {"e": "tags", "tags": 3},
        {"e": "metric", "name": "x", "value": 1, "step": "no number"},
        {"e": "table", "name": "x", "value": []},
    ],
)
def test_an_event_not_of_our_making_stops_nothing(body: dict[str, Any]) -> None:
    ledger = taken(body, metric("after", 1))
    assert [point.key for point in ledger.writes.metrics] == ["after"]


def test_the_client_goes_on_after_the_last_step() -> None:
    ledger = Ledger(steps={"acc": 4})
    taken(metric("acc", 1.0), rank="client", ledger=ledger)
    assert ledger.writes.metrics[0].step == 4
