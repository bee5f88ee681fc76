"""What `python -m flows.run` shows: a bar for each stage while it runs, then the
summary and where to go from here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from themis_lib.core.models import TokenUsage
from themis_lib.explain.plan import StagePlan
from themis_lib.report.html import REPORT_NAME
from themis_lib.report.markdown import (
    AGREEMENT_HEADINGS,
    STAGE_HEADINGS,
    SUMMARY_HEADINGS,
    agreement_cells,
    commonest_errors,
    cost_line,
    dollars,
    stage_counts,
    summary_cells,
    summary_notes,
)
from themis_lib.runs.manifest import GateOutcome, GateRecord
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stages.progress import Progress, StageProgress

_PLAIN_INTERVAL_S = 10.0
STARTING = "waiting for the Prefect server; starting one takes some ten seconds the first time …"
_TEXTS = ("dataset", "metric", "method")
_GATE_STYLE = {
    GateOutcome.PASS: "green",
    GateOutcome.UNDERPOWERED: "yellow",
    GateOutcome.FAIL: "red",
}
_STATUS_STYLE = {"completed": "green", "partial_failure": "yellow", "failed": "red"}


class Follower:
    """Follows a run's progress once it is told of one; safe to read from the display's
    thread.
    """

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self._rates: dict[str, tuple[float, int]] = {}

    def follow(self, progress: Progress) -> None:
        """Show this progress from now on."""
        self.progress = progress

    def __rich__(self) -> Table | Text:
        if self.progress is None:
            return Text(STARTING, style="dim")
        table = Table(
            box=None,
            pad_edge=False,
            show_header=True,
            header_style="dim",
        )
        for heading in ("stage", "", "rows", "cached", "failed", "left"):
            table.add_column(
                heading, justify="left" if heading in ("stage", "") else "right"
            )
        for label, item in self.progress.stages().items():
            done = max(item.done, item.computed)
            table.add_row(
                Text(label),
                ProgressBar(
                    total=max(item.total, 1),
                    completed=done,
                    width=32,
                ),
                f"{done:,}/{item.total:,}",
                f"{item.cached:,}",
                f"{item.failed:,}",
                self._time_left(label, item),
            )
        return table

    def lines(self) -> str:
        """The same in one line, for a log."""
        if self.progress is None:
            return STARTING
        stages = self.progress.stages().items()
        return "  ".join(
            f"{label} {max(item.done, item.computed):,}/{item.total:,}"
            for label, item in stages
        )

    def _time_left(
        self,
        label: str,
        item: StageProgress,
    ) -> str:
        """Rows left at the pace of the rows computed so far; cached rows take no time
        and are left out.
        """
        left = item.total - max(item.done, item.computed)
        if not item.computed:
            return ""
        began, at_start = self._rates.setdefault(
            label, (time.monotonic(), item.computed)
        )
        elapsed, computed = time.monotonic() - began, item.computed - at_start
        if left <= 0 or elapsed < 1 or computed <= 0:
            return ""
        seconds = int(left * elapsed / computed)
        return f"{seconds // 60}:{seconds % 60:02d}"


@contextmanager
def showing(
    follower: Follower,
    console: Console,
) -> Iterator[None]:
    """Show progress while the block runs: live on a terminal, a line now and then
    elsewhere.
    """
    if console.is_terminal:
        with Live(
            follower,
            console=console,
            refresh_per_second=8,
            transient=True,
        ):
            yield
        return
    stop = threading.Event()

    def print_lines() -> None:
        while not stop.wait(_PLAIN_INTERVAL_S):
            console.print(Text(follower.lines()))

    thread = threading.Thread(
        target=print_lines,
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def print_result(
    result: RunResult,
    console: Console,
    *,
    seconds: float,
    page: str | None,
    command: str,
) -> None:
    """The summary, what was computed and what was found, the commonest errors, the
    files, and the next command.
    """
    manifest = result.manifest
    cases = sum(manifest.datasets.values())
    status = Text(
        result.status.value, style=f"bold {_STATUS_STYLE.get(result.status.value, '')}"
    )
    console.print(
        Text.assemble(
            (manifest.name, "bold"),
            "  ",
            status,
            f"  {cases:,} cases in {seconds:.1f} s",
        )
    )
    renderables: list[Table | Text] = [
        _summary_table(result),
        *map(Text, summary_notes(result)),
    ]
    money = cost_line(result)
    if result.agreement:
        renderables.append(_agreement_table(result))
    renderables.append(_stages_table(result))
    errors = commonest_errors(result)
    if errors:
        renderables.append(_errors_table(errors))
    console.print(Group(*renderables))
    if manifest.gates:
        console.print(gates_text(manifest.gates), soft_wrap=True)
    if money:
        console.print(Text(f"cost    {money}"), soft_wrap=True)
    console.print(Text(f"tables  {result.location}/*.parquet"), soft_wrap=True)
    report = f"runs/{result.run_id}/{REPORT_NAME}"
    if result.store.exists(report):
        console.print(Text(f"report  {result.store.uri(report)}"), soft_wrap=True)
    if page:
        console.print(Text(f"page    {page}"), soft_wrap=True)
    console.print(Text(f"next    {next_step(result, command)}"), soft_wrap=True)


def gates_text(gates: Sequence[GateRecord]) -> Text:
    """A line for each gate and place: how it ended, and why."""
    text = Text()
    for record in gates:
        place = (
            record.dataset_id
            if record.slice == ALL_CASES
            else f"{record.dataset_id} {record.slice}"
        )
        text.append(
            f"gate {record.outcome.value}", style=f"bold {_GATE_STYLE[record.outcome]}"
        )
        text.append(f"  {record.gate}  ({place})\n          {record.reason}\n")
    return text


def next_step(
    result: RunResult,
    command: str,
) -> str:
    """The command that makes most sense now."""
    if any(record.failed for record in result.manifest.stages):
        return f"{command}    # tries the failed rows again, and only those"
    return f"{command} --plan    # what an edit would cost; running again costs nothing"


def _summary_table(result: RunResult) -> Table:
    """A method that all intervals share stands below the table, which leaves room on a
    narrow terminal.
    """
    methods = {row.interval_method for row in result.summary if row.interval_method}
    names = (
        "metric",
        "n",
        "errors",
        "mean",
        "95 % interval",
        *(["method"] if len(methods) > 1 else []),
    )
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    if len(methods) == 1:
        table.caption, table.caption_justify = f"intervals: {methods.pop()}", "left"
    for heading in ("dataset", *names):
        table.add_column(
            heading,
            justify="left" if heading in _TEXTS else "right",
            no_wrap=True,
        )
    for row in result.summary:
        cells = dict(zip(SUMMARY_HEADINGS, summary_cells(row), strict=True))
        place = row.dataset_id if row.slice == ALL_CASES else f"  {row.slice}"
        table.add_row(Text(place), *(Text(cells[name]) for name in names))
    return table


def _agreement_table(result: RunResult) -> Table:
    """Without the dataset's name where there is only one, which leaves room on a narrow
    terminal.
    """
    first = 0 if len({record.dataset_id for record in result.agreement}) > 1 else 1
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in AGREEMENT_HEADINGS[first:]:
        names = ("dataset", "metric", "label")
        table.add_column(
            heading,
            justify="left" if heading in names else "right",
            no_wrap=True,
        )
    for record in result.agreement:
        table.add_row(*map(Text, agreement_cells(record)[first:]))
    return table


def _stages_table(result: RunResult) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in STAGE_HEADINGS:
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for item in result.manifest.stages:
        table.add_row(Text(item.stage), *(f"{count:,}" for count in stage_counts(item)))
    return table


def _errors_table(errors: list[tuple[str, str, str]]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("stage")
    table.add_column("rows", justify="right")
    table.add_column("commonest errors")
    for stage, count, reason in errors:
        table.add_row(stage, count, Text(reason))
    return table


def print_plan(
    plans: list[StagePlan],
    console: Console,
) -> None:
    """What each stage would find and compute, and below it why."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("stage", "rows", "cached", "to compute", "not known yet"):
        table.add_column(
            heading,
            justify="left" if heading == "stage" else "right",
            no_wrap=True,
        )
    for item in plans:
        counts = (item.rows, item.cached, item.missing, item.unknown)
        table.add_row(Text(item.stage), *(f"{count:,}" for count in counts))
    console.print(table)
    for item in plans:
        for reason in item.reasons:
            console.print(Text(f"{item.stage}: {reason}"), soft_wrap=True)
    for item in plans:
        if item.calls_model and item.missing + item.unknown and not item.usage:
            console.print(
                Text(f"{item.stage}: how many tokens is not known before a first run"),
                soft_wrap=True,
            )
        if item.usage:
            console.print(
                Text(f"{item.stage}: {_estimate_text(item, item.usage)}"),
                soft_wrap=True,
            )
    if all(item.cached == item.rows for item in plans):
        console.print("every row is in the store; a run computes nothing")


def _estimate_text(
    item: StagePlan,
    usage: TokenUsage,
) -> str:
    tokens = f"about {usage.input_tokens or 0:,} input and {usage.output_tokens or 0:,} output tokens"
    if item.cost is None:
        return f"{tokens}, price not known" if item.lacks_price else tokens
    return f"{tokens}, {dollars(item.cost)}"
