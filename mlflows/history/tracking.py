"""MLflow's REST interface 2.0: experiments, runs, batches, tags, metric history. Standard library only."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from mlflows.exceptions import AuthenticationException, ServiceException, UserErrorException
from mlflows.history import limits
from mlflows.rest import RestClient, RestError, Unreachable, basic_auth

API = "/api/2.0/mlflow"
PAGE = 1000
HISTORY_PAGE = 25000
AT_ONCE = 4
TURN_SECONDS = 60.0
"""Longest wait of a request for its turn."""


class TrackingError(ServiceException):
    """The MLflow server refused a request. ``code`` is its own word."""

    def __init__(self, message: str, status: int | None = None, code: str = "") -> None:
        super().__init__(message, status)
        self.status = status
        self.code = code


class NotFound(TrackingError):
    """The MLflow server knows no such run, experiment, model or artifact."""


class TrackingUnreachable(TrackingError):
    """The MLflow server gives no answer, or is overloaded: the same request may succeed later."""


class Metric(NamedTuple):
    """One point. ``value`` as limits.metric_value gives it, ``timestamp`` in epoch milliseconds."""

    key: str
    value: float | str
    timestamp: int
    step: int


class MlflowRun(NamedTuple):
    """A run as the server tells it. Times in epoch milliseconds; ``metrics`` are the last values, ``steps`` their steps."""

    run_id: str
    experiment_id: str
    status: str
    start_ms: int | None
    end_ms: int | None
    artifact_uri: str
    user: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    steps: dict[str, int]


class Tracking:
    """One MLflow server. Threads may share it.

    Args:
        uri: http(s) address of the server. ``MLFLOW_TRACKING_USERNAME`` and ``_PASSWORD``, or ``MLFLOW_TRACKING_TOKEN``, are its
            credentials; ``MLFLOW_TRACKING_INSECURE_TLS=true`` accepts any certificate. As MLflow's own client reads them.
        ui_url: base of the links a person opens; the same address if none.

    Raises:
        UserErrorException: not an http(s) address.

    Every method raises TrackingUnreachable when there is no answer, NotFound, AuthenticationException, or TrackingError.
    """

    def __init__(self, uri: str, ui_url: str | None = None) -> None:
        if not uri.startswith(("http://", "https://")):
            raise UserErrorException(
                f"MLflow tracking address {uri!r} is not an http(s) address. The run history needs a server: start one with "
                f"`mlflow server --backend-store-uri {uri or 'sqlite:///mlflow.db'}` and set MLFLOW_TRACKING_URI to its address, "
                "or unset it and run `mlflows up`."
            )
        insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true")
        self.rest = RestClient(uri, _credentials(), verify=not insecure)
        self.uri = self.rest.base_url
        self.ui_url = (ui_url or self.uri).rstrip("/")
        self._experiments: dict[str, str] = {}
        self.written_status: dict[str, str] = {}
        """Status last written by this process, by MLflow run id; kept by history.status."""

    def run_url(self, experiment_id: str, mlflow_run_id: str) -> str:
        """The run's page in MLflow's UI."""
        return f"{self.ui_url}/#/experiments/{experiment_id}/runs/{mlflow_run_id}"

    def experiment_url(self, experiment_id: str) -> str:
        """The experiment's page in MLflow's UI."""
        return f"{self.ui_url}/#/experiments/{experiment_id}"

    # experiments

    def experiment_id(self, name: str) -> str:
        """Id of the experiment of exactly this name; made if there is none.

        Raises:
            UserErrorException: it was deleted.
        """
        if name not in self._experiments:
            self._experiments[name] = self.find_experiment(name) or self._create_experiment(name)
        return self._experiments[name]

    def find_experiment(self, name: str) -> str | None:
        """Id of the experiment of exactly this name, or None.

        Raises:
            UserErrorException: it was deleted.
        """
        try:
            found = self.get("experiments/get-by-name", {"experiment_name": name})["experiment"]
        except NotFound:
            return None
        if found["lifecycle_stage"] == "deleted":
            number = found["experiment_id"]
            raise UserErrorException(
                f"Experiment {name!r} was deleted in MLflow. Restore it with `mlflow experiments restore -x {number}`, "
                "or choose another name."
            )
        return str(found["experiment_id"])

    def _create_experiment(self, name: str) -> str:
        try:
            return str(self.post("experiments/create", {"name": name})["experiment_id"])
        except TrackingError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self.find_experiment(name)  # somebody was quicker
        assert found is not None
        return found

    # runs

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str], start_ms: int) -> MlflowRun:
        """A new run; MLflow makes it RUNNING."""
        body = {"experiment_id": experiment_id, "run_name": name, "start_time": start_ms, "tags": _pairs(tags, limits.tag_value)}
        return _run_of(self.post("runs/create", body)["run"])

    def get_run(self, mlflow_run_id: str) -> MlflowRun:
        """The run as it is now."""
        return _run_of(self.get("runs/get", {"run_id": mlflow_run_id})["run"])

    def update_run(self, mlflow_run_id: str, status: str | None = None, end_ms: int | None = None, name: str | None = None) -> None:
        """Set MLflow's status, end time or name."""
        changes = {"status": status, "end_time": end_ms, "run_name": name}
        self.post("runs/update", {"run_id": mlflow_run_id, **{key: value for key, value in changes.items() if value is not None}})

    def log_batch(
        self,
        mlflow_run_id: str,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, Any] = {},
        tags: Mapping[str, Any] = {},
    ) -> None:
        """Write any number of points, params and tags, in as few requests as MLflow's limits allow. Writing again changes nothing.

        Keys and texts are made to fit (history.limits).
        """
        for body in batches(metrics, params, tags):
            self.post("runs/log-batch", {"run_id": mlflow_run_id, **body})

    def set_tag(self, mlflow_run_id: str, key: str, value: Any) -> None:
        """Set one tag."""
        self.post("runs/set-tag", {"run_id": mlflow_run_id, "key": limits.key_of(key), "value": limits.tag_value(value)})

    def delete_tag(self, mlflow_run_id: str, key: str) -> None:
        """Remove one tag; one that is not there is no error."""
        try:
            self.post("runs/delete-tag", {"run_id": mlflow_run_id, "key": limits.key_of(key)})
        except NotFound:
            return

    def log_inputs(self, mlflow_run_id: str, datasets: Sequence[Mapping[str, str]], context: str) -> None:
        """Tell what data a run reads or writes. Telling it again changes nothing.

        Args:
            mlflow_run_id: the run.
            datasets: each with ``name``, ``digest`` (36 characters at most), ``source_type``, ``source``, and maybe ``profile``.
            context: what for, as MLflow shows it: ``training``.
        """
        tags = [{"key": "mlflow.data.context", "value": context}]
        inputs = [{"dataset": dict(each), "tags": tags} for each in datasets]
        self.post("runs/log-inputs", {"run_id": mlflow_run_id, "datasets": inputs})

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        where: str = "",
        order_by: Sequence[str] = ("attributes.start_time DESC",),
        most: int | None = None,
    ) -> Iterator[MlflowRun]:
        """Runs that MLflow's filter ``where`` selects, newest first; read page by page, at most ``most``."""
        token, left = "", most
        while left is None or left > 0:
            body: dict[str, Any] = {"experiment_ids": list(experiment_ids), "filter": where, "order_by": list(order_by)}
            body["max_results"] = min(PAGE, left) if left is not None else PAGE
            answer = self.post("runs/search", {**body, "page_token": token} if token else body)
            found = answer.get("runs", [])
            yield from map(_run_of, found)
            token = answer.get("next_page_token", "")
            if not token:
                return
            left = None if left is None else left - len(found)

    def metric_history(self, mlflow_run_id: str, key: str) -> list[Metric]:
        """All points of a metric, by step, then time."""
        points: list[Metric] = []
        query: dict[str, Any] = {"run_id": mlflow_run_id, "metric_key": key, "max_results": HISTORY_PAGE}
        while True:
            answer = self.get("metrics/get-history", query)
            for point in answer.get("metrics", []):
                points.append(Metric(key, float(point["value"]), int(point["timestamp"]), int(point.get("step", 0))))
            token = answer.get("next_page_token")
            if not token:
                return sorted(points, key=lambda point: (point.step, point.timestamp))
            query["page_token"] = token

    # requests

    def get(self, path: str, query: Mapping[str, Any]) -> Any:
        """GET below MLflow's API."""
        with translated(self.uri), _turn(self.uri):
            return self.rest.get(f"{API}/{path}", query)

    def post(self, path: str, body: Any, method: str = "POST") -> Any:
        """POST (or PATCH, DELETE) below MLflow's API."""
        with translated(self.uri), _turn(self.uri):
            return self.rest.request(method, f"{API}/{path}", body)


