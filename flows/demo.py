"""Score the recorded outputs of two models, and compare the models.

    python -m flows.demo [--store URL] [--open]

300 problems of GSM8K and the solutions that two models wrote to them come with the
package (`demo_data/`): no model is asked, and nothing is downloaded. The runs are like
all others: the commands printed at the end go on with them. Exit codes: 0 scored,
2 bad input, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.compare_display import print_verdict
from flows.exit_codes import INTERRUPTED
from flows.opening import StoreUrl, one_line_errors
from flows.result_tables import runs_table
from flows.terminal import as_text, assemble, open_console
from flows.typed import command
from themis_lib import Experiment, RunResult, compare
from themis_lib.core.config import StorageConfig
from themis_lib.core.store_names import DEFAULT_STORE, check_store_name
from themis_lib.errors import ConfigError
from themis_lib.report.html import write_report
from themis_lib.report.html_comparison import write_comparison

#: The recorded outputs, and the experiments that score them.
DEMO_DATA = Path(__file__).parent / "demo_data"
#: The experiments by name; the first is the baseline of the comparison.
EXPERIMENTS = ("gsm8k-6b", "gsm8k-175b")
_INTRODUCTION = """\
Recorded solutions of two models to 300 problems of GSM8K (Cobbe et al. 2021):
6B fine-tuned, and 175B with a verifier. No model is asked."""
#: A case to look at: the baseline's solution is wrong, the other's is right.
CASE = "gsm8k-test-0000"

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def demo(
    store: StoreUrl = DEFAULT_STORE,
    show: Annotated[
        bool,
        typer.Option("--open", help="Open the comparison in the browser."),
    ] = False,
) -> None:
    """Score and compare recorded outputs of two models: no model, key or network."""
    console = open_console()
    try:
        with one_line_errors():
            page = run_demo(store, console)
    except KeyboardInterrupt:
        again = typed_command("demo", store)
        message = f"stopped; every finished row is saved. Go on with: {again}"
        error = assemble(("error: ", "bold red"), message)
        Console(stderr=True).print(error, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    if show and not webbrowser.open(page if "://" in page else Path(page).as_uri()):
        note = "no browser is found: open the page by the address above"
        console.print(as_text(note, style="yellow"))


def run_demo(
    url: str,
    console: Console,
) -> str:
    """Score both recordings, print what they show, and return the comparison's address.

    Raise `StoreError` if the store cannot be written, and `ConfigError` for one in
    memory.
    """
    experiments = _load_experiments(url)
    store = experiments[0].open_store()
    if store.in_memory:
        raise ConfigError(
            f"store {url!r} ends with this command, and the next ones go on with its "
            "runs; give a folder"
        )
    store.check_writable()
    console.print(_INTRODUCTION, highlight=False)
    began = time.monotonic()
    results = [experiment.run(store) for experiment in experiments]
    seconds = time.monotonic() - began
    console.print(runs_table(results))
    comparison = compare(*results, slices=["steps"])
    print_verdict(comparison, console)
    page = write_comparison(comparison, results)
    lines = [("rows", _rows_text(results, seconds))]
    lines += [("report", write_report(result)) for result in results]
    lines.append(("compared", page))
    lines.append(("source", f"{DEMO_DATA}    # data, experiments, licence"))
    lines += [("next", line) for line in next_commands(url)]
    console.print()
    _print_lines(lines, console)
    return page


def next_commands(store: str) -> list[str]:
    """Return commands that go on with the demo's runs, each with what it shows."""
    commands = {
        typed_command("demo", store): "again, all cached",
        typed_command("compare", store, *EXPERIMENTS, "--slice", "steps"): "in detail",
        typed_command("why", store, EXPERIMENTS[0], CASE): "a case, explained",
        typed_command("runs", store): "every run",
        typed_command("init", DEFAULT_STORE, "my-eval"): "start your own",
    }
    width = max(map(len, commands))
    return [f"{typed:<{width}}  # {what}" for typed, what in commands.items()]


def typed_command(
    verb: str,
    store: str,
    *arguments: str,
) -> str:
    """Return a command as one types it, for the runs of a store."""
    # The default needs no mention.
    place = [] if store == DEFAULT_STORE else ["--store", store]
    return command(verb, *arguments, *place)


def _load_experiments(url: str) -> list[Experiment]:
    """Return the demo's experiments, with their rows in a store."""
    # Here it is an error of one line; from the model it would be Pydantic's.
    check_store_name(url)
    storage = StorageConfig(store=url)
    experiments = []
    for name in EXPERIMENTS:
        experiment = Experiment.from_config(DEMO_DATA / f"{name}.yaml")
        experiments.append(experiment.model_copy(update={"storage": storage}))
    return experiments


def _rows_text(
    results: Sequence[RunResult],
    seconds: float,
) -> str:
    """Return how many rows the runs have, and how many of them they computed."""
    rows = computed = 0
    for result in results:
        for record in result.manifest.stages:
            rows += record.rows
            computed += record.computed
    if not computed:
        return f"{rows:,} in {seconds:.1f} s, all of them cached: nothing was computed"
    return (
        f"{rows:,} in {seconds:.1f} s, {computed:,} of them computed; "
        "run it again, and all are cached"
    )


def _print_lines(
    lines: Sequence[tuple[str, str]],
    console: Console,
) -> None:
    """Print lines of text, each behind a name that is shown once."""
    before = ""
    for name, text in lines:
        shown = "" if name == before else name
        before = name
        # Not wrapped: addresses and commands are copied from here.
        console.print(as_text(f"{shown:<10}{text}"), soft_wrap=True)


if __name__ == "__main__":
    app()
