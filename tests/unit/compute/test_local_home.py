"""The local home keeps the contract."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mlflows import settings
from mlflows.compute import spares
from mlflows.compute.local import LocalHome, folder_of
from mlflows.compute.processes import job_processes
from mlflows.compute.protocol import Launch
from tests.contract.home_contract import HomeContract


class TestLocalHome(HomeContract):
    @pytest.fixture
    def home(self) -> LocalHome:
        return LocalHome()

    def left_over(self, launch: Launch) -> list[Any]:
        return job_processes(launch.folder).get(str(launch.folder), [])

    def test_the_script_opens_the_submitters_workspaces(self, home: LocalHome, launch: Any) -> None:
        made = launch("from mlflows import settings; print(settings.home())")

        async def without_variables() -> Any:
            return await home.wait(await home.start(made, {"PATH": "/usr/bin:/bin"}))

        assert self.status(asyncio.run(without_variables()))["state"] == "Completed"
        assert self.log(made).strip() == str(settings.home())

    def test_a_secret_is_in_no_file(self, home: LocalHome, launch: Any) -> None:
        made = launch("import os; print(len(os.environ['DB_PASSWORD']))")
        made = Launch(**{**made.__dict__, "variables": {"DB_PASSWORD": "{{ prefect.blocks.secret.db }}"}})

        async def both() -> Any:
            return await home.wait(await home.start(made, {"DB_PASSWORD": "canary-0451", "PATH": "/usr/bin:/bin"}))

        assert self.status(asyncio.run(both()))["state"] == "Completed"
        assert self.log(made).strip() == "11"
        files = [path for path in made.folder.rglob("*") if path.is_file() and "lib" not in path.relative_to(made.folder).parts]
        assert [path for path in files if b"canary-0451" in path.read_bytes()] == []

    def test_a_cancel_before_the_supervisor_can_take_it(self, home: LocalHome, launch: Any) -> None:
        made = launch("import time; time.sleep(60)")

        async def at_once() -> Any:
            handle = await home.start(made, {"PATH": "/usr/bin:/bin"})
            await home.stop(handle, "not wanted")
            return await home.wait(handle)

        status = self.status(asyncio.run(at_once()))
        assert (status["state"], status["reason"]) == ("Canceled", "cancel")
        assert "not wanted" in status["message"] and self.left_over(made) == []


def test_a_handle_of_another_machine_is_refused() -> None:
    with pytest.raises(ValueError, match="not a job of this machine"):
        folder_of("local://elsewhere/tmp/x")


class TestLocalHomeWithASpare(TestLocalHome):
    """The same with a supervisor started ahead, as the resident runner has one."""

    @pytest.fixture(autouse=True)
    def spare(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(spares, "_keeping", True)
        spares._refill()
        yield
        monkeypatch.setattr(spares, "_keeping", False)
        for left in spares._kept:
            left.kill()
        spares._kept.clear()

    def test_the_spare_is_taken_and_replaced(self, home: LocalHome, launch: Any) -> None:
        spare = spares._kept[-1]
        made = launch("pass")
        assert self.status(self.run(home, made))["state"] == "Completed"
        assert json.loads((made.folder / "system_logs" / "spawned.json").read_text())["pid"] == spare.pid
        deadline = time.monotonic() + 5
        while len(spares._kept) < spares.SPARES and time.monotonic() < deadline:
            time.sleep(0.02)
        assert spare not in spares._kept and len(spares._kept) == spares.SPARES

    def test_a_dead_spare_does_not_keep_a_run_from_starting(self, home: LocalHome, launch: Any) -> None:
        spares._kept[-1].kill()
        spares._kept[-1].wait()
        assert self.status(self.run(home, launch("pass")))["state"] == "Completed"