@contextmanager
def _turn(uri: str) -> Iterator[None]:
    """A few requests at a time from this process: MLflow's SQL store locks up for good when more are under way than its pool has
    connections (15 by default, and some requests hold two)."""
    with _gates_lock:
        gate = _gates.setdefault(uri, threading.BoundedSemaphore(AT_ONCE))
    if not gate.acquire(timeout=TURN_SECONDS):
        raise Unreachable(f"{AT_ONCE} requests to {uri} are waiting for an answer")
    try:
        yield
    finally:
        gate.release()


_gates: dict[str, threading.BoundedSemaphore] = {}
_gates_lock = threading.Lock()


class translated:
    """Context in which the transport's errors become this room's."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Unreachable):
            raise TrackingUnreachable(
                f"No answer from the MLflow server at {self._uri} ({error}). Start the local services with `mlflows up`, "
                "or check MLFLOW_TRACKING_URI."
            ) from error
        if isinstance(error, RestError):
            raise _refusal(error) from error


def _refusal(error: RestError) -> ServiceException | AuthenticationException:
    text = f"MLflow: {error.message or error.code} ({error})" if not error.message else f"MLflow: {error.message}"
    if error.status in (401, 403):
        return AuthenticationException(
            f"The MLflow server refused the credentials ({error}). Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "or MLFLOW_TRACKING_TOKEN; a server reached under another host name needs `--allowed-hosts`."
        )
    if error.status == 429 or error.code == "TEMPORARILY_UNAVAILABLE":
        return TrackingUnreachable(text, error.status, error.code)
    if error.status == 404:
        return NotFound(text, error.status, error.code)
    return TrackingError(text, error.status, error.code)


def batches(metrics: Sequence[Metric], params: Mapping[str, Any], tags: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Bodies of log-batch requests: within MLflow's numbers of entities and characters."""
    entries = _entries(metrics, params, tags)
    body: dict[str, list[Any]] = {}
    count = characters = 0
    for kind, entry, size in entries:
        full = count >= limits.MAX_ENTITIES or characters + size > limits.MAX_REQUEST_CHARACTERS
        if full or (kind != "metrics" and len(body.get(kind, ())) >= limits.MAX_PARAMS_OR_TAGS):
            yield body
            body, count, characters = {}, 0, 0
        body.setdefault(kind, []).append(entry)
        count, characters = count + 1, characters + size
    if body:
        yield body


