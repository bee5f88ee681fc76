"""Runs an experiment on Prefect from a command, its progress shown."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console

from flows import exit_codes
from flows.terminal import assemble
from flows.typed import login_command
from themis_lib import RunResult

if TYPE_CHECKING:
    from flows.display import Follower
    from flows.local import FinishedMatrix, FinishedRun

    F = TypeVar("F", FinishedRun, FinishedMatrix)

#: Settings of Prefect's client, unless the environment says otherwise.
_CLIENT_SETTINGS = {
    # A server may be away for half a minute.
    "PREFECT_CLIENT_MAX_RETRIES": "4",
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
#: Further ones, unless the environment sets the level of the log: then it is wanted.
_QUIET_SETTINGS = {
    # Lines of a log would break the progress bars; the run's page still has warnings.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}


def run_on_prefect(
    parameters: dict[str, Any],
    console: Console,
) -> tuple[RunResult, str]:
    """Run an experiment, and return its result and the address of its page.

    Raise what stopped the run. A server that goes away meanwhile ends the process.
    """

    async def work(
        api_url: str,
        follower: Follower,
    ) -> FinishedRun:
        from flows.local import run_to_end

        return await run_to_end(
            api_url,
            parameters,
            follow=lambda run: follower.follow(run.progress),
        )

    finished, page = run_beside_server(work, console)
    return RunResult(finished.run.store, finished.run.run_id), page


def run_beside_server(
    work: Callable[[str, Follower], Coroutine[Any, Any, F]],
    console: Console,
) -> tuple[F, str]:
    """Return what `work` returns of a flow run, and the address of its page.

    `work` is given the server's address, and what shows progress meanwhile. Raise what
    stopped it. A server that goes away meanwhile ends the process.
    """
    # Imported late: bad input is refused without waiting for Prefect.
    from flows.display import Follower, showing

    follower = Follower()
    with showing(follower, console):
        # Before Prefect is imported, which reads its settings from the environment.
        settings = dict(_CLIENT_SETTINGS)
        is_quiet = "PREFECT_LOGGING_LEVEL" not in os.environ
        if is_quiet:
            settings |= _QUIET_SETTINGS
        for name, value in settings.items():
            os.environ.setdefault(name, value)
        from flows.server import password_of, server_address

        api_url = server_address(tell_start=follower.wait_for_server)
        follower.server_is_there()
        from flows.console_log import log_above_progress
        from flows.local import ServerGoneError
        from themis_lib.experiment.event_loop import run_in_new_loop

        collect_garbage_again()
        try:
            with log_above_progress(console):
                finished = run_in_new_loop(lambda: work(api_url, follower))
        except ServerGoneError as error:
            print_error(str(error))
            # Prefect's threads would try for minutes more to reach the server.
            os._exit(exit_codes.FAILED)
    if is_quiet:
        _print_telemetry_warning()
    page = f"{api_url.removesuffix('/api')}/runs/flow-run/{finished.flow_run_id}"
    if password_of(api_url):
        page = f"{page}    # password: {login_command()}"
    return finished, page


def _print_telemetry_warning() -> None:
    """Print the one warning that Prefect's quiet log must not hide."""
    providers = sys.modules.get("themis_lib.telemetry.providers")
    said = providers.undelivered() if providers else None
    if said:
        Console(stderr=True).print(
            assemble(("warning: ", "bold yellow"), said), soft_wrap=True
        )


def collect_garbage_again() -> None:
    """End what `run.run_quickly` began, once everything is imported."""
    # Modules live as long as the process: frozen, they are never looked over again.
    gc.freeze()
    gc.enable()


def print_error(message: str) -> None:
    """Print why a command ended, in one line of its errors."""
    Console(stderr=True).print(
        assemble(("error: ", "bold red"), message), soft_wrap=True
    )
