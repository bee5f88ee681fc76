"""What `python -m flows.run` shows: progress of each stage, then the result.

Below the result are the places of its files, and the next command.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.result_tables import (
    agreement_table,
    corrected_table,
    errors_table,
    plan_table,
    stages_table,
    summary_table,
)
from flows.terminal import as_text, assemble
from flows.typed import command as typed_command
from themis_lib.comparison.sequential_text import sequential_lines
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.labels.corrected_scores import corrected_scores
from themis_lib.report.corrected_table import corrected_notes, trust_lines
from themis_lib.report.html import REPORT_NAME
from themis_lib.report.markdown import (
    commonest_errors,
    cost_line,
    dollars,
    summary_notes,
)
from themis_lib.runs.manifest import GateOutcome, GateRecord, RunStatus
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stages.progress import Progress, StageProgress

if TYPE_CHECKING:
    from themis_lib.explain.first_prompts import FirstPrompt
    from themis_lib.explain.plan import StagePlan

# A log keeps every line: few are enough to see that a run is alive.
_PLAIN_INTERVAL_S = 10.0
# One line of 80 columns.
STARTING = "starting a Prefect server, which takes some ten seconds the first time …"
#: The colour of an outcome.
GATE_STYLE = {
    GateOutcome.PASS: "green",
    GateOutcome.UNDERPOWERED: "yellow",
    GateOutcome.FAIL: "red",
}
_STATUS_STYLE = {
    "completed": "green",
    "partial_failure": "yellow",
    "waiting": "yellow",
    "failed": "red",
}


class Follower:
    """A display of a run's progress, from the moment that there is a run.

    The display's thread may read it while the run goes on.
    """

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self._title = ""
        # What is waited for before there is a run, if anything is.
        self._notice = ""
        # When each stage computed its first row, and how many rows it had by then.
        self._starts: dict[str, tuple[float, int]] = {}

    def wait_for_server(self) -> None:
        """Say that a server starts, until it is there."""
        self._notice = STARTING

    def server_is_there(self) -> None:
        """Say so no longer: what is logged from now on stands for itself."""
        self._notice = ""

    def follow(
        self,
        progress: Progress,
        *,
        title: str = "",
    ) -> None:
        """Show this progress from now on, below a title where there are several."""
        self.progress = progress
        self._title = title
        self._starts.clear()

    def __rich__(self) -> Table | Text | Group:
        if self.progress is None:
            # A text without a word would take a line.
            return as_text(self._notice, style="dim") if self._notice else Group()
        table = Table(
            box=None,
            pad_edge=False,
            show_header=True,
            header_style="dim",
        )
        table.add_column("stage")
        table.add_column("")
        for heading in ("rows", "cached", "failed", "left"):
            table.add_column(heading, justify="right")
        for label, item in self.progress.stages().items():
            done = item.reached
            bar = ProgressBar(
                # A bar of nothing would divide by zero.
                total=max(item.total, 1),
                completed=done,
                width=32,
            )
            table.add_row(
                as_text(label),
                bar,
                f"{done:,}/{item.total:,}",
                f"{item.cached:,}",
                f"{item.failed:,}",
                self._estimate_time_left(label, item),
            )
        parts: list[Table | Text] = [table]
        if self._title:
            parts.insert(0, as_text(self._title, style="bold"))
        waiting = self.progress.waiting_line()
        if waiting:
            parts.append(Text(waiting, style="yellow"))
        return Group(*parts)

    def lines(self) -> str:
        """Return the same in one line, for a log; empty if there is nothing to say."""
        if self.progress is None:
            return self._notice
        texts = [self._title] if self._title else []
        for label, item in self.progress.stages().items():
            texts.append(f"{label} {item.reached:,}/{item.total:,}")
        waiting = self.progress.waiting_line()
        if waiting:
            texts.append(waiting)
        return "  ".join(texts)

    def _estimate_time_left(
        self,
        label: str,
        item: StageProgress,
    ) -> str:
        """Return minutes and seconds at the pace of the rows computed so far."""
        # Cached rows come at once: they would make the pace look far too good.
        if not item.computed:
            return ""
        now = time.monotonic()
        began, at_start = self._starts.setdefault(label, (now, item.computed))
        left = item.total - item.reached
        elapsed = now - began
        computed = item.computed - at_start
        # The first second says nothing about the pace.
        if left <= 0 or elapsed < 1 or computed <= 0:
            return ""
        seconds = int(left * elapsed / computed)
        return f"{seconds // 60}:{seconds % 60:02d}"


@contextmanager
def showing(
    follower: Follower,
    console: Console,
) -> Iterator[None]:
    """Show progress while the block runs: live on a terminal, else a line at times."""
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
            line = follower.lines()
            if line:
                console.print(as_text(line))

    # A daemon: an error in the block must not leave the process waiting for it.
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
    """Print a run's scores, stages, errors, gates, cost, files and the next command.

    `seconds` is how long the run took, `page` its address on the Prefect server, and
    `command` what was typed.
    """
    manifest = result.manifest
    status = result.status.value
    style = f"bold {_STATUS_STYLE.get(status, '')}"
    cases = sum(manifest.datasets.values())
    heading = assemble(
        (manifest.name, "bold"),
        "  ",
        (status, style),
        f"  {cases:,} cases in {seconds:.1f} s",
    )
    console.print(heading)
    console.print(Group(*_tables(result)))
    for line in sequential_lines(manifest):
        console.print(as_text(line), soft_wrap=True)
    if manifest.gates:
        console.print(gates_text(manifest.gates), soft_wrap=True)
    for notice in manifest.notices:
        note = f"note: {notice}; equal runs may differ"
        console.print(as_text(note, style="yellow"), soft_wrap=True)
    places: dict[str, str | None] = {
        "cost": cost_line(result),
        "tables": typed_command("export", result.run_id, *_export_options(result)),
    }
    report = f"runs/{result.run_id}/{REPORT_NAME}"
    if result.store.in_memory:
        places["tables"] = "in the memory of this process, gone when it ends"
    # A store may have refused the page: see `tasks.artifacts.written_page`.
    elif result.store.exists(report):
        places["report"] = result.store.uri(report)
    places["page"] = page
    places["next"] = next_step(result, command)
    for name, text in places.items():
        if text:
            # Not wrapped: addresses and commands are copied from here.
            console.print(as_text(f"{name:<8}{text}"), soft_wrap=True)


def _tables(result: RunResult) -> list[Table | Text]:
    """Return the tables of scores, labels, stages and errors, with the notes on them."""
    tables: list[Table | Text] = [summary_table(result)]
    tables += map(as_text, summary_notes(result))
    if result.agreement:
        tables.append(agreement_table(result))
    corrected = corrected_scores(result)
    if corrected:
        tables.append(corrected_table(corrected))
        tables += map(as_text, trust_lines(corrected))
        tables += map(as_text, corrected_notes(corrected))
    tables.append(stages_table(result))
    errors = commonest_errors(result)
    if errors:
        tables.append(errors_table(errors))
    return tables


def gates_text(gates: Sequence[GateRecord]) -> Text:
    """Return two lines for each gate and place: how it ended, and why."""
    text = Text()
    for record in gates:
        place = record.dataset_id
        if record.slice != ALL_CASES:
            place = f"{record.dataset_id} {record.slice}".lstrip()
        # A gate without a run may have no place.
        shown = f"  ({place})" if place else ""
        style = f"bold {GATE_STYLE[record.outcome]}"
        text.append(f"gate {record.outcome.value}", style=style)
        text.append_text(as_text(f"  {record.title}{shown}")).append("\n")
        text.append_text(as_text(f"          {record.reason}")).append("\n")
    return text


def _export_options(result: RunResult) -> list[str]:
    """Return the options without which a run's tables cannot be exported."""
    url = result.store.public_url
    options = [] if url == DEFAULT_STORE else ["--store", url]
    # The folder of the run is on no disk.
    return options if result.store.local else [*options, "--output", "tables"]


