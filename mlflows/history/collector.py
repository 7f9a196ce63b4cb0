"""The collector: follows a job folder and ships what appears there to MLflow.

One thread a run. Everything it does may be repeated: points keep their times and steps, files are replaced by themselves, and the
place it has reached in the events is written down only after the server took what came before.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlflows.exceptions import AuthenticationException
from mlflows.history import closing, runs, watch
from mlflows.history import tags as names
from mlflows.history.answers import HistoryAnswers
from mlflows.history.closing import Outcome
from mlflows.history.delivery import Delivery
from mlflows.history.ledger import MAIN, Document, Ledger, Writes, table_path
from mlflows.history.mailbox import Mailbox
from mlflows.history.runs import RunRef
from mlflows.history.shapes import table_artifact
from mlflows.history.shipping import LocalFile, Shipper
from mlflows.history.spool import Event, Spool
from mlflows.history.status import RunStatus
from mlflows.history.tracking import Tracking, TrackingError, TrackingUnreachable
from mlflows.job import layout
from mlflows.spec import JobSpec

BATCH = 1000
"""Points of one request."""
FIRST_SECONDS = 0.2
"""Before the first batch: a script that ends sooner costs one batch, and no request is under way when it ends."""
DELIVERY_SECONDS = 0.5
"""Between two small batches while the run goes on."""
SHAPES_SECONDS = 3.0
TABLES_SECONDS = 30.0
LOGS_SECONDS = 2.0
INLINE_SHAPES = 500
"""Characters of a shapes document that is kept in a tag, which costs no request."""
LONGEST_BACKOFF = 5.0

_logger = logging.getLogger(__name__)

Answer = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Left:
    """What did not reach the server. False if everything did.

    ``unread`` bytes of events, ``points`` and ``files`` not taken in time; ``refused`` and ``skipped`` in words: they will not be
    taken later either.
    """

    unread: int = 0
    points: int = 0
    files: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failure: dict[str, Any] | None = None
    """What the script's own ``run.fail()`` said; no loss."""
    closed: bool = False
    """The end of the run was written, too."""

    def __bool__(self) -> bool:
        return bool(self.unread or self.points or self.files or self.refused or self.skipped)

    def __str__(self) -> str:
        parts = [f"{self.points} points" if self.points else "", f"{self.unread} bytes of events" if self.unread else ""]
        parts += [f"files {', '.join(self.files[:10])}" if self.files else "", *self.refused[:10]]
        parts += [f"skipped {name}" for name in self.skipped[:10]]
        return "; ".join(part for part in parts if part) or "nothing"


@dataclass
class _Parcel:
    """Writes on their way, and where the events stand once they have arrived."""

    writes: dict[str, Writes] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)


