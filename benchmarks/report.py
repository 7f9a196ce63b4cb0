"""What a figure reports, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """What a figure should be, and whether it is."""

    text: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Table:
    """One figure: a title, column names, rows of (label, cells), and goals."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    goals: Sequence[Goal] = field(default_factory=tuple)


def seconds(value: float) -> str:
    """``0.213``."""
    return f"{value:.3f}"


def ratio(value: float, base: float) -> str:
    """``2.4 x``: how many times ``base`` a value is."""
    return f"{value / base:.2f} x"


def under(text: str, value: float, limit: float, unit: str) -> Goal:
    """A goal met by ``value`` below ``limit``."""
    return Goal(text, f"{value:.3g} {unit}", value < limit)


def render(table: Table) -> str:
    """The table as text, columns aligned, one line per goal below it."""
    first = max(len(label) for label, _ in table.rows)
    widths = [max(len(name), *(len(cells[i]) for _, cells in table.rows)) for i, name in enumerate(table.columns)]
    lines = [table.title, _line("", table.columns, first, widths)]
    lines += [_line(label, cells, first, widths) for label, cells in table.rows]
    lines += [f"  goal: {goal.text}: {goal.measured}, {'met' if goal.met else 'NOT met'}" for goal in table.goals]
    return "\n".join(lines)


def _line(label: str, cells: Sequence[str], first: int, widths: Sequence[int]) -> str:
    return "  " + label.ljust(first) + "".join("  " + cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
