"""What every test relies on: a clean environment, services of their own, and the rule about what a machine cannot hold.

A test that needs something this machine lacks skips with a reason that starts with "needs ". With CI=true that is a failure: there,
everything has been brought up. The closing list says what was not exercised.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent
IN_CI = os.environ.get("CI") == "true"
SLOW = IN_CI or os.environ.get("MLFLOWS_SLOW") == "1"
FULL_MATRIX = os.environ.get("MLFLOWS_FULL_MATRIX") == "1"
FOREIGN = ("MLFLOWS_", "MLFLOW_", "PREFECT_", "AZUREML_")
"""Variables of the person who runs the tests: none of them may reach a test."""


def pytest_configure(config: pytest.Config) -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            del os.environ[name]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["MLFLOWS_HOME"] = tempfile.mkdtemp(prefix="mlflows-tests-")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):  # ignored where the tests run in the background, and so by all they start
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ.pop("MLFLOWS_HOME"), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not SLOW:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: set MLFLOWS_SLOW=1 to include it"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    return _strict(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    return _strict(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.section("not exercised on this machine")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count:4}  {reason}")


def _strict(report: Any) -> Any:
    """Where everything has been brought up, a test skipped for want of something has failed."""
    if IN_CI and report.skipped and _reason(report).startswith("needs "):
        report.outcome = "failed"
        report.longrepr = f"skipped although CI=true: {_reason(report)}"
    return report


def _reason(report: Any) -> str:
    """The text given to skip; of (file, line, "Skipped: text") where pytest gives that."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


class Services:
    """The local services of this test session, and the command line that uses them."""

    home = property(lambda self: Path(os.environ["MLFLOWS_HOME"]))

    def mlflows(self, *arguments: str, cwd: Path = ROOT, timeout: float = 240) -> str:
        """What ``mlflows`` with these arguments prints, standard error included.

        Raises:
            AssertionError: it did not end with 0; the message has its output.
        """
        done = self.python("-m", "mlflows", *arguments, cwd=cwd, timeout=timeout)
        assert done.returncode == 0, f"mlflows {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def python(self, *arguments: str, cwd: Path = ROOT, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """This interpreter with these arguments; standard error goes into ``stdout``."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Prefect, MLflow and the resident runner, up in this session's own home."""
    services = Services()
    try:
        services.mlflows("up")
        yield services
    finally:
        services.mlflows("down")
