"""The same work for many things at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")


def in_parallel(work: Callable[[Thing], object], things: Sequence[Thing], parallel: int) -> None:
    """Do the work for each, in so many threads. The first error ends it; what has not begun does not begin."""
    from concurrent.futures import ThreadPoolExecutor  # not needed to submit a run, and slow to import

    if not things:
        return
    pool = ThreadPoolExecutor(min(parallel, len(things)))
    try:
        for _ in pool.map(work, things):
            pass
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
