"""How a run shows itself: as text, and as a table in notebooks."""

from __future__ import annotations

DOCS = "https://mlflow.org/docs/latest/"


def escape(text: str) -> str:
    """Text as HTML shows it, in attributes, too."""
    import html  # its tables of names are slow to load

    return html.escape(text)


def as_text(experiment: str, run_id: str, kind: str | None, status: str) -> str:
    """``Run(Experiment: ..., Id: ..., Type: ..., Status: ...)``, over four lines."""
    return f"Run(Experiment: {experiment},\nId: {run_id},\nType: {kind},\nStatus: {status})"


def as_html(experiment: str, experiment_url: str, run_id: str, kind: str | None, status: str, url: str, flow_url: str | None) -> str:
    """A table of one row, with links to MLflow's and Prefect's pages."""
    cells = {
        "Experiment": link(experiment_url, experiment),
        "Id": escape(run_id),
        "Type": escape(kind or ""),
        "Status": escape(status),
        "Details Page": link(url, "Open in MLflow"),
        "Flow": link(flow_url, "Open in Prefect") if flow_url else "",
    }
    heads = "".join(f"<th>{name}</th>" for name in cells)
    row = "".join(f"<td>{cell}</td>" for cell in cells.values())
    return f'<table style="width:100%"><tr>{heads}</tr><tr>{row}</tr></table>'


def link(url: str, text: str) -> str:
    """A link that opens beside the notebook."""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(text)}</a>'
