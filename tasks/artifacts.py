"""What a person sees of a run in the Prefect UI: its name, progress while it runs, then
scores, failures and report.

None of it may stop a run: what the server does not take is left out, with a line in the
log.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path, PurePath

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    acreate_link_artifact,
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from themis_lib import RunResult
from themis_lib.errors import StoreError, ThemisError, describe
from themis_lib.report.failures import (
    FAILURE_HEADINGS,
    Failures,
    failed_rows,
    failure_lines,
)
from themis_lib.report.html import write_report
from themis_lib.report.markdown import markdown_report, markdown_table, summary_table
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.run import Run
from themis_lib.stages.progress import Progress

_INTERVAL_S = 2.0
_FAILURES_SHOWN = 100
_LINES_LOGGED = 10


def first_label() -> str:
    """The name of a flow run whose experiment has not been read yet: the file's."""
    context = FlowRunContext.get()
    parameters = ((context.parameters if context else None) or {}).get("parameters")
    return PurePath(str(getattr(parameters, "experiment", "experiment"))).stem


def run_label(pipeline: Pipeline) -> str:
    """The name of a flow run: experiment and model, and where it stops if not at the
    end.
    """
    generator = pipeline.generate.generator
    model = PurePath(generator.model or generator.component_id).name
    until = "" if pipeline.until_stage == "reduce" else f" until {pipeline.until_stage}"
    return f"{pipeline.experiment.name} · {model}{until}"


def artifact_name(name: str) -> str:
    """A name as keys of artifacts are written.

    >>> artifact_name("GSM8K, v2 (Größe)")
    'gsm8k-v2-gr-e'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "experiment"


async def name_run(
    name: str,
    *tags: str,
) -> None:
    """Name the flow run, and put tags on it alone: its tasks do not inherit them."""
    context = FlowRunContext.get()
    if context and context.flow_run:
        with _shown_if_possible():
            async with get_client() as client:
                every = sorted({*context.flow_run.tags, *tags})
                await client.update_flow_run(
                    context.flow_run.id,
                    name=name,
                    tags=every,
                )


@contextlib.asynccontextmanager
async def live_progress(run: Run) -> AsyncIterator[None]:
    """Keep a progress artifact up to date for as long as the block runs."""
    artifact = None
    with _shown_if_possible():
        artifact = await acreate_progress_artifact(
            progress=0.0,
            key=_artifact_key("progress", run.pipeline.experiment.name),
            description=f"Run `{run.run_id}`",
        )

    async def update() -> None:
        if artifact is not None:
            with _shown_if_possible():
                description = f"Run `{run.run_id}`\n\n{progress_table(run.progress)}"
                await aupdate_progress_artifact(
                    artifact,
                    progress=percent_done(run.progress),
                    description=description,
                )

    async def keep_updating() -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await update()

    updating = asyncio.ensure_future(keep_updating())
    try:
        yield
        await update()
    except ThemisError:
        await update()
        raise
    finally:
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)


def percent_done(progress: Progress) -> float:
    """Rows finished, of all rows announced so far, in percent."""
    stages = progress.stages().values()
    total = sum(item.total for item in stages)
    return (
        round(100 * sum(max(item.done, item.computed) for item in stages) / total, 1)
        if total
        else 0.0
    )


def progress_table(progress: Progress) -> str:
    """Counts by stage as Markdown."""
    return markdown_table(
        ("stage", "rows", "done", "computed", "cached", "failed"),
        [
            (
                label,
                *(
                    f"{count:,}"
                    for count in (
                        item.total,
                        max(item.done, item.computed),
                        item.computed,
                        item.cached,
                        item.failed,
                    )
                ),
            )
            for label, item in progress.stages().items()
        ],
    )


async def publish_report(result: RunResult) -> None:
    """Put the scores, the failed rows and the report on the flow run's page, and name
    failed cases in its log.

    The report as HTML goes beside the run's tables, where these outlive the process.
    """
    name = result.manifest.name
    failures = await asyncio.to_thread(failed_rows, result, limit=_FAILURES_SHOWN)
    for line in failure_lines(failures)[:_LINES_LOGGED]:
        get_run_logger().warning("%s", line)
    report = await asyncio.to_thread(markdown_report, result)
    html = (
        None
        if result.store.in_memory
        else await asyncio.to_thread(written_page, result)
    )
    with _shown_if_possible():
        headings, cells = summary_table(result.summary)
        rows = [dict(zip(headings, row, strict=True)) for row in cells]
        if rows:
            await acreate_table_artifact(
                rows,
                key=_artifact_key("summary", name),
                description=f"Scores of run `{result.run_id}`",
            )
        if failures.count:
            await acreate_table_artifact(
                [
                    dict(zip(FAILURE_HEADINGS, row, strict=True))
                    for row in failures.rows
                ],
                key=_artifact_key("failed-rows", name),
                description=_failures_text(failures, result),
            )
        if html:
            await acreate_link_artifact(
                html if "://" in html else Path(html).absolute().as_uri(),
                link_text=html,
                key=_artifact_key("html", name),
                description=f"Report of run `{result.run_id}` with every case, to open in a browser: `{html}`",
            )
        await acreate_markdown_artifact(
            report,
            key=_artifact_key("report", name),
            description=f"Report of run `{result.run_id}`",
        )


def written_page(result: RunResult) -> str | None:
    """The address of the page that is written beside a run's tables; null where the
    store does not take it.
    """
    try:
        return write_report(result)
    except StoreError as error:
        get_run_logger().warning("the run has no page: %s", error)
        return None


def _failures_text(
    failures: Failures,
    result: RunResult,
) -> str:
    shown = (
        ""
        if len(failures.rows) == failures.count
        else f", the first {len(failures.rows)} of them here"
    )
    return f"{failures.count:,} failed row(s) of run `{result.run_id}`{shown}. All of them: `{result.location}/*.parquet`"


def _artifact_key(
    kind: str,
    name: str,
) -> str:
    """The key of an artifact: one for each experiment, under which the UI lists its
    runs as versions.
    """
    return f"{kind}-{artifact_name(name)}"


@contextlib.contextmanager
def _shown_if_possible() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        get_run_logger().warning(
            "the server did not take what it should show: %s", describe(error)
        )
