"""Environments of runs on the real services: built while the run waits, once for all who want them, ended with the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Services
from mlflows import settings
from mlflows.environments import builds
from mlflows.rest import RestClient
from tests.support.wheels import index, make_slow_project, make_wheel

PYTHON = "{}.{}".format(*sys.version_info[:2])
BUILD_LOG = "azureml-logs/20_image_build_log.txt"
CANARY = "canary-91c4-secret"
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@pytest.fixture
def prefect(services: Services) -> RestClient:
    return RestClient(settings.services_record()["prefect"]["url"] + "/api")


def until(condition: Callable[[], Any], seconds: float = 40) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("condition not met in time")


class Project:
    """A submit.py whose environment has the given lines for pip."""

    def __init__(self, folder: Path, services: Services) -> None:
        self.folder = folder
        self.services = services
        (folder / "code").mkdir()

    def write(self, *pip: str, train: str = "import sys\nprint('prefix', sys.prefix)\n", name: str = "mine", times: int = 1) -> Path:
        (self.folder / "code" / "train.py").write_text(train)
        path = self.folder / "submit.py"
        path.write_text(
            "import sys\n"
            "from azureml.core import Workspace, Experiment, ScriptRunConfig, Environment\n"
            "from azureml.core.conda_dependencies import CondaDependencies\n"
            f"environment = Environment({name!r})\n"
            f"environment.python.conda_dependencies = CondaDependencies.create(python_version={PYTHON!r})\n"
            f"environment.python.conda_dependencies.set_pip_requirements({[*pip]!r})\n"
            f"config = ScriptRunConfig({str(self.folder / 'code')!r}, 'train.py', environment=environment)\n"
            "experiment = Experiment(Workspace.from_config(), 'environments')\n"
            f"runs = [experiment.submit(config) for _ in range({times})]\n"
            "for run in runs:\n"
            "    print('RUN', run.id, flush=True)\n"
            "if 'wait' in sys.argv:\n"
            "    run.wait_for_completion(show_output=True)\n"
        )
        return path

    def submit(self, *pip: str, **options: Any) -> list[str]:
        """Ids of the runs."""
        output = self.services.mlflows("run", str(self.write(*pip, **options)))
        return [line.split()[1] for line in output.splitlines() if line.startswith("RUN ")]

    def submit_at_once(self, processes: int, *pip: str, **options: Any) -> list[str]:
        """Ids of the runs that so many processes submit at the same time."""
        command = [sys.executable, "-m", "mlflows", "run", str(self.write(*pip, **options))]
        going = [
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(processes)
        ]
        outputs = [process.communicate(timeout=240)[0] for process in going]
        assert [process.returncode for process in going] == [0] * processes, outputs
        return [line.split()[1] for output in outputs for line in output.splitlines() if line.startswith("RUN ")]

    def wait(self, *pip: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """What is printed while it is waited for."""
        return self.services.python("-m", "mlflows", "run", str(self.write(*pip, **options)), "wait")


@pytest.fixture
def project(tmp_path: Path, services: Services) -> Project:
    return Project(tmp_path, services)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A project to install whose build goes on until its gate is there."""
    gate = tmp_path / "gate"
    yield str(make_slow_project(tmp_path / "slow", gate)), gate
    gate.touch()


def building(gate: Path) -> None:
    until(lambda: Path(f"{gate}.waiting").exists())


def status(services: Services, run: str) -> str:
    return str(json.loads(services.mlflows("show", run, "--json"))["status"])


def ended(run: str) -> bool:
    return (settings.job_folder(run) / "closed.json").exists()


def log_of(run: str) -> str:
    path = settings.job_folder(run) / BUILD_LOG
    return path.read_text() if path.exists() else ""


def run_in(output: str) -> str:
    return next(line.split()[1] for line in output.splitlines() if line.startswith("RUN "))