def next_step(
    result: RunResult,
    command: str,
) -> str:
    """Return the command that makes most sense now."""
    if result.store.in_memory:
        return (
            f"{command} --store {DEFAULT_STORE}    # keeps the rows; these are gone now"
        )
    if result.status is RunStatus.WAITING:
        return f"{command}    # takes up the batches that are open"
    if any(record.failed for record in result.manifest.stages):
        return f"{command}    # tries the failed rows again, and only those"
    return f"{command} --plan    # what an edit would cost; running again costs nothing"


def print_prompt(
    prompt: FirstPrompt,
    console: Console,
) -> None:
    """Print the turns that a model would be sent for a case, each under its role."""
    name = f"{prompt.dataset_id} / {prompt.case_id}"
    console.print(assemble((name, "bold")), soft_wrap=True)
    if prompt.error is not None:
        console.print(assemble(("error: ", "red"), prompt.error), soft_wrap=True)
    for role, text in prompt.turns:
        console.print(assemble((f"[{role}]", "dim")), soft_wrap=True)
        for line in text.split("\n"):
            console.print(as_text(line), soft_wrap=True)
    console.print()


def print_plan(
    plans: list[StagePlan],
    console: Console,
) -> None:
    """Print what each stage would find and compute, and below it why."""
    console.print(plan_table(plans))
    for item in plans:
        for reason in item.reasons:
            console.print(as_text(f"{item.stage}: {reason}"), soft_wrap=True)
    for item in plans:
        if item.in_batches:
            text = (
                f"{item.in_batches:,} rows are in batches already, and not sent again"
            )
            console.print(as_text(f"{item.stage}: {text}"), soft_wrap=True)
        estimate = estimate_text(item)
        if estimate is not None:
            console.print(as_text(f"{item.stage}: {estimate}"), soft_wrap=True)
    if all(item.cached == item.rows for item in plans):
        console.print("every row is in the store; a run computes nothing")


def estimate_text(item: StagePlan) -> str | None:
    """Return the tokens and dollars that a stage would take, as far as they are known.

    Return `None` for a stage that would call no model.
    """
    if not item.usage:
        if item.calls_model and item.missing + item.unknown:
            return "how many tokens is not known before a first run"
        return None
    read = item.usage.input_tokens or 0
    written = item.usage.output_tokens or 0
    text = f"about {read:,} input and {written:,} output tokens"
    if item.cost is not None and item.live_cost is not None:
        return f"{text}, {dollars(item.cost)} by batch, {dollars(item.live_cost)} live"
    if item.cost is not None:
        source = "" if item.price_source is None else f" ({item.price_source})"
        return f"{text}, {dollars(item.cost)}{source}"
    if item.lacks_price:
        return f"{text}, price not known"
    return text
