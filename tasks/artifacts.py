"""What the Prefect UI shows of a run: name, progress, scores, failed rows and report.

A run never fails because of them. What the server refuses is left out, with a line in
the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

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
from themis_lib.certification.records import certifications
from themis_lib.errors import StoreError, ThemisError, describe
from themis_lib.inert import markdown_code, markdown_text, terminal_text
from themis_lib.labels.corrected_scores import CorrectedScore, corrected_scores
from themis_lib.report.failures import (
    FAILURE_HEADINGS,
    failed_rows,
    failure_lines,
)
from themis_lib.report.html import write_report
from themis_lib.report.markdown import markdown_report, markdown_table, summary_table
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.run import Run
from themis_lib.stages.progress import Progress

if TYPE_CHECKING:
    from themis_lib.certification.models import Certification
    from themis_lib.comparison.matrix import MatrixComparison

# Each update is a request to the server, which all runs share.
_INTERVAL_S = 2.0
# A page shows what is wrong; the run's tables have every failed row.
_FAILURES_SHOWN = 100
_LINES_LOGGED = 10
_PROGRESS_HEADINGS = ("stage", "rows", "done", "computed", "cached", "failed")


def first_label() -> str:
    """Return a flow run's name before its experiment is read: the file's stem."""
    context = FlowRunContext.get()
    arguments = None
    if context is not None:
        arguments = context.parameters
    # Prefect asks before the flow's body runs: only its arguments are known then.
    parameters = (arguments or {}).get("parameters")
    path = getattr(parameters, "experiment", "experiment")
    return PurePath(str(path)).stem


def run_label(pipeline: Pipeline) -> str:
    """Return a flow run's name: experiment, model, and the last stage if not reduce."""
    generator = pipeline.generate.generator
    # A model may be a path or `owner/name`; its last part fits a list of runs.
    model = PurePath(generator.model or generator.component_id).name
    label = f"{pipeline.experiment.name} · {model}"
    if pipeline.until_stage != "reduce":
        label += f" until {pipeline.until_stage}"
    return terminal_text(label)


def artifact_name(name: str) -> str:
    """Return a name in the characters that Prefect allows in an artifact's key.

    >>> artifact_name("GSM8K, v2 (Größe)")
    'gsm8k-v2-gr-e'
    """
    words = re.sub(r"[^a-z0-9]+", "-", name.lower())
    return words.strip("-") or "experiment"


