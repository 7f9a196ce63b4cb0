"""The supervisor as a process: what it starts, what it writes, how it ends."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEYS = {
    "format", "run_id", "attempt", "state", "reason", "exit_code", "signal", "rank", "node", "message", "traceback", "log_tail", "log",
    "started", "ended", "ranks",
}  # fmt: skip


def test_completed(any_job):
    status = any_job.python_script("import sys; print('out'); print('err', file=sys.stderr)").status()
    assert status["state"] == "Completed" and status["exit_code"] == 0 and status["reason"] is None
    assert set(status) == KEYS
    assert status["run_id"] == "exp_1_abc" and status["attempt"] == 1
    assert status["ended"] >= status["started"] > time.time() - 60
    assert any_job.log() == "out\nerr\n"
    assert not list(any_job.folder.glob("*.tmp"))
    assert not any_job.left()


def test_exception(any_job):
    status = any_job.python_script("print('before')\nraise ValueError('bad learning rate')").status()
    assert (status["state"], status["reason"], status["exit_code"], status["signal"]) == ("Failed", "exit", 1, None)
    assert status["message"] == "User program failed with ValueError: bad learning rate"
    assert status["traceback"].startswith("Traceback (most recent call last):\n")
    assert status["traceback"].endswith("ValueError: bad learning rate")
    assert status["log_tail"][0] == "before"
    assert status["log"] == "user_logs/std_log.txt"
    assert (status["rank"], status["node"]) == (0, 0)


def test_exit_code(job):
    status = job.start(shell="exit 3").status()
    assert (status["state"], status["reason"], status["exit_code"]) == ("Failed", "exit", 3)
    assert status["message"] == "User program failed with exit code 3"
    assert status["traceback"] is None


@pytest.mark.parametrize("number, name", [(9, "SIGKILL"), (11, "SIGSEGV")])
def test_signal(job, number, name):
    status = job.python_script(f"import os; os.kill(os.getpid(), {number})").status()
    assert (status["state"], status["reason"], status["exit_code"], status["signal"]) == ("Failed", "signal", None, number)
    assert f"{name} (signal {number})" in status["message"]
    assert ("memory" in status["message"]) == (number == 9)


def test_shell_that_lost_a_child_to_the_oom_killer(job):
    status = job.start(shell="python3 -c 'import os; os.kill(os.getpid(), 9)'; exit $?").status()
    assert status["exit_code"] == 137
    assert "memory" in status["message"]


@pytest.mark.parametrize(
    "change, match",
    [
        ({"argv": ["/no/such/python", "train.py"]}, "'/no/such/python' cannot be started: it does not exist"),
        ({"argv": ["no-such-program"]}, "'no-such-program' cannot be started"),
        ({"argv": ["python3"], "cwd": "/no/such/folder"}, "working directory '/no/such/folder'"),
        ({"argv": ["/etc/passwd"]}, "permission denied"),
        ({"argv": ["python3", "a\0b"]}, "null"),
        ({"kind": "mpi", "argv": ["python3"], "env": {"PATH": "/nonexistent"}}, "openmpi-bin"),
    ],
)
def test_start_error(job, change, match):
    status = job.start(**change).status()
    assert (status["state"], status["reason"]) == ("Failed", "start_error")
    assert match in status["message"]


@pytest.mark.parametrize(
    "argument",
    ["a b", "it's", 'say "hi"', "$HOME", "${HOME}", "`date`", "$(date)", "a\nb", "", "*", "grüße 漢字 🙂", "\\", "--x=1 2", "\udcff"],
)
def test_arguments_are_literal(job, argument):
    job.python_script("import json, sys; json.dump(sys.argv[1:], open('argv.json', 'w'))", arguments=[argument, "end"]).status()
    assert json.loads((job.folder / "code" / "argv.json").read_text()) == [argument, "end"]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_any_arguments_are_literal(job, arguments):
    for name in ("status.json", "code/argv.json"):
        (job.folder / name).unlink(missing_ok=True)
    job.python_script("import json, sys; json.dump(sys.argv[1:], open('argv.json', 'w'))", arguments=arguments).status()
    found = json.loads((job.folder / "code" / "argv.json").read_text())
    assert [os.fsencode(one) for one in found] == [one.encode() for one in arguments]


def test_variables_are_expanded_in_arguments(job):
    arguments = ["$AZUREML_DATAREFERENCE_data/x", "${AZUREML_DATAREFERENCE_data}y", "$AZUREML_UNKNOWN", "$RANK", "$RANKS", "$HOME"]
    job.python_script(
        "import json, sys; json.dump(sys.argv[1:], open('argv.json', 'w'))",
        arguments=arguments,
        kind="pytorch",
        env={"AZUREML_DATAREFERENCE_data": "/d"},
    ).status()
    assert json.loads((job.folder / "code" / "argv.json").read_text()) == ["/d/x", "/dy", "$AZUREML_UNKNOWN", "0", "$RANKS", "$HOME"]


def test_environment_stdin_and_session(any_job):
    text = """
