"""What Prefect hears of a build."""

from __future__ import annotations

import asyncio
import logging
import types
from pathlib import Path
from typing import Any

from mlflows.flows import building
from mlflows.flows.steering import Steering


class Lines(logging.Handler):
    """What a logger was told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def test_the_log_of_a_build_is_whole_in_its_file_and_bounded_in_prefect(tmp_path: Path) -> None:
    lines, logger = Lines(), logging.getLogger("test_building")
    logger.setLevel(logging.INFO)
    logger.handlers = [lines]
    context: Any = types.SimpleNamespace(folder=tmp_path, steering=Steering())

    async def build() -> None:
        wanted = building._Wanted({}, "0" * 16, context, logger)
        await asyncio.to_thread(lambda: [wanted.write(f"line {number}\nand more\n") for number in range(400)])
        await asyncio.sleep(0.1)

    asyncio.run(build())
    log = tmp_path / "azureml-logs" / "20_image_build_log.txt"
    assert len(log.read_text().splitlines()) == 800
    assert lines.said[:2] == ["line 0", "and more"] and len(lines.said) == building.MOST_LINES + 1
    assert lines.said[-1] == f"... the first {building.MOST_LINES} lines; the whole log is {log}"
