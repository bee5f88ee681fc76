"""Run one experiment on Prefect.

    python -m flows.run EXPERIMENT.yaml|TASK [model=PROVIDER:NAME] [key=value …]
                        [--data FILE] [--store URL] [--limit N] [--cell NAME]
                        [--until STAGE] [--max-cost DOLLARS]
                        [--runner threads|processes|dask|ray] [--workers N]
                        [--plan] [--show N] [--gate GATE …] [--by interval|mean] [--junit FILE]
                        [--until-decided] [--against RUN] [--delta D] [--alpha A]
                        [--order-seed N]

All cells of a file with a `matrix:` are run, or the one that `--cell` names. It uses
the server at PREFECT_API_URL or, if that is not set, a small local one that it starts
or reuses (`server.py`). A gate is 'METRIC >= 0.8' or 'METRIC no worse than RUN by
0.02'; `comparison/gate.py` says how it is decided. Exit codes: 0 completed, 1 failed, 2
bad input, 3 completed with failed rows, 4 stopped at its budget, 5 a gate failed, 6 no
gate failed, but for one of them the data cannot tell, 130 stopped by Ctrl-C. Of several
cells it is the worst: 1, 2, 4, 5, 6, 3.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from flows.terminal import tell_reading
from themis_lib.core.option_names import GateBasis, RunnerName

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)

ExperimentFile = Annotated[
    str,
    typer.Argument(help="The experiment's YAML file, or a task of the catalogue."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Settings to replace: key.path=value, model=PROVIDER:NAME, judge=…"
    ),
]
Data = Annotated[
    str | None,
    typer.Option(help="A file to evaluate in place of the experiment's own data."),
]
Store = Annotated[
    str | None,
    typer.Option(help="A folder or fsspec URL for rows and runs."),
]
Limit = Annotated[
    int | None,
    typer.Option(help="Only the first N cases of each dataset."),
]
CellName = Annotated[
    str | None,
    typer.Option("--cell", help="One cell of the file's matrix, in place of all."),
]
Until = Annotated[
    str,
    typer.Option(help="Stop after generate, parse, score or reduce."),
]
MaxCost = Annotated[
    float | None,
    typer.Option(help="Stop before more dollars than this are spent."),
]
Runner = Annotated[
    RunnerName,
    typer.Option(help="Where shards are computed."),
]
Workers = Annotated[
    int | None,
    typer.Option(help="How many shards at once."),
]
Gates = Annotated[
    list[str] | None,
    typer.Option(help="What the run has to reach, such as 'METRIC >= 0.8'."),
]
GateBy = Annotated[
    GateBasis,
    typer.Option("--by", help="What gates go by: the interval, or the mean alone."),
]
JunitFile = Annotated[
    Path | None,
    typer.Option(help="Write the gates as JUnit XML to this file."),
]
UntilDecided = Annotated[
    bool,
    typer.Option(
        "--until-decided",
        help="Take cases in a random order, and stop once gates or the difference from "
        "--against are decided.",
    ),
]
Against = Annotated[
    str | None,
    typer.Option(help="With --until-decided: the run to compare with, or 'last good'."),
]
Delta = Annotated[
    float | None,
    typer.Option(help="With --until-decided: below this difference two are the same."),
]
Alpha = Annotated[
    float,
    typer.Option(help="With --until-decided: the probability of a wrong decision."),
]
OrderSeed = Annotated[
    int,
    typer.Option(help="With --until-decided: the seed of the order of the cases."),
]
Plan = Annotated[
    bool,
    typer.Option("--plan", help="Say what would be computed and why; compute nothing."),
]

Show = Annotated[
    int | None,
    typer.Option(min=1, help="Print the prompts of the first N cases; send nothing."),
]


@app.command()
def run(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    data: Data = None,
    store: Store = None,
    limit: Limit = None,
    cell: CellName = None,
    until: Until = "reduce",
    max_cost: MaxCost = None,
    runner: Runner = "threads",
    workers: Workers = None,
    gate: Gates = None,
    by: GateBy = "interval",
    junit: JunitFile = None,
    until_decided: UntilDecided = False,
    against: Against = None,
    delta: Delta = None,
    alpha: Alpha = 0.05,
    order_seed: OrderSeed = 0,
    plan: Plan = False,
    show: Show = None,
) -> None:
    """Run an experiment, computing only the rows that its store lacks."""
    tell_reading(experiment)
    # Late: most of the library, which takes longer to import than a person likes to wait
    # for a first line.
    from flows.run_asked import run_as_asked

    asked = {
        "experiment": experiment,
        "data": data,
        "store": store,
        "cell": cell,
        "limit": limit,
        "until_stage": until,
        "runner": runner,
        "workers": workers,
        "max_cost": max_cost,
        "gates": gate or [],
        "gate_by": by,
        "until_decided": until_decided,
        "against": against,
        "delta": delta,
        "alpha": alpha,
        "order_seed": order_seed,
        "overrides": overrides or [],
    }
    code = run_as_asked(asked, junit=junit, plan=plan, show=show)
    raise typer.Exit(code)


def run_quickly(program: Callable[..., Any]) -> NoReturn:
    """Run a program with GC off during imports and without interpreter teardown.

    Together these are a third of the time of a short run.
    """
    # Imports make many objects and no garbage: each collection would look at all.
    gc.disable()
    code = 1
    try:
        program()
    except SystemExit as ended:
        # As Python itself: no code is 0, a message is 1.
        code = 0
        if ended.code is not None:
            code = ended.code if isinstance(ended.code, int) else 1
    # `os._exit` skips teardown, and with it exit handlers and buffers: without these
    # lines clients stay open and output that goes to a pipe is lost.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run_quickly(app)