import json, os, sys
json.dump([dict(os.environ), os.getcwd(), sys.stdin.read(), os.getpid() == os.getsid(0)], open("e.json", "w"))
"""
    any_job.python_script(text, env={"GREETING": "grüß"}).status()
    environment, directory, stdin, leads = json.loads((any_job.folder / "code" / "e.json").read_text())
    assert environment["MLFLOWS_JOB_FOLDER"] == str(any_job.folder)
    assert (environment["MLFLOWS_RANK"], environment["MLFLOWS_WORLD_SIZE"], environment["AZUREML_NODE_COUNT"]) == ("0", "1", "1")
    assert environment["GREETING"].encode("utf-8", "surrogateescape") == "grüß".encode()
    assert (directory, stdin, leads) == (str(any_job.folder / "code"), "", True)


def test_variables_of_a_job_around_this_one_do_not_reach_it(job, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MLFLOWS_PARENT_RUN_ID", "TF_CONFIG", "OMPI_COMM_WORLD_RANK"):
        monkeypatch.setenv(name, "5")
    monkeypatch.setenv("A_SECRET", "kept")
    job.python_script("import json, os; json.dump(dict(os.environ), open('e.json', 'w'))").status()
    environment = json.loads((job.folder / "code" / "e.json").read_text())
    assert environment["A_SECRET"] == "kept"
    assert not {"RANK", "WORLD_SIZE", "MLFLOWS_PARENT_RUN_ID", "TF_CONFIG", "OMPI_COMM_WORLD_RANK"} & set(environment)


def test_sigpipe_and_signals_are_as_usual(job):
    """Python ignores SIGPIPE; a script's shell pipes must not inherit that."""
    status = job.start(shell="set -o pipefail; yes | head -1; echo ${PIPESTATUS[0]}; grep -E 'Sig(Blk|Ign)' /proc/self/status").status()
    assert status["state"] == "Completed"
    *start, blocked, _, ignored = job.log().split()
    assert start == ["y", "141", "SigBlk:"]
    standard = 0x7FFFFFFF  # the rest are real-time signals, as whoever runs the tests has them
    assert (int(blocked, 16) & standard, int(ignored, 16) & standard) == (0, 0)


def test_deadline(job):
    started = time.monotonic()
    status = job.start(shell="echo working; sleep 60", max_seconds=0.5).status()
    assert time.monotonic() - started < 3
    assert (status["state"], status["reason"]) == ("Canceled", "deadline")
    assert "0.5 seconds" in status["message"]
    assert status["log_tail"] == ["working"]
    assert not job.left()


def test_deadline_as_a_time(job):
    status = job.start(shell="sleep 60", deadline=time.time() + 0.5).status()
    assert (status["state"], status["reason"]) == ("Canceled", "deadline")


def test_deadline_that_has_passed_starts_nothing(job):
    status = job.start(shell="touch started", deadline=time.time() - 1).status()
    assert status["state"] == "Canceled"
    assert not (job.folder / "code" / "started").exists()


