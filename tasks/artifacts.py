"""What a person sees of a run in the Prefect UI: progress while it runs, then the summary and the report."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import PurePath

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from themis_lib import RunResult
from themis_lib.core.progress import Progress
from themis_lib.core.run import Run
from themis_lib.report.markdown import SUMMARY_HEADINGS, markdown_report, summary_cells

_INTERVAL_S = 2.0


def run_label() -> str:
    """The name of a flow run: the experiment's file, and where it stops if not at the end."""
    context = FlowRunContext.get()
    parameters = (context.parameters if context else None) or {}
    until = parameters.get("until_stage", "reduce")
    name = PurePath(str(parameters.get("experiment", "experiment"))).stem
    return name if until == "reduce" else f"{name} until {until}"


async def tag_run(*tags: str) -> None:
    """Put tags on the flow run alone, so that it is found by them; its tasks do not inherit them."""
    context = FlowRunContext.get()
    if context and context.flow_run:
        async with get_client() as client:
            await client.update_flow_run(context.flow_run.id, tags=[*context.flow_run.tags, *tags])


@contextlib.asynccontextmanager
async def live_progress(run: Run) -> AsyncIterator[None]:
    """Keep a progress artifact up to date for as long as the block runs."""
    artifact = await acreate_progress_artifact(progress=0.0, key=f"progress-{run.run_id}", description=run.run_id)

    async def update() -> None:
        await aupdate_progress_artifact(
            artifact,
            progress=percent_done(run.progress),
            description=progress_table(run.progress),
        )

    async def keep_updating() -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await update()

    updating = asyncio.ensure_future(keep_updating())
    try:
        yield
        await update()
    finally:
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)


def percent_done(progress: Progress) -> float:
    """Rows finished, of all rows announced so far, in percent."""
    stages = progress.stages().values()
    total = sum(item.total for item in stages)
    return round(100 * sum(max(item.done, item.computed) for item in stages) / total, 1) if total else 0.0


def progress_table(progress: Progress) -> str:
    """Counts by stage as Markdown."""
    lines = ["| stage | rows | done | computed | cached | failed |", "| --- | --- | --- | --- | --- | --- |"]
    for label, item in progress.stages().items():
        done = max(item.done, item.computed)
        lines.append(f"| {label} | {item.total} | {done} | {item.computed} | {item.cached} | {item.failed} |")
    return "\n".join(lines)


async def publish_report(result: RunResult) -> None:
    """Put the summary table and the report on the flow run's page."""
    rows = [dict(zip(SUMMARY_HEADINGS, summary_cells(row), strict=True)) for row in result.summary]
    if rows:
        await acreate_table_artifact(rows, key=f"summary-{result.run_id}", description=result.manifest.name)
    await acreate_markdown_artifact(markdown_report(result), key=f"report-{result.run_id}")
