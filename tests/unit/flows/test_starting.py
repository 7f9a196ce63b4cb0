"""Ports of the local services."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlflows.flows import record, starting


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
