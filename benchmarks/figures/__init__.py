"""The figures: each module has ``NAME`` and ``measure(runs) -> list[Table]``."""

from __future__ import annotations

from benchmarks.figures import crowd, data, environments, imports, lines, logging, snapshot, submit

ALL = (submit, imports, logging, lines, snapshot, crowd, environments, data)