async def name_run(
    name: str,
    *tags: str,
) -> None:
    """Name the current flow run and add tags to it.

    Tags set through the API are not inherited by the run's tasks: each tag of a task
    would cost requests for a concurrency limit.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    with _log_refusals():
        async with get_client() as client:
            await client.update_flow_run(
                context.flow_run.id,
                name=name,
                # An update replaces all tags; those of the deployment must survive.
                tags=sorted({*context.flow_run.tags, *tags}),
            )


@contextlib.asynccontextmanager
async def live_progress(run: Run) -> AsyncIterator[None]:
    """Keep a progress artifact up to date for as long as the block runs."""
    artifact = None
    with _log_refusals():
        artifact = await acreate_progress_artifact(
            progress=0.0,
            key=_artifact_key("progress", run.pipeline.experiment.name),
            description=f"Run `{run.run_id}`",
        )

    async def update() -> None:
        if artifact is None:
            return
        with _log_refusals():
            await aupdate_progress_artifact(
                artifact,
                progress=percent_done(run.progress),
                description=f"Run `{run.run_id}`\n\n{progress_table(run.progress)}",
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
        # The page of a failed run shows how far it came.
        await update()
        raise
    finally:
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)


def percent_done(progress: Progress) -> float:
    """Return the finished share of all rows announced so far, in percent."""
    total = done = 0
    for item in progress.stages().values():
        total += item.total
        done += item.reached
    if total == 0:
        return 0.0
    return round(100 * done / total, 1)


def progress_table(progress: Progress) -> str:
    """Return the counts by stage as a Markdown table, and below it what it waits for."""
    rows: list[list[str]] = []
    for label, item in progress.stages().items():
        done = item.reached
        counts = (item.total, done, item.computed, item.cached, item.failed)
        rows.append([label, *(f"{count:,}" for count in counts)])
    table = markdown_table(_PROGRESS_HEADINGS, rows)
    waiting = progress.waiting_line()
    return f"{table}\n\n{waiting}" if waiting else table


async def publish_report(
    result: RunResult,
    *,
    address_of: Callable[[str], str | None],
) -> None:
    """Publish scores, failed rows and report on the flow run's page.

    Also log the first failed cases, and write the HTML report beside the run's tables
    unless these are in memory and end with the process. `address_of` returns where a
    browser can open the report, `None` if nowhere.
    """
    name = result.manifest.name
    run_id = result.run_id
    # Reports read whole tables: in threads, so that the event loop stays free.
    failures = await asyncio.to_thread(failed_rows, result, limit=_FAILURES_SHOWN)
    for line in failure_lines(failures)[:_LINES_LOGGED]:
        get_run_logger().warning("%s", terminal_text(line))
    # Once for both: each time takes listings of the store.
    corrected = await asyncio.to_thread(corrected_scores, result)
    certified = await asyncio.to_thread(certifications, result)
    report = await asyncio.to_thread(
        markdown_report,
        result,
        corrected=corrected,
        # Nobody can have verified a run that ends now.
        verified=(),
        certified=certified,
    )
    page = None
    if not result.store.in_memory:
        page = await asyncio.to_thread(
            written_page,
            result,
            corrected=corrected,
            certified=certified,
        )
    shown = ""
    if len(failures.rows) < failures.count:
        shown = f", the first {len(failures.rows)} of them here"
    with _log_refusals():
        await _publish_table(
            *summary_table(result.summary),
            key=_artifact_key("summary", name),
            description=f"Scores of run `{run_id}`",
        )
        await _publish_table(
            FAILURE_HEADINGS,
            failures.rows,
            key=_artifact_key("failed-rows", name),
            description=f"{failures.count:,} failed row(s) of run `{run_id}`{shown}. "
            f"All of them: {markdown_code(f'themis export {result.run_id}')}",
        )
        if page is not None:
            await _publish_page(result, page, address_of(page))
        await acreate_markdown_artifact(
            report,
            key=_artifact_key("report", name),
            description=f"Report of run `{run_id}`",
        )


async def _publish_page(
    result: RunResult,
    page: str,
    address: str | None,
) -> None:
    """Publish where the HTML report is: a link where a browser could follow it."""
    key = _artifact_key("html", result.manifest.name)
    description = (
        f"Report of run `{result.run_id}` with every case: {markdown_code(page)}"
    )
    if address is None and page.startswith(("http://", "https://")):
        address = page
    if address is not None:
        await acreate_link_artifact(
            address,
            link_text="Open the report",
            key=key,
            description=description,
        )
        return
    # A browser follows no link from a server's page to a file or a bucket.
    await acreate_markdown_artifact(
        f"{description}\n\nThis command writes it and prints its address: "
        f"{markdown_code(report_command(result))}",
        key=key,
        description=f"Report of run `{result.run_id}`",
    )


def report_command(result: RunResult) -> str:
    """Return the command that writes the HTML report of a run, to paste in a shell.

    `${NAME}` references in the address of the store stay as they are: the server keeps
    the command, and what they stand for may be a credential.
    """
    store = result.store.root
    if not result.store.local:
        storage = (result.manifest.configuration or {}).get("storage", {})
        written = storage.get("store", "")
        store = written if "${" in written else result.store.url
    return shlex.join(["themis", "report", result.run_id, "--store", store])


def written_page(
    result: RunResult,
    *,
    corrected: Sequence[CorrectedScore] | None = None,
    certified: Sequence[Certification] | None = None,
) -> str | None:
    """Write the HTML report beside a run's tables and return its address.

    `corrected` and `certified` are as for `report_html`. Return `None` where the store
    refuses it: the run itself is complete and saved.
    """
    try:
        return write_report(
            result,
            corrected=corrected,
            verified=(),
            certified=certified,
        )
    except StoreError as error:
        get_run_logger().warning("the run has no page: %s", error)
        return None


async def publish_matrix(
    comparison: MatrixComparison,
    *,
    address_of: Callable[[str], str | None],
) -> str | None:
    """Write the page of a matrix, publish a link to it, and return its address.

    Return `None` where the store refuses it: the runs are complete and saved.
    """
    # Late: most runs have no matrix.
    from themis_lib.report.html_matrix import write_matrix

    name = comparison.result.matrix.name
    try:
        page = await asyncio.to_thread(write_matrix, comparison)
    except StoreError as error:
        get_run_logger().warning("the matrix has no page: %s", error)
        return None
    address = address_of(page)
    if address is None and page.startswith(("http://", "https://")):
        address = page
    if address is not None:
        with _log_refusals():
            await acreate_link_artifact(
                address,
                link_text="Open the page of all cells",
                key=_artifact_key("matrix", name),
                description=f"Cells of `{name}`: {markdown_code(page)}",
            )
    return page


async def _publish_table(
    headings: Sequence[str],
    cells: Iterable[Sequence[str]],
    *,
    key: str,
    description: str,
) -> None:
    """Publish rows under their headings; an empty table is not published."""
    # Prefect's tables refuse datetimes and bytes, so every cell is text here; the UI
    # renders it as Markdown.
    rows = [dict(zip(headings, map(markdown_text, row), strict=True)) for row in cells]
    if rows:
        await acreate_table_artifact(
            rows,
            key=key,
            description=description,
        )


def _artifact_key(
    kind: str,
    name: str,
) -> str:
    # One key for each experiment: the UI lists its runs as versions of one artifact.
    return f"{kind}-{artifact_name(name)}"


@contextlib.contextmanager
def _log_refusals() -> Iterator[None]:
    """Log that the server refused something or does not answer, and go on."""
    try:
        yield
    except httpx.HTTPError as error:
        get_run_logger().warning(
            "the server did not take what it should show: %s", describe(error)
        )
