"""What `python -m flows.run` does with what was typed, from the first look to the end.

Apart from the command's options: it imports most of the library, and these are there at
once.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from flows import exit_codes
from flows.jobs import Ending, Job, job_of
from flows.parameters import EvaluateParameters
from flows.running import collect_garbage_again, print_error, run_beside_server
from flows.terminal import open_console
from flows.typed import command, typed_arguments
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.errors import ThemisError
from themis_lib.report.junit import check_junit


def run_as_asked(
    asked: dict[str, Any],
    *,
    junit: Path | None,
    plan: bool,
    show: int | None,
) -> int:
    """Run, plan or show what was `asked` for by `EvaluateParameters`' names.

    Return the exit code; errors are printed.
    """
    console = open_console()
    # Not validated here: the experiment says what is wrong with a number, by its name.
    parameters = EvaluateParameters.model_construct(**asked)
    job: Job | None = None
    try:
        job = job_of(parameters)
        if show is not None:
            collect_garbage_again()
            job.print_prompts(show, console)
            return exit_codes.COMPLETED
        job.store.check_writable()
        check_junit(junit, parameters.gates)
        if plan:
            collect_garbage_again()
            job.print_plan(console)
            return exit_codes.COMPLETED
        return _run_flow(job, parameters.model_dump(), console, junit)
    except ThemisError as error:
        print_error(str(error))
        return exit_codes.error_code(error)
    except KeyboardInterrupt:
        print_error(_stopped_message(job))
        return exit_codes.INTERRUPTED


def _run_flow(
    job: Job,
    parameters: dict[str, Any],
    console: Console,
    junit: Path | None,
) -> int:
    began = time.monotonic()
    finished, page = run_beside_server(
        lambda api_url, follower: job.run(api_url, parameters, follower),
        console,
    )
    ending = Ending(
        seconds=time.monotonic() - began,
        page=page,
        command=_typed_command(),
        junit=junit,
    )
    return job.print_end(finished, console, ending)


def _stopped_message(job: Job | None) -> str:
    again = _typed_command()
    if job is not None and job.store.in_memory:
        return (
            "stopped; the finished rows were in memory and are gone. Keep them with: "
            f"{again} --store {DEFAULT_STORE}"
        )
    return f"stopped; every finished row is saved. Go on with: {again}"


def _typed_command() -> str:
    return command("run", *typed_arguments(without=["--plan"]))
