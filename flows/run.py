"""Run one experiment on Prefect.

    python -m flows.run EXPERIMENT.yaml [key=value …] [--store URL] [--limit N] [--until STAGE]
                        [--max-cost DOLLARS] [--plan] [--workers N]
                        [--runner threads|processes|dask|ray]
                        [--gate GATE …] [--junit FILE]

It uses the server at PREFECT_API_URL; where none is set, a small local one that it
starts or reuses (`server.py`). A gate is 'METRIC >= 0.8' or 'METRIC no worse than RUN
by 0.02'; how it is decided, `comparison/gate.py` says. Exit codes: 0 completed, 1
failed, 2 bad input, 3 completed with failed rows, 4 stopped at its budget, 5 a gate
failed, 6 no gate failed, but the data cannot tell for one, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.text import Text

from flows import exit_codes
from flows.opening import write_text
from flows.parameters import EvaluateParameters
from flows.preparing import PreparedRun, prepare_run
from themis_lib import BudgetError, InputError, RunResult, ThemisError
from themis_lib.core.config import RunnerName
from themis_lib.report.junit import check_junit, junit_xml
from themis_lib.runs.pipeline import StageName

#: Settings of the client, unless the environment says otherwise: no telemetry, no
#: noise, no wait at exit.
_CLIENT_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_CLIENT_MAX_RETRIES": "4",  # a server may be away for half a minute
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the page of the run still has warnings
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    experiment: Annotated[str, typer.Argument(help="The experiment's YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to replace: key.path=value")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="A folder or fsspec URL for rows and runs.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only the first N cases of each dataset.")
    ] = None,
    until: Annotated[
        str, typer.Option(help="Stop after generate, parse, score or reduce.")
    ] = "reduce",
    max_cost: Annotated[
        float | None, typer.Option(help="Stop before more dollars than this are spent.")
    ] = None,
    runner: Annotated[
        RunnerName, typer.Option(help="Where shards are computed.")
    ] = "threads",
    workers: Annotated[
        int | None, typer.Option(help="How many shards at once.")
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(help="What the run has to reach, such as 'METRIC >= 0.8'."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write the gates as JUnit XML to this file.")
    ] = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Say what would be computed and why; compute nothing."
        ),
    ] = False,
) -> None:
    """Run an experiment: generate → parse → score → reduce, computing only what the
    store lacks.
    """
    console = Console()
    # Not validated here: the experiment says what is wrong with a number, by its name.
    parameters = EvaluateParameters.model_construct(
        experiment=experiment,
        store=store,
        limit=limit,
        until_stage=cast(StageName, until),
        runner=runner,
        workers=workers,
        max_cost=max_cost,
        gates=gate or [],
        overrides=overrides or [],
    )
    try:
        prepared = prepare_run(parameters)
        prepared.store.check_writable()
        check_junit(junit, gate)
        if plan:
            _print_plan(prepared, console)
            return
        code = _run_flow(parameters.model_dump(), console, junit)
    except InputError as error:
        _print_error(str(error))
        code = exit_codes.BAD_INPUT
    except BudgetError as error:
        _print_error(str(error))
        code = exit_codes.OUT_OF_BUDGET
    except ThemisError as error:
        _print_error(str(error))
        code = exit_codes.FAILED
    except KeyboardInterrupt:
        _print_error(
            f"stopped; every finished row is saved. Go on with: {_typed_command()}"
        )
        code = exit_codes.INTERRUPTED
    raise typer.Exit(code)


def _run_flow(
    parameters: dict[str, Any],
    console: Console,
    junit: Path | None,
) -> int:
    from flows.display import Follower, print_result, showing

    began = time.monotonic()
    follower = Follower()
    with showing(follower, console):
        api_url = _connect_server()
        from flows.local import ServerGoneError, run_to_end

        _look_for_garbage()
        try:
            outcome = asyncio.run(
                run_to_end(
                    api_url,
                    parameters,
                    follow=lambda run: follower.follow(run.progress),
                )
            )
        except ServerGoneError as error:
            _print_error(str(error))
            os._exit(
                exit_codes.FAILED
            )  # Prefect would try for minutes more to tell the server
    result = RunResult(outcome.run.store, outcome.run.run_id)
    page = f"{api_url.removesuffix('/api')}/runs/flow-run/{outcome.flow_run_id}"
    print_result(
        result,
        console,
        seconds=time.monotonic() - began,
        page=page,
        command=_typed_command(),
    )
    if junit:
        write_text(junit, junit_xml({result.manifest.name: result.manifest.gates}))
    return exit_codes.run_code(result)


def _connect_server() -> str:
    """The API address to use, set for this process before Prefect is imported."""
    for name, value in _CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    from flows.server import server_address

    return server_address()


def _print_plan(
    prepared: PreparedRun,
    console: Console,
) -> None:
    from flows.display import print_plan
    from themis_lib.explain.plan import plan_run

    _look_for_garbage()
    print_plan(plan_run(prepared.pipeline, prepared.store), console)


def _look_for_garbage() -> None:
    """From now on; what was imported stays, and need not be looked over again and
    again.
    """
    gc.freeze()
    gc.enable()


def _typed_command() -> str:
    arguments = [argument for argument in sys.argv[1:] if argument != "--plan"]
    return "python -m flows.run " + shlex.join(arguments)


def _print_error(message: str) -> None:
    Console(stderr=True).print(
        Text.assemble(("error: ", "bold red"), message), soft_wrap=True
    )


def main() -> None:
    """Run the command, with neither of two things that take a third of a short run's
    time: looking for garbage among what is being imported, and taking the interpreter
    apart at the end, when everything is saved and on record.
    """
    gc.disable()
    code = 1
    try:
        app()
    except SystemExit as ended:
        code = (
            ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        )
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
