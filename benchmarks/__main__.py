"""Measure this library on this machine: python -m benchmarks [NAME …] [--quick] [--json
PATH].

Every measurement runs in fresh processes, on data and stores in temporary folders. Run
it on an idle machine.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import (
    bootstrap,
    concurrency,
    engine,
    flow,
    html_report,
    in_process,
    memory,
    providers,
    requests,
    runners,
    startup,
    text_metrics,
)
from benchmarks.report import machine, print_report

BENCHMARKS = {
    "in_process": in_process.measure,
    "flow": flow.measure,
    "runners": runners.measure,
    "memory": memory.measure,
    "startup": startup.measure,
    "concurrency": concurrency.measure,
    "engine": engine.measure,
    "providers": providers.measure,
    "requests": requests.measure,
    "text_metrics": text_metrics.measure,
    "bootstrap": bootstrap.measure,
    "html_report": html_report.measure,
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=f"Any of {', '.join(BENCHMARKS)}; else all."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Small sizes, one repeat: to see that it works."),
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Also write the numbers to this file.")
    ] = None,
) -> None:
    """Measure speed, memory, start and overhead; print a table for each."""
    for name in names or []:
        if name not in BENCHMARKS:
            raise typer.BadParameter(
                f"no benchmark {name!r}; choose from {', '.join(BENCHMARKS)}"
            )
    # `finally` blocks stop servers and remove folders; without this, a SIGTERM would
    # skip them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=120)
    measured: dict[str, Any] = {"machine": machine(), "quick": quick, "benchmarks": {}}
    console.print(
        "  ".join(f"{fact} {value}" for fact, value in measured["machine"].items()),
        highlight=False,
    )
    for name in names or BENCHMARKS:
        report = BENCHMARKS[name](quick=quick)
        print_report(name, report, console)
        measured["benchmarks"][name] = asdict(report)
        if (
            json_path is not None
        ):  # after each, so that a failure costs only what was not yet measured
            json_path.write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    app()