def test_built_shown_and_kept(project: Project, services: Services, prefect: RestClient, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "shown-lib")
    train = "import shown_lib, sys\nfrom azureml.core import Run\nRun.get_context().log('x', 1)\nprint('has', shown_lib.VERSION)\n"
    done = project.wait(str(wheel), "azureml-defaults", train=train)
    assert done.returncode == 0, done.stdout
    heading = f"Streaming {BUILD_LOG}\n{'=' * len('Streaming ' + BUILD_LOG)}\n\nBuilding the environment "
    assert heading in done.stdout and "azureml-defaults is not installed" in done.stdout
    assert "\n\nStreaming user_logs/std_log.txt\n===============================\n\nhas 1.0\n" in done.stdout
    run = run_in(done.stdout)
    shown = json.loads(services.mlflows("show", run, "--json"))
    assert BUILD_LOG in shown["logFiles"] and shown["metrics"] == {"x": 1}
    flow_run = prefect.post("/flow_runs/filter", {"flow_runs": {"name": {"any_": [run]}}})[0]
    wanted = {"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}}
    until(lambda: any("Installing" in line["message"] for line in prefect.post("/logs/filter", wanted)))
    began = time.monotonic()
    again = project.wait(str(wheel), "azureml-defaults", train=train)
    assert again.returncode == 0 and "has 1.0" in again.stdout and BUILD_LOG not in again.stdout
    assert time.monotonic() - began < 30 and log_of(run_in(again.stdout)) == ""


def test_an_edit_of_the_script_needs_no_build(project: Project, services: Services, tmp_path: Path) -> None:
    wheel = str(make_wheel(tmp_path, "edited-lib"))
    train = "import edited_lib, sys\nprint({!r}, edited_lib.VERSION, sys.prefix)\n"
    outputs = []
    for word in ("first", "second"):
        done = project.wait(wheel, train=train.format(word), name="edited")
        assert done.returncode == 0, done.stdout
        outputs.append((run_in(done.stdout), next(line for line in done.stdout.splitlines() if line.startswith(f"{word} 1.0 "))))
    (first, before), (second, after) = outputs
    assert log_of(first).startswith("Building the environment") and log_of(second) == ""
    assert before.removeprefix("first ") == after.removeprefix("second "), "another environment"


def test_a_failed_build_says_why_wherever_one_looks(project: Project, services: Services, prefect: RestClient) -> None:
    done = project.wait("--no-index", "surely-not-there==1.0", name="broken")
    assert done.returncode == 1
    reason = "environment 'broken': the requirement surely-not-there==1.0 cannot be installed"
    assert done.stdout.count("Traceback (most recent call last)") == 1, "the error's own traceback helps nobody"
    assert reason in done.stdout and f'"log": "{settings.job_folder(run_in(done.stdout))}/{BUILD_LOG}"' in done.stdout
    run = run_in(done.stdout)
    shown = json.loads(services.mlflows("show", run, "--json"))
    assert shown["status"] == "Failed" and shown["error"]["error"]["message"].startswith(reason)
    assert "surely-not-there was not found" in services.mlflows("logs", run)
    flow_run = prefect.post("/flow_runs/filter", {"flow_runs": {"name": {"any_": [run]}}})[0]
    assert flow_run["state_name"] == "Failed" and reason in flow_run["state"]["message"]


def test_the_log_is_in_mlflow_while_the_build_goes_on_and_whole_at_its_end(
    project: Project, services: Services, slow: tuple[str, Path]
) -> None:
    path, gate = slow
    backend = Path(path, "backend.py")
    backend.write_text(backend.read_text().replace("    shutil.copy(", "    raise RuntimeError('no compiler')\n    shutil.copy("))
    (run,) = project.submit(path)
    building(gate)
    until(lambda: "Installing" in services.mlflows("logs", run))
    gate.touch()
    until(lambda: ended(run))
    logs = services.mlflows("logs", run)
    assert logs == log_of(run) and "The build failed" in logs and "no compiler" in logs


def test_twenty_runs_of_one_new_environment(project: Project, services: Services, slow: tuple[str, Path], tmp_path: Path) -> None:
    path, gate = slow
    runs = project.submit_at_once(4, path, times=5)
    assert len(set(runs)) == 20
    building(gate)
    until(lambda: all(log_of(run) for run in runs), 120)
    other = project.wait("azureml-core", train="print('not held up')\n")  # nothing to install
    assert "not held up" in other.stdout and not any(ended(run) for run in runs)
    gate.touch()
    until(lambda: all(ended(run) for run in runs), 180)
    assert {status(services, run) for run in (runs[0], runs[-1])} == {"Completed"}
    logs = [log_of(run) for run in runs]
    assert sum(log.startswith("Building the environment") for log in logs) == 1
    assert sum(log.startswith("Waiting: another run builds") for log in logs) == 19
    assert all("the build of slow" in log or "Installing" in log for log in logs)
    prefixes = {(settings.job_folder(run) / "user_logs" / "std_log.txt").read_text() for run in runs}
    assert len(prefixes) == 1 and "/environments/" in prefixes.pop()


def test_a_cancel_ends_the_build_and_others_take_it_over(project: Project, services: Services, slow: tuple[str, Path]) -> None:
    path, gate = slow
    first, second = project.submit(path, times=2)
    building(gate)
    builder, other = (first, second) if log_of(first).startswith("Building") else (second, first)
    until(lambda: log_of(other).startswith("Waiting"))
    Path(f"{gate}.waiting").unlink()
    asked = subprocess.Popen([sys.executable, "-m", "mlflows", "cancel", builder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    asked.wait(60)
    began = time.monotonic()
    until(lambda: ended(builder), 10)
    assert time.monotonic() - began < 2.5, "it took longer than two seconds"
    assert status(services, builder) == "Canceled" and "The build was stopped." in log_of(builder)
    building(gate)  # the other one builds
    gate.touch()
    until(lambda: ended(other))
    assert status(services, other) == "Completed"


def test_who_waits_can_be_canceled(project: Project, services: Services, slow: tuple[str, Path]) -> None:
    path, gate = slow
    runs = project.submit(path, times=2)
    building(gate)
    waiting = until(lambda: next((run for run in runs if log_of(run).startswith("Waiting")), None))
    services.mlflows("cancel", waiting)
    until(lambda: ended(waiting), 10)
    assert status(services, waiting) == "Canceled"
    gate.touch()
    builder = next(run for run in runs if run != waiting)
    until(lambda: ended(builder))
    assert status(services, builder) == "Completed"


def test_a_runner_killed_in_the_middle_of_a_build(project: Project, services: Services, slow: tuple[str, Path]) -> None:
    path, gate = slow
    (run,) = project.submit(path)
    building(gate)
    Path(f"{gate}.waiting").unlink()
    os.kill(runner_pid(), signal.SIGKILL)
    building(gate)  # the next runner has adopted the run, and builds
    gate.touch()
    until(lambda: ended(run), 60)
    assert status(services, run) == "Completed"
    assert log_of(run).count("Building the environment") == 2


def runner_pid() -> int:
    """The process that holds the runner's socket, below its guard."""
    guard = settings.services_record()["runner"]["pid"]
    return int(Path(f"/proc/{guard}/task/{guard}/children").read_text().split()[0])


def test_settings_of_pip_where_one_submits_hold(
    project: Project, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner was started somewhere else, without them."""
    make_wheel(tmp_path / "wheels", "only-here")
    with index(tmp_path / "wheels") as served:
        monkeypatch.setenv("PIP_INDEX_URL", served.url)
        done = project.wait("only-here", train="import only_here\nprint('has', only_here.VERSION)\n")
    assert "has 1.0" in done.stdout, done.stdout


def test_render_names_the_python_that_will_be(project: Project, services: Services) -> None:
    submit = project.write("six==1.15.0")
    output = services.mlflows("render", str(submit))
    rendered = json.loads(output[output.index("{") :])
    interpreter = rendered["job"]["interpreter"]
    assert interpreter.startswith(str(builds.store())) and not Path(interpreter).exists()
    done = project.wait("six==1.15.0", train="import six, sys\nprint('prefix', sys.executable)\n")
    assert f"prefix {interpreter}\n" in done.stdout


def test_a_password_in_an_index_url_stays_secret(project: Project, services: Services, prefect: RestClient, tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "guarded")
    with index(tmp_path / "wheels", CANARY) as served:
        done = project.wait(
            f"--extra-index-url http://person:{CANARY}@{served.address}/simple",
            "guarded",
            train="import guarded\nprint('has', guarded.VERSION)",
        )
    assert done.returncode == 0 and "has 1.0" in done.stdout and CANARY not in done.stdout, done.stdout
    run = run_in(done.stdout)
    flow_run = prefect.post("/flow_runs/filter", {"flow_runs": {"name": {"any_": [run]}}})[0]
    assert "prefect.blocks.secret." in json.dumps(flow_run["parameters"]) and CANARY not in json.dumps(flow_run)
    home = Path(os.environ["MLFLOWS_HOME"])
    with_it = [str(path) for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert with_it == []


def test_a_retry_finds_the_environment(project: Project, services: Services, prefect: RestClient, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    train = f"import os, sys, toolz\nprint('prefix', sys.prefix)\nsys.exit(0 if os.path.exists({str(mended)!r}) else 3)\n"
    (run,) = project.submit("toolz", train=train)
    until(lambda: ended(run), 60)
    assert status(services, run) == "Failed" and log_of(run).startswith("Building the environment")
    mended.touch()
    flow_run = prefect.post("/flow_runs/filter", {"flow_runs": {"name": {"any_": [run]}}})[0]
    prefect.post(f"/flow_runs/{flow_run['id']}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}})
    until(lambda: not ended(run))
    until(lambda: ended(run), 60)
    assert status(services, run) == "Completed" and log_of(run) == ""
    logs = settings.job_folder(run) / "user_logs"
    assert (logs / "std_log.txt").read_text() == (logs / "attempt_0" / "std_log.txt").read_text()
    assert "Installing toolz" in (logs / "attempt_0" / "20_image_build_log.txt").read_text()


def test_who_adopts_a_running_job_asks_for_no_environment(project: Project, services: Services, tmp_path: Path) -> None:
    wheel, go_on = make_wheel(tmp_path, "adopted-lib"), tmp_path / "go_on"
    train = f"import adopted_lib, os, time\nprint('up', flush=True)\nwhile not os.path.exists({str(go_on)!r}):\n    time.sleep(0.05)\n"
    (run,) = project.submit(str(wheel), train=train)
    std_log = settings.job_folder(run) / "user_logs" / "std_log.txt"
    until(lambda: std_log.exists() and "up" in std_log.read_text())
    wheel.unlink()  # it could not be built again
    ready = Path(json.loads((settings.job_folder(run) / "job.json").read_text())["interpreter"]).parents[2] / "ready.json"
    ready.unlink()
    os.kill(runner_pid(), signal.SIGKILL)
    time.sleep(1)
    go_on.touch()
    until(lambda: ended(run), 60)
    assert status(services, run) == "Completed" and not ready.exists()


def test_an_environment_that_a_deployment_names(project: Project, services: Services, prefect: RestClient, tmp_path: Path) -> None:
    train = "import named_lib, sys\nprint('has', named_lib.VERSION, sys.prefix)\n"
    first = project.wait(str(make_wheel(tmp_path, "named-lib")), train=train, name="named")
    assert first.returncode == 0, first.stdout
    deployment = prefect.get("/deployments/name/script-run/local")

    def ended_with(name: str) -> Any:
        job = {"source_directory": str(project.folder / "code"), "script": "train.py", "environment": {"name": name}}
        made = prefect.post(f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {"job": {**job, "experiment": name}}})
        return until(lambda: next((run for run in [prefect.get(f"/flow_runs/{made['id']}")] if run["state_type"] in FINAL), None))

    assert ended_with("named")["state_name"] == "Completed"
    (run,) = json.loads(services.mlflows("runs", "-e", "named", "--json"))
    assert services.mlflows("logs", run["run_id"]).endswith(
        next(line for line in first.stdout.splitlines() if line.startswith("has")) + "\n"
    )
    failed = ended_with("nobody-s")
    assert failed["state_name"] == "Failed" and "nobody-s" in failed["state"]["message"] and "named" in failed["state"]["message"]