def _entries(metrics: Sequence[Metric], params: Mapping[str, Any], tags: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], int]]:
    for pair in _pairs(params, limits.param_value):
        yield "params", pair, _size(pair)
    for pair in _pairs(tags, limits.tag_value):
        yield "tags", pair, _size(pair)
    for metric in metrics:
        # a key's characters are at most 6 bytes each in JSON; the numbers and names beside it fit in 150
        yield "metrics", metric._asdict(), 150 + len(metric.key) * (1 if metric.key.isascii() else 6)


def _size(pair: dict[str, str]) -> int:
    return len(json.dumps(pair)) + 2


def _pairs(values: Mapping[str, Any], text: Any) -> list[dict[str, str]]:
    unique = {limits.key_of(key): text(value) for key, value in values.items()}
    return [{"key": key, "value": value} for key, value in unique.items()]


def _run_of(record: Mapping[str, Any]) -> MlflowRun:
    info, data = record["info"], record.get("data", {})
    tags = _mapping(data.get("tags", ()))
    return MlflowRun(
        run_id=info["run_id"],
        experiment_id=str(info["experiment_id"]),
        status=info.get("status", "RUNNING"),
        start_ms=_int(info.get("start_time")),
        end_ms=_int(info.get("end_time")),
        artifact_uri=info.get("artifact_uri", ""),
        user=tags.get("mlflow.user") or info.get("user_id", ""),
        tags=tags,
        params=_mapping(data.get("params", ())),
        metrics={metric["key"]: float(metric["value"]) for metric in data.get("metrics", ())},
        steps={metric["key"]: int(metric.get("step", 0)) for metric in data.get("metrics", ())},
    )


def _mapping(pairs: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {pair["key"]: pair.get("value", "") for pair in pairs}


def _int(value: Any) -> int | None:
    return int(value) if value else None


def _credentials() -> dict[str, str]:
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        return {"Authorization": basic_auth(user, password)}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}
