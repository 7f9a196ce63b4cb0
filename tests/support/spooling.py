"""Scripts that are torn at any byte, and collectors that are killed at any step, for property tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from mlflows.history.collector import Collector
from mlflows.history.limits import key_of
from mlflows.history.tracking import Metric
from mlflows.job import layout
from tests.support.history import JobFolder

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("metric"), st.sampled_from(["a", "b/c", "d%"]), st.integers(0, 1), st.integers(-5, 5)),
        st.tuples(st.just("list"), st.sampled_from(["a", "l"]), st.integers(0, 1), st.lists(st.integers(0, 9), max_size=4)),
        st.tuples(st.just("tear"), st.integers(0, 1), st.integers(1, 40)),
        st.tuples(st.just("step")),
        st.tuples(st.just("crash")),
        st.tuples(st.just("restore"), st.integers(0, 5)),
    ),
    max_size=40,
)
"""metric and list: a call of the script, by name and rank. tear: its process dies in the middle of a line. step: the collector goes
around once. crash: it is killed and another one begins. restore: likewise, from an earlier state."""


def play(actions: list[Any], folder: JobFolder, collector: Callable[[], Collector]) -> tuple[set[Metric], dict[str, list[Any]]]:
    """Do all that; the points and the values by name that must arrive in the end."""
    points: set[Metric] = set()
    logged: dict[str, dict[int, list[Any]]] = {}
    states: list[str] = []
    current = collector()
    current._begin()
    for now, (action, *arguments) in enumerate(actions):
        if action in ("metric", "list"):
            name, rank, value = arguments
            series = logged.setdefault(name, {}).setdefault(rank, [])
            for each in value if action == "list" else [value]:
                points.add(Metric(key_of(name), float(each), now, len(series)))
                series.append(each)
            folder.event(action, rank, t=now, name=name, value=value, step=None)
        elif action == "tear":
            rank, length = arguments
            with (folder.path / "events" / f"rank-{rank}.jsonl").open("a") as handle:
                handle.write('{"t": 5, "e": "metric", "name": "torn", "value": 1}'[:length])
        elif action == "step":
            current._safely(current._step)
            if (folder.path / layout.COLLECTOR_FILE).exists():
                states.append((folder.path / layout.COLLECTOR_FILE).read_text())
        else:
            if action == "restore" and states:
                folder.write(layout.COLLECTOR_FILE, states[arguments[0] % len(states)])
            current = collector()
            current._begin()
    values = {name: [value for rank in sorted(ranks) for value in ranks[rank]] for name, ranks in logged.items()}
    return points, {name: series for name, series in values.items() if series}
