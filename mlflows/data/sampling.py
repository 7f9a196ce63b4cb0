"""The steps that files and rows have in common: their arguments, and who is drawn."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from mlflows.exceptions import UserErrorException

_MOST = 2**32 - 1


def count_of(count: Any) -> int:
    """A number of files or rows.

    Raises:
        UserErrorException: it is none.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise UserErrorException(f"count: {count!r} is not a number of rows or files. Give a whole number from 0.")
    return count


def share_of(field: str, share: Any) -> float:
    """A probability.

    Raises:
        UserErrorException: it is none.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise UserErrorException(f"{field}: {share!r} is not a number from 0 to 1.")
    return float(share)


def seed_of(seed: Any) -> int:
    """A seed; without one a drawn one, which the dataset keeps, so that it is the same whenever it is read.

    Raises:
        UserErrorException: it is none.
    """
    if seed is None:
        return int.from_bytes(os.urandom(4), "big")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= _MOST:
        raise UserErrorException(f"seed: {seed!r} is not a whole number from 0 to {_MOST}.")
    return seed


def draw(seed: int, name: str) -> float:
    """A number from 0 to 1 that belongs to a name: one more file does not draw the others anew."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big") / 2**56