HARD_TO_KILL = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["setsid", "sleep", "63"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(64)
    os._exit(0)
print("ready", flush=True)
time.sleep(65)
"""


def test_cancel_leaves_nothing(any_job):
    any_job.python_script(HARD_TO_KILL)
    any_job.await_log("ready")
    assert len(any_job.left()) >= 3  # one more while a child is between fork and exec
    (any_job.folder / "cancel.json").write_text('{"reason": "not needed any more"}')
    started = time.monotonic()
    any_job.signal()
    status = any_job.status()
    assert time.monotonic() - started < 3
    assert (status["state"], status["reason"]) == ("Canceled", "cancel")
    assert status["message"] == "The run was canceled: not needed any more"
    assert not any_job.left()


def test_cancel_that_came_before_the_supervisor(job):
    """PID 1 of a container never sees a signal that comes before it can take it."""
    (job.folder / "cancel.json").write_text('{"reason": "too late"}')
    status = job.start(shell="touch started").status()
    assert (status["state"], status["message"]) == ("Canceled", "The run was canceled: too late")
    assert not (job.folder / "code" / "started").exists()
    assert job.start(shell="touch started", attempt=2).status()["state"] == "Completed"


def test_second_signal_kills_at_once(job):
    job.python_script(HARD_TO_KILL, grace_seconds=30)
    job.await_log("ready")
    started = time.monotonic()
    job.signal()
    time.sleep(0.2)
    job.signal(signal.SIGINT)
    assert job.status()["state"] == "Canceled"
    assert time.monotonic() - started < 3
    assert not job.left()


def test_cancel_gives_the_script_its_grace(job):
    text = """
import signal, sys, time
def save(number, frame):
    time.sleep(0.3); print("saved"); sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(60)
"""
    job.python_script(text, grace_seconds=10)
    job.await_log("ready")
    job.signal()
    assert job.status()["state"] == "Canceled"
    assert job.log() == "ready\nsaved\n"


def test_background_children_end_with_the_script(job):
    started = time.monotonic()
    status = job.start(shell="sleep 61 & setsid sleep 62 & env -i /bin/sleep 66 & echo done").status()
    assert status["state"] == "Completed"
    assert time.monotonic() - started < 3
    assert job.log() == "done\n"
    assert not job.left()


def test_a_stranger_that_holds_the_output_open_does_not_hold_up_the_end(job):
    status = job.start(shell="env -i setsid /bin/sleep 5 & echo done").status()
    assert status["state"] == "Completed"
    assert status["ended"] - status["started"] < 2
    assert job.log() == "done\n"


def test_killed_supervisor_leaves_the_script_and_its_log(job):
    job.python_script("import time\nprint('one')\ntime.sleep(1)\nfor n in range(1000): print('line', n)\nopen('done', 'w')")
    job.await_log("one")
    job.signal(signal.SIGKILL)
    job.process.wait()
    job.await_log("line 999")
    assert (job.folder / "code" / "done").exists()
    assert not (job.folder / "status.json").exists()


def test_supervisor_file_and_lock(job):
    job.start(shell="echo ready; sleep 60")
    job.await_log("ready")
    record = json.loads((job.folder / "system_logs" / "supervisor.json").read_text())
    ticks = int(Path(f"/proc/{job.process.pid}/stat").read_text().rpartition(")")[2].split()[19])
    assert (record["pid"], record["start_ticks"], record["attempt"]) == (job.process.pid, ticks, 1)
    assert [(p["rank"], p["node"], p["pid"] == p["pgid"]) for p in record["processes"]] == [(0, 0, True)]
    first, job.process = job.process, None
    job.start(shell="touch twice")
    assert job.process.wait(10) == 75
    job.process = first
    job.signal()
    assert job.status()["state"] == "Canceled"
    assert not (job.folder / "code" / "twice").exists()


def test_an_attempt_runs_once(job):
    job.start(shell="echo x >> count").status()
    job.start(shell="echo x >> count").status()
    assert (job.folder / "code" / "count").read_text() == "x\n"
    status = job.start(shell="echo x >> count", attempt=2).status()
    assert status["attempt"] == 2
    assert (job.folder / "code" / "count").read_text() == "x\nx\n"


def test_unreadable_job_file(job):
    job.start()
    job.process.wait()
    (job.folder / "status.json").unlink()
    (job.folder / "job.json").write_text("{")
    import subprocess

    from mlflows.job import supervisor

    done = subprocess.run([sys.executable, supervisor.__file__, str(job.folder)], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "not a readable job file" in done.stderr


def test_does_not_shadow_the_standard_library(job):
    """Its own folder has modules with common names; the script must not meet them either."""
    status = job.python_script("import errors").status()
    assert status["message"].startswith("User program failed with ModuleNotFoundError")
