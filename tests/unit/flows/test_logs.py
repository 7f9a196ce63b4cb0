"""A run's log in Prefect: each line once, whoever forwards it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mlflows.flows import logs

LOG = "user_logs/std_log.txt"


class Lines(logging.Handler):
    """What a logger was told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Lines:
    monkeypatch.setattr(logs, "POLL_SECONDS", 0.01)
    lines, logger = Lines(), logging.getLogger("test_logs")
    logger.setLevel(logging.INFO)
    logger.handlers = [lines]
    return lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "user_logs").mkdir()
    return tmp_path


def forward(folder: Path, *parts: str) -> None:
    """Forward while the log grows by these parts."""

    async def grow() -> None:
        async with logs.forwarded(folder, logging.getLogger("test_logs")):
            for part in parts:
                with (folder / LOG).open("a", newline="") as log:
                    log.write(part)
                await asyncio.sleep(0.05)

    asyncio.run(grow())


def test_whole_lines_as_they_come_and_the_rest_at_the_end(folder: Path, heard: Lines) -> None:
    forward(folder, "one\ntw", "o\nthr", "ee")
    assert heard.said == ["one", "two", "three"]


def test_of_a_progress_bar_the_last_state(folder: Path, heard: Lines) -> None:
    forward(folder, "10%\r50%\r100%\nend\n")
    assert heard.said == ["100%", "end"]


def test_the_next_flow_goes_on_where_the_last_one_stopped(folder: Path, heard: Lines) -> None:
    forward(folder, "one\n", "two\n")
    forward(folder, "three\n")
    assert heard.said == ["one", "two", "three"]


def test_two_flows_at_once_forward_each_line_once(folder: Path, heard: Lines) -> None:
    async def both() -> None:
        first, second = AsyncExitStack(), AsyncExitStack()
        logger = logging.getLogger("test_logs")
        await first.enter_async_context(logs.forwarded(folder, logger))
        await second.enter_async_context(logs.forwarded(folder, logger))
        (folder / LOG).write_text("one\ntwo\n")
        await asyncio.sleep(0.05)
        await first.aclose()
        (folder / LOG).write_text("one\ntwo\nthree\n")
        await asyncio.sleep(0.05)
        await second.aclose()

    asyncio.run(both())
    assert heard.said == ["one", "two", "three"]


def test_a_long_log_is_cut_with_a_pointer_to_the_whole(folder: Path, heard: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_LINES", 3)
    forward(folder, "".join(f"{number}\n" for number in range(10)))
    forward(folder, "more\n")
    assert heard.said[:3] == ["0", "1", "2"]
    assert "the whole log is std_log.txt" in heard.said[3]
    assert len(heard.said) == 4


def test_a_run_that_prints_nothing(folder: Path, heard: Lines) -> None:
    forward(folder)
    assert heard.said == []
