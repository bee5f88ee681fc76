"""Command line of the benchmarks: `python -m benchmarks [NAME …] [--quick] [--model
NAME] [--json PATH]`.

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
    cached_run,
    certification,
    clusters,
    concurrency,
    corrected_means,
    edits,
    engine,
    flow,
    html_report,
    identity,
    in_process,
    install,
    memory,
    model_equality,
    providers,
    request_profile,
    requests,
    runners,
    scale,
    simultaneous,
    startup,
    text_metrics,
    until_decided,
)
from benchmarks.report import machine, print_report

BENCHMARKS = {
    "in_process": in_process.measure,
    "flow": flow.measure,
    "cached_run": cached_run.measure,
    "runners": runners.measure,
    "clusters": clusters.measure,
    "scale": scale.measure,
    "memory": memory.measure,
    "edits": edits.measure,
    "startup": startup.measure,
    "concurrency": concurrency.measure,
    "simultaneous": simultaneous.measure,
    "engine": engine.measure,
    "providers": providers.measure,
    "request_profile": request_profile.measure,
    "requests": requests.measure,
    "text_metrics": text_metrics.measure,
    "bootstrap": bootstrap.measure,
    "html_report": html_report.measure,
    "identity": identity.measure,
    "install": install.measure,
    "until_decided": until_decided.measure,
    "model_equality": model_equality.measure,
    "certification": certification.measure,
    "corrected_means": corrected_means.measure,
}
_CHOICES = ", ".join(BENCHMARKS)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"Any of {_CHOICES}; else all.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Small sizes, one repeat: to see that it works."),
    ] = False,
    model: Annotated[
        str, typer.Option("--model", help="A local model for `engine`.")
    ] = "tiny",
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Also write the numbers to this file.")
    ] = None,
) -> None:
    """Measure speed, memory, start and overhead; print a table for each."""
    for name in names or []:
        if name not in BENCHMARKS:
            raise typer.BadParameter(f"no benchmark {name!r}; choose from {_CHOICES}")
    # `finally` blocks stop servers and remove folders; without this, a SIGTERM would
    # skip them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=120)
    facts = machine()
    described = [f"{fact} {value}" for fact, value in facts.items()]
    console.print("  ".join(described), highlight=False)
    measured: dict[str, Any] = {"machine": facts, "quick": quick, "benchmarks": {}}
    for name in names or BENCHMARKS:
        settings = {"model": model} if name == "engine" else {}
        report = BENCHMARKS[name](quick=quick, **settings)
        print_report(name, report, console)
        measured["benchmarks"][name] = asdict(report)
        # After each benchmark: a failure loses only what is not yet measured.
        if json_path is not None:
            text = json.dumps(measured, indent=2)
            json_path.write_text(f"{text}\n")


if __name__ == "__main__":
    app()
