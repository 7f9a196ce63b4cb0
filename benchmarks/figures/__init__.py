"""The figures: each module has ``NAME`` and ``measure(runs) -> list[Table]``."""

from __future__ import annotations

from benchmarks.figures import imports, submit

ALL = (submit, imports)