class Collector:
    """Ships one job folder to one MLflow run.

    Args:
        tracking: the MLflow server.
        ref: the job's run.
        folder: the job folder.
        spec: what runs there.
        answers: operations of the mailbox that this room does not know: name -> function of the request's arguments, which gives the
            JSON value of the answer or raises an AzureMLException. Called in threads of their own.
        definition: the run definition, for ``get_details()``; none: whoever has it stores it.
    """

    def __init__(
        self,
        tracking: Tracking,
        ref: RunRef,
        folder: Path,
        spec: JobSpec,
        answers: Mapping[str, Answer] = {},
        definition: Mapping[str, Any] | None = None,
    ) -> None:
        self.tracking = tracking
        self.ref = ref
        self.spec = spec
        self.folder = Path(folder)
        self._definition = definition
        self._state = _read_state(self.folder / layout.COLLECTOR_FILE)
        children = {key: RunRef(**value) for key, value in self._state.get("children", {}).items()}
        self.delivery = Delivery(tracking, ref, self.folder, children)
        self._shipper = Shipper(
            self.delivery.artifacts(), self.folder, self._state.get("files", {}), spec.directories_to_watch, spec.output_collection
        )
        self._spool = Spool(self.folder / layout.EVENTS)
        self._mailbox = Mailbox(self.folder / layout.MAILBOX, HistoryAnswers(self), answers)
        self._ledgers: dict[str, Ledger] = {MAIN: Ledger(spec.properties)}
        self._parcel = _Parcel()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: tuple[int, ...] = ()
        self._deadline: float | None = None
        self._outcome: Outcome | None = None
        self._closed = False
        self._failures = 0
        self._due = {"logs": 0.0, "tables": 0.0, "shapes": 0.0, "delivery": 0.0, "retry": 0.0}
        self._flush = threading.Condition()
        self._flush_wanted = self._flush_done = 0

    def start(self) -> None:
        """Begin, or go on where a collector of the same folder stopped."""
        self._thread = threading.Thread(target=self._run, name=f"collector-{self.ref.run_id}", daemon=True)
        self._thread.start()

    def finish(self, timeout: float, outcome: Outcome | None = None) -> Left:
        """The job has ended: ship the rest of its events, its logs, tables and outputs.

        Args:
            timeout: seconds in which the server may be away; what it has not taken by then is told, and stays in the folder.
            outcome: close the run with it as soon as everything is there, in the same request as the last metrics.
        """
        self._outcome, self._deadline = outcome, time.monotonic() + timeout
        if self._thread is None:
            self._run()
        else:
            self._wake.set()
            # a request that hangs may outlast the budget; its thread ends by itself
            self._thread.join(timeout + 1.0)
        return self._left()

    def flush(self, timeout: float) -> bool:
        """Wait until everything logged so far is at the server; False if it took longer than ``timeout`` seconds."""
        with self._flush:
            self._flush_wanted += 1
            wanted = self._flush_wanted
            self._wake.set()
            return self._flush.wait_for(lambda: self._flush_done >= wanted, timeout)

    # the thread

    def _run(self) -> None:
        ticket = watch.watch(self._look)
        try:
            self._safely(self._begin)
            while self._deadline is None:
                self._wake.wait(self._pause())
                self._wake.clear()
                if self._deadline is None:
                    self._safely(self._step)
            self._safely(self._end)
        finally:
            watch.unwatch(ticket)
            self.tracking.rest.close()

    def _look(self) -> None:
        """Called every 50 ms: wake the thread if something happened in the folder."""
        seen = self._mailbox.look(), *self._spool.look()
        if seen != self._seen:
            self._seen = seen
            self._wake.set()

    def _pause(self) -> float:
        """Seconds until something is due; a change in the folder ends them."""
        now = time.monotonic()
        if self._failures:
            return max(0.0, self._due["retry"] - now)
        if any(ledger.writes for ledger in self._ledgers.values()) or self._parcel.writes:
            return max(0.0, self._due["delivery"] - now)
        return LOGS_SECONDS

    def _begin(self) -> None:
        """Read the events that were delivered earlier again, for their steps and shapes, and announce what runs."""
        offsets: dict[str, int] = self._state.get("offsets", {})
        if offsets:
            for event in Spool(self.folder / layout.EVENTS).events():
                if event.end <= offsets.get(event.rank, 0):
                    ledger = self._take(event)
                    ledger.taken()
                    ledger.stale_tables.clear()
            self._spool = Spool(self.folder / layout.EVENTS, offsets)
        self._due["logs"] = time.monotonic() + LOGS_SECONDS
        self._due["delivery"] = time.monotonic() + FIRST_SECONDS
        if self._definition is not None and not offsets:
            self._ledgers[MAIN].writes.documents.append(Document(names.DEFINITION_ARTIFACT, dict(self._definition)))
            self._deliver()

    def _step(self) -> None:
        """Once around while the run goes on."""
        self._mailbox.serve()
        now = time.monotonic()
        if self._failures and now < self._due["retry"]:
            return
        wanted = self._flush_wanted
        while True:
            full = self._collect()
            flushing = wanted > self._flush_done
            if not full and not flushing and now < self._due["delivery"]:
                return
            if not full:
                self._add_documents(flushing)
            self._deliver()
            if not full or self._deadline is not None:
                break
        self._due["delivery"] = time.monotonic() + DELIVERY_SECONDS
        if not full:
            self._flushed(wanted)
        self._ship_logs()

    def _end(self) -> None:
        """Ship everything; what the server does not take before the deadline stays."""
        self._mailbox.serve()
        while True:
            try:
                self._ship_all()
                break
            except (TrackingUnreachable, AuthenticationException) as error:
                self._backoff(error)
                if not self._sleep_before_retry():
                    break
            except TrackingError as error:  # the run is gone, or its end was refused
                self.delivery.refused.append(error.message)
                break
        self._save()
        self._flushed(self._flush_wanted)

    def _ship_all(self) -> None:
        for file in self._shipper.ended():
            self._ship(file)
        self._ship_events()
        self._end_children()
        self._add_documents(everything=True)
        # MLflow refuses a second value of a param: the script's own log_param comes first, so ours come last
        self._ledgers[MAIN].writes.params.update(runs.params_of(self.spec))
        self._deliver(self._outcome)

    def _ship_events(self) -> None:
        """All full batches: while the server works on one, the next is read."""
        self._send_parcel()
        with ThreadPoolExecutor(1, "batches") as beside:
            sending: Future[None] | None = None
            while self._collect(ended=True):
                if sending is not None:
                    sending.result()
                self._pack()
                sending = beside.submit(self._send_parcel)
            if sending is not None:
                sending.result()

    # events

    def _collect(self, ended: bool = False) -> bool:
        """Read what is new; True if a batch is full and more may be there."""
        points = sum(len(ledger.writes.metrics) for ledger in self._ledgers.values())
        if points >= BATCH:
            return True
        for event in self._spool.events(ended):
            ledger = self._take(event)
            if len(ledger.writes.metrics) >= BATCH:
                return True
        return False

    def _take(self, event: Event) -> Ledger:
        key = str(event.body.get("run") or MAIN)
        key = MAIN if key == self.ref.run_id else key
        ledger = self._ledgers.setdefault(key, Ledger())
        ledger.take(event)
        return ledger

    def _end_children(self) -> None:
        """A child run that the script left open ends as the script did."""
        outcome = self._outcome or _outcome_in(self.folder)
        status = outcome.status if outcome else RunStatus.COMPLETED
        for key, ledger in self._ledgers.items():
            if key != MAIN and not ledger.ended:
                ledger.end(status, outcome.error if outcome else None)

    def _add_documents(self, everything: bool = False) -> None:
        """Tables and shapes that have changed, when they are due."""
        now = time.monotonic()
        tables, shapes = everything or now >= self._due["tables"], everything or now >= self._due["shapes"]
        for key, ledger in self._ledgers.items():
            if tables and ledger.stale_tables:
                self._add_tables(key, ledger)
                self._due["tables"] = now + TABLES_SECONDS
            if shapes and ledger.shapes_stale:
                _add_shapes(ledger, everything)
                self._due["shapes"] = now + SHAPES_SECONDS

    def _add_tables(self, key: str, ledger: Ledger) -> None:
        ledger.writes.tags[names.LOGGED_ARTIFACTS] = self.delivery.table_tag(key, ledger.logged_tables())
        for name in sorted(ledger.stale_tables):
            ledger.writes.documents.append(Document(table_path(name), table_artifact(ledger.shapes.rows(name))))
        ledger.stale_tables.clear()

    # delivery

    def _deliver(self, outcome: Outcome | None = None) -> None:
        """Write what the ledgers hold, then the place reached. What broke off last time goes first."""
        self._send_parcel()
        self._pack()
        self._send_parcel(outcome)

    def _pack(self) -> None:
        self._parcel = _Parcel({key: ledger.taken() for key, ledger in self._ledgers.items() if ledger.writes}, self._spool.offsets())

    def _send_parcel(self, outcome: Outcome | None = None) -> None:
        parcel = self._parcel
        for key in sorted(parcel.writes, reverse=True):  # children before the job's own run, whose end is the last word
            self.delivery.send(key, parcel.writes[key], outcome if key == MAIN else None)
            del parcel.writes[key]
        if outcome is not None and not self._closed:
            self._close(outcome)
        if parcel.offsets != self._state.get("offsets"):
            self._state["offsets"] = parcel.offsets
            self._save()
        self._failures = 0

    def _close(self, outcome: Outcome) -> None:
        """Nothing was left to be written with the end, or it was written with it: then this asks and changes nothing."""
        if self.tracking.written_status.get(self.ref.mlflow_run_id) != outcome.status:
            closing.close(self.tracking, self.ref, outcome)
        self._closed = True

    def _ship_logs(self) -> None:
        if time.monotonic() < self._due["logs"]:
            return
        for file in self._shipper.running():
            self._ship(file)
        self._due["logs"] = time.monotonic() + LOGS_SECONDS

    def _ship(self, file: LocalFile) -> None:
        try:
            self._shipper.upload(file)
        except TrackingUnreachable:
            raise
        except TrackingError as error:
            self.delivery.refused.append(f"file {file.artifact}: {error.message}")

    def _save(self) -> None:
        children = {key: asdict(ref) for key, ref in self.delivery.refs.items() if key not in (MAIN, self.ref.run_id)}
        self._state.update(format=1, children=children, files=self._shipper.sent)
        temporary = self.folder / f"{layout.COLLECTOR_FILE}.tmp"
        with contextlib.suppress(OSError):  # a full disk: the next one starts a little earlier
            temporary.write_text(json.dumps(self._state))
            temporary.replace(self.folder / layout.COLLECTOR_FILE)

    # trouble

    def _safely(self, work: Callable[[], None]) -> None:
        """The thread outlives everything: without it a run would lose its history."""
        try:
            work()
        except (TrackingUnreachable, AuthenticationException) as error:
            self._backoff(error)
        except Exception as error:
            _logger.exception("The collector of run %s met an error and goes on", self.ref.run_id)
            self._backoff(error)

    def _backoff(self, error: BaseException) -> None:
        if not self._failures:
            _logger.warning("Run %s: history is delayed: %s", self.ref.run_id, getattr(error, "message", error))
        self._failures += 1
        self._due["retry"] = time.monotonic() + min(LONGEST_BACKOFF, 0.1 * 2.0 ** min(self._failures, 10))

    def _sleep_before_retry(self) -> bool:
        assert self._deadline is not None
        pause = self._due["retry"] - time.monotonic()
        if time.monotonic() + pause >= self._deadline:
            return False
        time.sleep(max(0.0, pause))
        return True

    def _flushed(self, wanted: int) -> None:
        with self._flush:
            self._flush_done = max(self._flush_done, wanted)
            self._flush.notify_all()

    def _left(self) -> Left:
        pending = [*self._parcel.writes.values(), *(ledger.writes for ledger in self._ledgers.values())]
        complete = self._closed or not (self._failures or any(pending))
        return Left(
            unread=self._spool.unread(),
            points=sum(len(writes.metrics) for writes in pending),
            files=() if complete else tuple(file.artifact for file in self._shipper.ended()),
            refused=tuple(self.delivery.refused),
            skipped=tuple(sorted(self._shipper.skipped)),
            failure=self._ledgers[MAIN].failure,
            closed=self._closed,
        )


def _add_shapes(ledger: Ledger, everything: bool) -> None:
    """Short shapes go into a tag at the end; others into an artifact, which the tag names."""
    document = ledger.shapes.to_json()
    text = json.dumps(document)
    if len(text) <= INLINE_SHAPES:
        ledger.writes.tags[names.METRICS] = text
    else:
        ledger.writes.documents.append(Document(names.METRICS_ARTIFACT, document))
        ledger.writes.tags[names.METRICS] = names.METRICS_IN_ARTIFACT
    ledger.shapes_stale = False


def _outcome_in(folder: Path) -> Outcome | None:
    try:
        return closing.outcome_from_status_file(json.loads((folder / layout.STATUS_FILE).read_text()))
    except (OSError, ValueError):
        return None


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
