"""Ports of the local services, and what the processes that are started inherit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflows import settings
from mlflows.flows import handoff, record, starting


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return record.own_folder()


def test_two_homes_that_start_at_once_take_different_ports() -> None:
    with starting._port(None, 0) as (first, _):
        pass
    with starting._port(None, first) as (one, _), starting._port(None, first) as (two, _):
        assert one == first != two
    with starting._port(None, first) as (again, _):
        assert again == first


def test_a_service_holds_its_port_before_it_listens() -> None:
    with starting._port(None, 0) as (port, lock):
        service = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(lock,))
    try:
        with starting._port(None, port) as (other, _):
            assert other != port
    finally:
        service.kill()
        service.wait()
    with starting._port({"url": f"http://127.0.0.1:{port}"}, 0) as (again, _):
        assert again == port


def test_a_folder_that_others_can_enter_is_refused(folder: Path) -> None:
    os.chmod(folder, 0o755)
    with pytest.raises(PermissionError, match="mode 0700; remove it"):
        record.own_folder()


OUTER = {
    "MLFLOWS_JOB_FOLDER": "/jobs/outer",
    "MLFLOWS_RANK": "1",
    "MLFLOWS_EXPERIMENT": "outer",
    "AZUREML_RUN_ID": "outer",
    "AZUREML_DATAREFERENCE_x": "/x",
    "MLFLOW_RUN_ID": "outer",
}
"""What a job has."""
DATA = {"MLFLOWS_CACHE": "cache", "MLFLOWS_CACHE_SIZE": "5GB", "MLFLOWS_TRANSFER_PATIENCE": "7"}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, str]]:
    """The variables of the process that is started next, and ends at once; this one is in a job whose script has set some."""
    program, seen = tmp_path / "program", tmp_path / "seen"
    program.write_text(f"#!/bin/sh\nenv -0 > {seen}.making\nmv {seen}.making {seen}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    settings.services_dir().mkdir(parents=True)
    for name, value in {**OUTER, **DATA, "MLFLOW_TRACKING_TOKEN": "token"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def read() -> dict[str, str]:
        deadline = time.monotonic() + 20
        while not seen.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return dict(line.split("=", 1) for line in seen.read_text().split("\0") if line)

    return read


def test_the_runner_knows_where_the_cache_is(tmp_path: Path, environment: Callable[[], dict[str, str]]) -> None:
    """And nothing of the job in which it may have been started."""
    starting._spawn_runner("http://prefect", "http://mlflow")
    has = environment()
    assert {name: has.get(name) for name in DATA} == {**DATA, "MLFLOWS_CACHE": str(tmp_path / "cache")}  # it works in another folder
    assert not has.keys() & OUTER.keys()


def test_without_variables_the_runner_has_none(environment: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DATA:
        monkeypatch.delenv(name)
    starting._spawn_runner("http://prefect", "http://mlflow")
    assert not environment().keys() & DATA.keys()


def test_a_driver_is_not_in_the_job_that_started_it(environment: Callable[[], dict[str, str]]) -> None:
    """It would ask the outer job's flow for what it has to do itself."""
    servers = handoff.Servers("http://prefect", "http://mlflow", "http://prefect", "http://mlflow", local=False)
    peer = handoff._driver({}, servers)
    has = environment()
    peer.close()
    assert not has.keys() & OUTER.keys()
    assert {name: has.get(name) for name in DATA} == DATA and has["MLFLOW_TRACKING_TOKEN"] == "token"
    assert has["MLFLOW_TRACKING_URI"] == "http://mlflow" and has["MLFLOWS_HOME"] == str(settings.home())
