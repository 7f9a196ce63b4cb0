"""What a run leaves on its flow run's page in Prefect."""

from __future__ import annotations

import logging
from typing import Any

from prefect.artifacts import acreate_link_artifact, acreate_markdown_artifact

from mlflows.flows.context import RunContext
from mlflows.history.closing import Outcome

logger = logging.getLogger(__name__)


async def link(context: RunContext) -> None:
    """A link to the run in MLflow's UI."""
    await _quietly(acreate_link_artifact(key="mlflow-run", link=context.url, link_text=context.run.run_id, description="The run in MLflow"))


async def summary(context: RunContext, outcome: Outcome) -> None:
    """The outcome, as a page of Markdown."""
    await _quietly(acreate_markdown_artifact(key="script-run", markdown=_markdown(context, outcome), description="How the run ended"))


async def _quietly(creation: Any) -> None:
    """A page that could not be written must not fail a run that went well."""
    try:
        await creation
    except Exception as error:
        logger.warning("Artifact not written: %s", error)


def _markdown(context: RunContext, outcome: Outcome) -> str:
    job = context.job
    rows = {
        "Run": f"[{context.run.run_id}]({context.url})",
        "Experiment": job.experiment,
        "Status": outcome.status,
        "Script": " ".join([job.script or "", *job.arguments]) if job.script else f"`{job.command}`",
        "Compute target": job.compute_target,
        "Job folder": f"`{context.folder}`",
    }
    lines = ["# " + outcome.status, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join(lines + _error(outcome))


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


def _error(outcome: Outcome) -> list[str]:
    if not outcome.error:
        return []
    text = outcome.error.get("traceback") or "\n".join(outcome.error.get("log_tail") or [])
    lines = ["", f"**{outcome.error.get('message', '')}**"]
    return lines + (["", "```text", str(text)[-4000:], "```"] if text else [])
