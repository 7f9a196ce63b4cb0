"""How a job ended, in the form of status.json."""

import os

from mlflows.job import errors, layout, mpi, ranks

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401


class Outcome:
    """What the supervisor saw first: state, reason and, for a process that failed, which and how."""

    def __init__(self, state, reason, message, code=None, rank=None):
        # type: (str, str | None, str, int | None, ranks.Rank | None) -> None
        self.state = state
        self.reason = reason
        self.message = message
        self.code = code
        self.rank = rank


def report(folder, job, records, outcome, started, ended):
    # type: (str, dict[str, Any], list[ranks.Rank], Outcome, float, float) -> dict[str, Any]
    """Content of status.json. A failed process is explained from its log, so that has to be complete."""
    code = outcome.code
    log = _main_log(job)
    status = {"message": outcome.message, "traceback": None, "log_tail": [], "rank": None, "node": None}  # type: dict[str, Any]
    if outcome.rank is not None and code is not None:
        log, code, found = _explained(folder, job, records, outcome.rank, code)
        status.update(found)
    elif outcome.state == "Completed":
        for rank in records:
            rank.code = rank.code or 0  # those of mpirun are known only by its own
    else:
        status["log_tail"] = errors.shortened(errors.last_lines(os.path.join(folder, log)))
    status.update(
        {
            "format": 1,
            "run_id": job["run_id"],
            "attempt": job["attempt"],
            "state": outcome.state,
            "reason": outcome.reason if code is None or code >= 0 else "signal",
            "exit_code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "log": log,
            "started": started,
            "ended": ended,
            "ranks": [{"rank": rank.rank, "node": rank.node, "pid": rank.pid, "exit_code": rank.code} for rank in records],
        }
    )
    return status


def _main_log(job):
    # type: (dict[str, Any]) -> str
    return "{}/{}".format(layout.USER_LOGS, layout.rank_log(min(job["nodes"]), ranks.world_size(job)))


def _explained(folder, job, records, process, code):
    # type: (str, dict[str, Any], list[ranks.Rank], ranks.Rank, int) -> tuple[str, int, dict[str, Any]]
    rank = process  # type: ranks.Rank | None
    if job["kind"] == "mpi":
        rank, code = _rank_of_mpi(folder, records, code)
    log = "{}/{}".format(layout.USER_LOGS, rank.log) if rank else "{}/{}".format(layout.SYSTEM_LOGS, mpi.LAUNCHER_LOG)
    number = rank.rank if rank and len(records) > 1 else None
    failure = errors.explain(os.path.join(folder, log), code, number)
    found = {"message": failure.message, "traceback": failure.traceback, "log_tail": failure.log_tail}  # type: dict[str, Any]
    if rank:
        found.update(rank=rank.rank, node=rank.node)
    return log, code, found


def _rank_of_mpi(folder, records, code):
    # type: (str, list[ranks.Rank], int) -> tuple[ranks.Rank | None, int]
    lines = errors.last_lines(os.path.join(folder, layout.SYSTEM_LOGS, mpi.LAUNCHER_LOG))
    number, code = mpi.first_failure(lines, code)
    if number is None or number >= len(records):
        return None, code
    records[number].code = code
    return records[number], code
