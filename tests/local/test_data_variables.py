"""What the environment says of the cache holds for the process that fetches, which is not the one that submits."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT

PROGRAM = """
import sys
from mlflows import Dataset, Experiment, ScriptRunConfig, Workspace
data = Dataset.File.from_files(sys.argv[1])
config = ScriptRunConfig("code", "train.py", [data.as_named_input("words").as_mount()])
run = Experiment(Workspace.get("team"), "variables").submit(config)
run.wait_for_completion(show_output=True)
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a file on a web server."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "words.txt").write_text("some words")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "web")))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/words.txt"
    server.shutdown()
    server.server_close()


def test_the_cache_lies_where_the_submitter_says(tmp_path: Path, address: str) -> None:
    """The first submit starts the services, from another folder than theirs."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("import sys\nprint('read:', open(sys.argv[1]).read())\n")
    environment = {**os.environ, "MLFLOWS_HOME": str(tmp_path / "home"), "MLFLOWS_CACHE": "kept", "PYTHONPATH": str(ROOT)}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        assert "read: some words" in python("-c", PROGRAM, address)
    finally:
        python("-m", "mlflows", "down")
    [file] = [path for path in (tmp_path / "kept" / "files").rglob("*") if path.is_file()]
    assert file.read_text() == "some words" and not (tmp_path / "home" / "cache").exists()
