"""Which flow drives a folder, and whether it lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlflows import settings
from mlflows.flows import driving


def test_driven_while_the_flow_is_at_work(tmp_path: Path) -> None:
    assert not driving.is_driven(tmp_path)
    with driving.driven(tmp_path, "flow-1", {"script": "train.py"}):
        assert driving.is_driven(tmp_path)
        with driving.driven(tmp_path, "flow-1", {"script": "train.py"}):  # a doubled flow
            assert driving.is_driven(tmp_path)
        assert driving.is_driven(tmp_path)
    assert not driving.is_driven(tmp_path)
    assert driving.flow_of(tmp_path) == ("flow-1", {"script": "train.py"})


def test_a_killed_flow_does_not_drive(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom mlflows.flows import driving\n"
        "with driving.driven(Path(sys.argv[1]), 'flow-1', {}):\n    print('at work', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert driving.is_driven(tmp_path)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not driving.is_driven(tmp_path)


def test_the_folder_of_a_flow_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path))
    assert driving.folder_of("flow-1") is None
    for number in (1, 2):
        with driving.driven(settings.job_folder(f"run_{number}"), f"flow-{number}", {}):
            pass
    (settings.runs_dir() / "never driven").mkdir()
    assert driving.folder_of("flow-1") == settings.job_folder("run_1")
    assert driving.folder_of("flow-3") is None
