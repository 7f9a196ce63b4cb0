"""Requests to MLflow, without one."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from mlflows.exceptions import AuthenticationException, UserErrorException
from mlflows.history import tracking as module
from mlflows.history.tracking import Metric, NotFound, Tracking, TrackingError, TrackingUnreachable, batches
from tests.conftest import free_port


def points(count: int, key: str = "x") -> list[Metric]:
    return [Metric(key, float(step), 1, step) for step in range(count)]


class TestBatches:
    def test_nothing_is_no_request(self) -> None:
        assert list(batches([], {}, {})) == []

    def test_everything_small_is_one_request(self) -> None:
        (body,) = batches(points(3), {"lr": 0.1}, {"a%": None})
        assert body == {
            "params": [{"key": "lr", "value": "0.1"}],
            "tags": [{"key": "a_", "value": ""}],
            "metrics": [{"key": "x", "value": float(step), "timestamp": 1, "step": step} for step in range(3)],
        }

    def test_numbers_are_limited(self) -> None:
        bodies = list(batches(points(1500), {f"p{n}": n for n in range(150)}, {f"t{n}": n for n in range(250)}))
        for body in bodies:
            assert len(body.get("params", ())) <= 100 and len(body.get("tags", ())) <= 100
            assert sum(map(len, body.values())) <= 1000
        assert [sum(len(body.get(kind, ())) for body in bodies) for kind in ("metrics", "params", "tags")] == [1500, 150, 250]

    def test_characters_are_limited(self) -> None:
        bodies = list(
            batches(points(1000, "ä" * 250), {f"p{n}": "x" * 6000 for n in range(100)}, {f"t{n}": "\u20ac" * 8000 for n in range(100)})
        )
        assert all(len(json.dumps({"run_id": "0" * 32, **body})) < 1_000_000 for body in bodies)
        assert sum(len(body.get("metrics", ())) for body in bodies) == 1000

    def test_keys_that_become_one_are_sent_once(self) -> None:
        (body,) = batches([], {}, {"a%": 1, "a&": 2})
        assert body == {"tags": [{"key": "a_", "value": "2"}]}


@pytest.mark.parametrize("uri", ["", "sqlite:///mlflow.db", "/some/folder", "databricks"])
def test_an_address_that_is_no_server_is_told_with_its_remedy(uri: str) -> None:
    with pytest.raises(UserErrorException, match=r"mlflow server --backend-store-uri.*mlflows up") as caught:
        Tracking(uri)
    assert repr(uri) in caught.value.message


def test_no_answer_names_the_address_and_the_remedy() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TrackingUnreachable, match=f"MLflow server at {address}.*mlflows up"):
        Tracking(address).get_run("x")


def test_links() -> None:
    tracking = Tracking("http://in-cluster:5000/", "https://mlflow.example.com/")
    assert tracking.run_url("1", "abc") == "https://mlflow.example.com/#/experiments/1/runs/abc"
    assert tracking.experiment_url("1") == "https://mlflow.example.com/#/experiments/1"


class Answering(HTTPServer):
    """Answers every request the same way and keeps its headers."""

    def __init__(self, status: int, body: Any) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.headers.append(dict(self.headers))
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: Any) -> None:
                return None

        self.headers: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "INVALID_PARAMETER_VALUE", TrackingError),
        (401, "", AuthenticationException),
        (403, "PERMISSION_DENIED", AuthenticationException),
        (404, "RESOURCE_DOES_NOT_EXIST", NotFound),
        (429, "REQUEST_LIMIT_EXCEEDED", TrackingUnreachable),
        (500, "INTERNAL_ERROR", TrackingError),
        (500, "TEMPORARILY_UNAVAILABLE", TrackingUnreachable),
        (503, "", TrackingUnreachable),
    ],
)
def test_refusals(status: int, code: str, kind: type[Exception]) -> None:
    server = Answering(status, {"error_code": code, "message": "because"})
    with pytest.raises(kind) as caught:
        Tracking(server.url).get_run("x")
    assert type(caught.value) is kind
    server.shutdown()


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"}, "Basic dTpw"),
        ({"MLFLOW_TRACKING_TOKEN": "t"}, "Bearer t"),
    ],
)
def test_credentials(variables: dict[str, str], header: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    server = Answering(404, {})
    with pytest.raises(NotFound):
        Tracking(server.url).get_run("x")
    assert server.headers[0].get("Authorization") == header
    server.shutdown()


def test_credentials_in_an_address_are_used_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN", raising=False)
    server = Answering(500, {"message": "oh"})
    tracking = Tracking(server.url.replace("http://", "http://user:hidden@"))
    with pytest.raises(TrackingError) as caught:
        tracking.get_run("x")
    assert "hidden" not in str(caught.value) + tracking.uri + tracking.run_url("1", "2")
    assert server.headers[0]["Authorization"] == "Basic dXNlcjpoaWRkZW4="
    server.shutdown()


def test_only_a_few_requests_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_SECONDS", 0.1)
    with module._turn("http://busy"), module._turn("http://busy"), module._turn("http://busy"), module._turn("http://busy"):
        with pytest.raises(module.Unreachable, match="4 requests to http://busy"), module._turn("http://busy"):
            pass
        with module._turn("http://other"):
            pass
