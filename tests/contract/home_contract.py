"""What every home keeps: one test class, run against each. A subclass gives the fixture ``home``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from mlflows.compute.protocol import Ended, Launch
from mlflows.data import snapshot
from mlflows.spec import Distribution, JobSpec


class HomeContract:
    """Exit codes, arguments, streams, ranks, fail-fast, deadline, cancel, adoption."""

    interpreter = sys.executable

    @pytest.fixture
    def launch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Makes a Launch of a script's text."""
        monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))

        def make(script: str, *arguments: str, command: str | None = None, attempt: int = 0, **fields: Any) -> Launch:
            source = tmp_path / "source"
            source.mkdir(exist_ok=True)
            (source / "train.py").write_text(textwrap.dedent(script))
            store = tmp_path / "store"
            spec = JobSpec(
                str(source),
                script=None if command else "train.py",
                command=command,
                arguments=list(arguments),
                snapshot=snapshot.take(source, store).id,
                **fields,
            )
            folder = tmp_path / "home" / "runs" / "contract_1_00000000"
            return Launch(spec, folder.name, attempt, folder, self.interpreter, store, {})

        return make

    def run(self, home: Any, launch: Launch) -> Ended:
        """Start and wait."""

        async def both() -> Ended:
            return await home.wait(await home.start(launch, _environment()))

        return asyncio.run(both())

    def status(self, ended: Ended) -> Any:
        """The status file's content."""
        assert ended.status is not None, ended.message
        return ended.status

    def log(self, launch: Launch, name: str = "std_log.txt") -> str:
        """A log's text."""
        return (launch.folder / "user_logs" / name).read_text(errors="surrogateescape")

    # --- exit codes, arguments, streams

    @pytest.mark.parametrize("code", [0, 1, 3, 255])
    def test_exit_code(self, home: Any, launch: Any, code: int) -> None:
        status = self.status(self.run(home, launch(f"raise SystemExit({code})")))
        assert status["exit_code"] == code
        assert status["state"] == ("Completed" if code == 0 else "Failed")

    def test_an_exception_is_reported_in_words(self, home: Any, launch: Any) -> None:
        status = self.status(self.run(home, launch("def f():\n    raise ValueError('bad learning rate')\nf()")))
        assert status["state"] == "Failed"
        assert status["message"] == "User program failed with ValueError: bad learning rate"
        assert "in f" in status["traceback"]

    def test_killed_by_a_signal(self, home: Any, launch: Any) -> None:
        status = self.status(self.run(home, launch("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")))
        assert (status["state"], status["signal"]) == ("Failed", 9)
        assert "SIGKILL" in status["message"]

    def test_arguments_arrive_as_they_are(self, home: Any, launch: Any) -> None:
        arguments = ["a b", 'say "hi"', "it's", "$HOME", "$(id)", "a\nb", "", "ünïcode ✓", "--x=1", "*", "\\n", "`id`", "#"]
        made = launch("import sys, json; print(json.dumps(sys.argv[1:]))", *arguments)
        assert self.status(self.run(home, made))["state"] == "Completed"
        assert json.loads(self.log(made)) == arguments

    def test_command_is_run_by_a_shell(self, home: Any, launch: Any) -> None:
        made = launch("", command="export A='x y' && echo \"$A\" | tr a-z A-Z; python3 -c 'print(1+1)'")
        assert self.status(self.run(home, made))["state"] == "Completed"
        assert self.log(made).split("\n")[:2] == ["X Y", "2"]

    def test_both_streams_keep_their_order(self, home: Any, launch: Any) -> None:
        made = launch("import os\nfor i in range(500):\n    os.write(1 + i % 2, b'%d\\n' % i)")
        self.run(home, made)
        assert self.log(made).split() == [str(i) for i in range(500)]

    def test_no_line_is_lost(self, home: Any, launch: Any) -> None:
        made = launch("for i in range(200000): print('line', i)")
        self.run(home, made)
        lines = self.log(made).splitlines()
        assert len(lines) == 200000
        assert lines[-1] == "line 199999"

    def test_a_long_line_and_one_without_newline(self, home: Any, launch: Any) -> None:
        made = launch("import sys; print('x' * 1048576); sys.stdout.write('end')")
        self.run(home, made)
        assert self.log(made) == "x" * 1048576 + "\nend"

    def test_working_directory_has_the_code_outputs_and_logs(self, home: Any, launch: Any) -> None:
        made = launch("import os; print(sorted(n for n in os.listdir('.') if n in ('train.py', 'outputs', 'logs')))")
        self.run(home, made)
        assert self.log(made).strip() == "['logs', 'outputs', 'train.py']"

    def test_the_names_of_the_sdk_are_there(self, home: Any, launch: Any) -> None:
        made = launch("from azureml.core import Run\nimport mlflows\nprint(Run.get_context().id)", environment_variables={})
        made = Launch(**{**made.__dict__, "variables": {"AZUREML_RUN_ID": made.run_id}})
        assert self.status(self.run(home, made))["state"] == "Completed", self.log(made)
        assert self.log(made).strip() == made.run_id

    # --- ranks

    def test_every_rank_knows_its_place(self, home: Any, launch: Any) -> None:
        script = "import os; print(*(os.environ[n] for n in ('RANK', 'LOCAL_RANK', 'NODE_RANK', 'WORLD_SIZE')))"
        made = launch(script, distribution=Distribution("pytorch", node_count=2, processes_per_node=2, backend="gloo"))
        assert self.status(self.run(home, made))["state"] == "Completed"
        logs = [self.log(made, f"std_log_process_{rank}.txt").strip() for rank in range(4)]
        assert logs == ["0 0 0 4", "1 1 0 4", "2 0 1 4", "3 1 1 4"]

    def test_one_rank_fails_and_all_end(self, home: Any, launch: Any) -> None:
        script = """
            import os, time
            if os.environ["RANK"] == "1":
                time.sleep(1)
                raise RuntimeError("rank one is gone")
            time.sleep(60)
        """
        made = launch(script, distribution=Distribution("pytorch", processes_per_node=2, backend="gloo"))
        began = time.monotonic()
        status = self.status(self.run(home, made))
        assert time.monotonic() - began < 5
        assert (status["state"], status["rank"]) == ("Failed", 1)
        assert "rank one is gone" in status["message"]

    # --- end by force

    def test_deadline(self, home: Any, launch: Any) -> None:
        status = self.status(self.run(home, launch("import time; time.sleep(60)", max_run_duration_seconds=1)))
        assert (status["state"], status["reason"]) == ("Canceled", "deadline")
        assert "1 s" in status["message"] or "1 second" in status["message"]

    def test_cancel_leaves_no_process(self, home: Any, launch: Any) -> None:
        script = """
            import os, subprocess, sys, time
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
            print("ready", flush=True)
            time.sleep(300)
        """
        made = launch(script)

        async def cancelled() -> Ended:
            handle = await home.start(made, _environment())
            await _until(lambda: "ready" in self.log(made))
            await home.stop(handle, "because I say so")
            return await home.wait(handle)

        status = self.status(asyncio.run(cancelled()))
        assert (status["state"], status["reason"]) == ("Canceled", "cancel")
        assert "because I say so" in status["message"]
        assert self.left_over(made) == []

    def left_over(self, launch: Launch) -> list[Any]:
        """What of the run still exists; a home knows how to look."""
        raise NotImplementedError

    # --- adoption

    def test_find(self, home: Any, launch: Any) -> None:
        made = launch("pass")
        assert home.find(made.run_id, 0) is None
        self.run(home, made)
        assert home.find(made.run_id, 0) is not None
        assert home.find(made.run_id, 1) is None

    def test_starting_twice_starts_once(self, home: Any, launch: Any) -> None:
        made = launch("import time; print('started', flush=True); time.sleep(1)")

        async def many() -> list[Ended]:
            handles = await asyncio.gather(*(home.start(made, _environment()) for _ in range(10)))
            assert len(set(handles)) == 1
            return list(await asyncio.gather(*(home.wait(handle) for handle in handles)))

        assert {self.status(ended)["state"] for ended in asyncio.run(many())} == {"Completed"}
        assert self.log(made).split() == ["started"]

    def test_adopted_after_the_launcher_was_killed(self, home: Any, launch: Any, tmp_path: Path) -> None:
        made = launch("import time; print('started', flush=True); time.sleep(2); print('over')")
        launcher = subprocess.Popen([sys.executable, "-c", _LAUNCHER, json.dumps(_plain(home, made))], env=_environment())
        asyncio.run(_until(lambda: (made.folder / "user_logs" / "std_log.txt").exists() and "started" in self.log(made)))
        os.kill(launcher.pid, signal.SIGKILL)
        launcher.wait()
        assert self.status(self.run(home, made))["state"] == "Completed"
        assert self.log(made).split() == ["started", "over"]

    def test_render_starts_nothing(self, home: Any, launch: Any) -> None:
        made = launch("print('never')")
        assert json.dumps(home.render(made))
        assert not made.folder.exists()


_LAUNCHER = """
import asyncio, importlib, json, os, sys
from pathlib import Path
from mlflows.compute.protocol import Launch
from mlflows.spec import JobSpec
plain = json.loads(sys.argv[1])
module, _, name = plain["home"].partition(":")
home = getattr(importlib.import_module(module), name)(**plain["fields"])
launch = Launch(JobSpec.from_dict(plain["spec"]), plain["run_id"], 0, Path(plain["folder"]), plain["interpreter"], Path(plain["store"]), {})
async def main():
    await home.wait(await home.start(launch, dict(os.environ)))
asyncio.run(main())
"""


def _plain(home: Any, launch: Launch) -> dict[str, Any]:
    return {
        "home": f"{type(home).__module__}:{type(home).__name__}",
        "fields": dict(vars(home)),
        "spec": launch.spec.to_dict(),
        "run_id": launch.run_id,
        "folder": str(launch.folder),
        "interpreter": launch.interpreter,
        "store": str(launch.snapshot_store),
    }


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AZUREML_", "MLFLOW_"))}


async def _until(condition: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except FileNotFoundError:
            pass
        await asyncio.sleep(0.02)
    raise AssertionError("condition not met in time")
