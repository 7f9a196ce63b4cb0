"""RunDetails: a run's state, shown in a notebook while it goes on."""

from __future__ import annotations

import sys
import threading
from typing import Any

from mlflows.history import describe, display
from mlflows.history.display import escape
from mlflows.history.status import TERMINAL
from mlflows.job import layout

SECONDS = 3.0
LOG_CHARACTERS = 20_000


class RunDetails:
    """Shows a run. In IPython the display follows the run until it ends; elsewhere a summary is printed.

    Args:
        run_instance: a Run.
    """

    def __init__(self, run_instance: Any) -> None:
        if not hasattr(run_instance, "get_details"):
            raise TypeError(f"RunDetails needs a run, not a {type(run_instance).__name__}")
        self._run = run_instance

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:
        """Show the run; returns at once."""
        if "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None:
            print(_text(self.get_widget_data()))
            return
        from IPython.display import HTML
        from IPython.display import display as show

        handle = show(HTML(self._html()), display_id=True)
        if self._run.status not in TERMINAL:
            threading.Thread(target=self._follow, args=(handle, HTML), name="mlflows-run-details", daemon=True).start()

    def get_widget_data(self, widget_settings: Any = None) -> dict[str, Any]:
        """What is shown: ``status``, ``run_id``, ``run_properties``, ``run_metrics``, ``run_logs``, ``graph``, ``widget_settings``."""
        record = self._run._refresh()
        return {
            "status": self._run.status,
            "workbench_run_details_uri": self._run.get_portal_url(),
            "run_id": self._run.id,
            "run_properties": {
                "run_id": self._run.id,
                "run_number": None,
                "created_utc": describe.utc(record.start_ms),
                "end_time_utc": describe.utc(record.end_ms),
                "status": self._run.status,
                "tags": self._run.tags,
                "error": describe.error_of(record),
            },
            "run_metrics": self._run.get_metrics(),
            "run_logs": self._log(),
            "widget_settings": dict(widget_settings or {}),
        }

    def _follow(self, handle: Any, html: Any) -> None:
        stop = threading.Event()
        while not stop.wait(SECONDS):
            handle.update(html(self._html()))
            if self._run.status in TERMINAL:
                return

    def _log(self) -> str:
        artifacts = self._run._artifacts()
        for name in (f"{layout.USER_LOGS}/{layout.STD_LOG}", f"{layout.BUILD_LOGS}/{layout.BUILD_LOG}"):
            data = artifacts.read_from(name, 0)
            if data:
                return str(data[-LOG_CHARACTERS:].decode("utf-8", "replace"))
        return ""

    def _html(self) -> str:
        data = self.get_widget_data()
        properties = data["run_properties"]
        rows = {
            "Run": display.link(data["workbench_run_details_uri"], data["run_id"]),
            "Status": escape(data["status"]),
            "Started": escape(properties["created_utc"] or ""),
            "Ended": escape(properties["end_time_utc"] or ""),
            **{escape(name): escape(_short(value)) for name, value in data["run_metrics"].items()},
        }
        if properties["error"]:
            rows["Error"] = escape(properties["error"]["message"])
        table = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows.items())
        return f'<table>{table}</table><pre style="max-height:20em;overflow:auto">{escape(data["run_logs"])}</pre>'


def _text(data: dict[str, Any]) -> str:
    lines = [f"Run {data['run_id']}: {data['status']}", data["workbench_run_details_uri"]]
    lines += [f"  {name}: {_short(value)}" for name, value in data["run_metrics"].items()]
    if data["run_properties"]["error"]:
        lines.append(f"  Error: {data['run_properties']['error']['message']}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[-1]} (last of {len(value)})" if value else "[]"
    text = str(value)
    return text if len(text) <= 200 else text[:197] + "..."
