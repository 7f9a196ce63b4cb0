"""Work that may take minutes, in threads of its own: those that all runs of a process share are few."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")


async def apart(work: Callable[P, Result], *arguments: P.args, **named: P.kwargs) -> Result:
    """What the work returns. If the wait for it is canceled, it goes on."""
    executor = ThreadPoolExecutor(1, work.__name__)
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, lambda: work(*arguments, **named))
    finally:
        executor.shutdown(wait=False)
