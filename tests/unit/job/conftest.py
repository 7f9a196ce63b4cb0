import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mlflows

PACKAGE = Path(mlflows.__file__).parent
SUPERVISOR = PACKAGE / "job" / "supervisor.py"


VERSIONS = sorted({(3, 6), (3, 8), (3, 11), (3, 13), sys.version_info[:2]})
"""Those a training image may have, oldest and newest among them, and the one of the tests."""


def interpreter(version):
    """A Python of this version, if this machine has one that works."""
    if version == sys.version_info[:2]:
        return sys.executable
    name = "{}.{}".format(*version)
    for directory in (*os.environ["PATH"].split(os.pathsep), *Path.home().glob(f".pyenv/versions/{name}.*/bin")):
        candidate = os.path.join(directory, f"python{name}")
        if os.access(candidate, os.X_OK) and subprocess.call([candidate, "-c", "import ssl"], stderr=subprocess.DEVNULL) == 0:
            return candidate
    return None


INTERPRETERS = {version: interpreter(version) for version in VERSIONS}


@pytest.fixture(params=VERSIONS, ids="{0[0]}.{0[1]}".format)
def any_python(request):
    """An interpreter of each version that is here."""
    return INTERPRETERS[request.param] or pytest.skip("no Python {}.{} on this machine".format(*request.param))


class Job:
    """A job folder and the supervisor on it."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.python = python
        self.process = None
        (folder / "code").mkdir(parents=True)
        (folder / "lib").mkdir()
        (folder / "lib" / "mlflows").symlink_to(PACKAGE)
        (folder / "lib" / "azureml").symlink_to(PACKAGE / "azureml_path" / "azureml")

    def script(self, text, name="train.py"):
        (self.folder / "code" / name).write_text(text)
        return name

    def write(self, **changes):
        job = {
            "format": 1,
            "run_id": "exp_1_abc",
            "attempt": 1,
            "argv": None,
            "shell": None,
            "env": {"PYTHONPATH": str(self.folder / "lib"), "PYTHONUNBUFFERED": "1", "AZUREML_RUN_ID": "exp_1_abc"},
            "cwd": str(self.folder / "code"),
            "kind": "none",
            "node_level": False,
            "backend": "None",
            "node_count": 1,
            "nodes": list(range(changes.get("node_count", 1))),
            "processes_per_node": 1,
            "workers": 1,
            "parameter_servers": 0,
            "hosts": ["127.0.0.1"] * changes.get("node_count", 1),
            "master_port": None,
            "interpreter": self.python,
            "max_seconds": None,
            "deadline": None,
            "grace_seconds": 1,
        }
        job["env"].update(changes.pop("env", {}))
        job.update(changes)
        (self.folder / "job.json").write_text(json.dumps(job))

    def start(self, **job):
        self.write(**job)
        command = [self.python, "-S", "-E", "-s", str(SUPERVISOR), str(self.folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def python_script(self, text, **job):
        """Start a Python script."""
        return self.start(argv=[self.python, self.script(text), *job.pop("arguments", [])], **job)

    def status(self, timeout=30):
        assert self.process.wait(timeout) == 0
        return json.loads((self.folder / "status.json").read_text())

    def log(self, name="std_log.txt"):
        return (self.folder / "user_logs" / name).read_text()

    def await_log(self, text, name="std_log.txt", timeout=10):
        """Wait until a text is in the finished lines of a log; print writes a line and its end one after the other."""
        return eventually(lambda: text in self.log(name).rpartition("\n")[0] + "\n" and self.log(name), timeout)

    def signal(self, number=signal.SIGTERM):
        os.kill(self.process.pid, number)

    def left(self):
        """Command lines of living processes that carry this folder in their environment."""
        mark = f"MLFLOWS_JOB_FOLDER={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
        return [line for line in found if line]


def eventually(check, timeout=10):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            value = check()
        except OSError:
            value = None
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {timeout} s")


@pytest.fixture
def job(tmp_path):
    """A job under the tests' own interpreter."""
    made = Job(tmp_path / "job")
    yield made
    _end(made)


@pytest.fixture
def any_job(tmp_path, any_python):
    """A job under each interpreter."""
    made = Job(tmp_path / "job", any_python)
    yield made
    _end(made)


def _end(job):
    if job.process is not None and job.process.poll() is None:
        job.process.kill()
        job.process.wait()
    shutil.rmtree(job.folder, ignore_errors=True)
