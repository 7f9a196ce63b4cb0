"""What MLflow takes as names and values, and how ours are made to fit.

The rules are MLflow's own (``mlflow.utils.validation``): one bad key would make it refuse a whole batch.
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000
MAX_ENTITIES = 1000
"""Metrics, params and tags of one request, together."""
MAX_PARAMS_OR_TAGS = 100
MAX_REQUEST_CHARACTERS = 900_000
"""MLflow refuses a batch of more than 1,000,000 characters."""
MAX_INT64 = 2**63 - 1

_FOREIGN = re.compile(r"[^\w\-. :/]")
_ELLIPSIS = "..."


@lru_cache(maxsize=4096)
def key_of(name: str) -> str:
    """``name`` as MLflow takes it for a metric, param or tag: other characters become ``_``; at most 250; no path tricks."""
    key = _FOREIGN.sub("_", clean(str(name)))[:MAX_KEY].lstrip("/")
    normal = posixpath.normpath(key) if key else ""
    return "_" if normal in ("", ".") or normal.startswith("..") else normal


def artifact_of(name: str) -> str:
    """``name`` as the path of an artifact: relative, without ``..``, characters that an address or a file system minds replaced."""
    parts = [re.sub(r'[\x00-\x1f\\?#%:*"<>|]', "_", part) for part in clean(str(name)).split("/")]
    return "/".join("_" if part == ".." else part for part in parts if part not in ("", ".")) or "_"


def param_value(value: object) -> str:
    """Text of a param, cut to 6000 characters with an ellipsis."""
    return cut(clean(str(value)), MAX_PARAM)


def tag_value(value: object) -> str:
    """Text of a tag, cut to 8000 characters with an ellipsis; None is empty."""
    return "" if value is None else cut(clean(str(value)), MAX_TAG)


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters; what was cut ends in an ellipsis."""
    return text if len(text) <= limit else text[: limit - len(_ELLIPSIS)] + _ELLIPSIS


def clean(text: str) -> str:
    """Without what a database refuses: NUL and half surrogate pairs."""
    if text.isascii():
        return text.replace("\0", "")
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def metric_value(value: float) -> float | str:
    """A number as MLflow's JSON takes it: not finite ones by name.

    Raises:
        OverflowError: an integer beyond what a float holds.
    """
    number = float(value)
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def int64(value: float) -> int:
    """A step or time as MLflow stores it: a whole number of 64 bits; too large ones are the largest."""
    if value != value:
        return 0
    return int(max(-MAX_INT64, min(MAX_INT64, value)))
