"""Evaluations from the Prefect UI on one machine, without a worker.

    python -m deployments.serve [--experiment EXPERIMENT.yaml] [--cron "0 3 * * *"]
                                [--at-once N]

It uses the server at PREFECT_API_URL or, if that is not set, a small local one that it
starts or reuses. It serves until Ctrl-C, which stops what it runs; the next run of an
experiment goes on from its store.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from flows.exit_codes import FAILED
from flows.server import client_settings, password_of, server_address
from flows.typed import login_command
from themis_lib.components.module_folders import SAFE_PATH
from themis_lib.errors import ThemisError, describe

if TYPE_CHECKING:
    from prefect.runner import Runner

_HERE = Path(__file__).parent
DEPLOYMENT = "serve"
#: What the runs of this deployment inherit, unless the environment says otherwise.
_SETTINGS = {
    # `automations.yaml` takes a run that is silent for two minutes for crashed.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_LEVEL": "INFO",
    # Else a run's log has a line for each of its hundreds of tasks.
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
    # Else Prefect starts them with the working directory first on their path, where a
    # `types.py` would be taken for the library. The flow undoes it.
    "PYTHONSAFEPATH": SAFE_PATH,
}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def serve(
    experiment: Annotated[
        str | None,
        typer.Option(help="The experiment that the form suggests."),
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(help="Run it on this schedule (UTC) as long as this serves."),
    ] = None,
    at_once: Annotated[
        int,
        typer.Option(min=1, help="Runs at a time; the others wait."),
    ] = 1,
) -> None:
    """Serve the evaluation flow to the Prefect UI until Ctrl-C."""
    if cron and not experiment:
        raise typer.BadParameter(
            "a schedule needs an --experiment to run",
            param_hint="--cron",
        )
    if experiment and not Path(experiment).is_file():
        raise typer.BadParameter(
            f"there is no file {experiment!r}",
            param_hint="--experiment",
        )
    # Before Prefect is imported, which reads its settings from the environment.
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if cron:
        _check_cron(cron)
    from prefect.settings import temporary_settings

    try:
        address = server_address()
        with temporary_settings(client_settings(address)):
            asyncio.run(
                serve_flow(
                    address.removesuffix("/api"),
                    experiment=experiment,
                    cron=cron,
                    at_once=at_once,
                )
            )
    except ThemisError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(FAILED) from None


def _check_cron(cron: str) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron)
    except ValueError:
        raise typer.BadParameter(
            f"{cron!r} is not a schedule; write five fields, such as '0 3 * * *'",
            param_hint="--cron",
        ) from None


async def serve_flow(
    page: str,
    *,
    experiment: str | None,
    cron: str | None,
    at_once: int,
) -> None:
    """Serve the flow until a signal; `page` is the address of the server's UI.

    Raise `ThemisError` if the server does not answer.
    """
    import httpx
    from prefect.runner import Runner
    from prefect.types.entrypoint import EntrypointType

    from flows.evaluate import evaluate

    try:
        await create_automations()
    except httpx.TransportError as error:
        raise ThemisError(
            f"the Prefect server at {page} does not answer ({describe(error)})"
        ) from None
    suggested: dict[str, Any] = {}
    if experiment:
        suggested = {"parameters": {"experiment": experiment}}
    deployment = await evaluate.ato_deployment(
        DEPLOYMENT,
        description=f"Runs on this machine, in {Path.cwd()}; only the experiment's "
        "path is needed.",
        parameters=suggested,
        cron=cron,
        tags=["themis"],
        # A file as entry point would put `flows/` first on `sys.path`.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    # Paused when this ends: nothing would run what the schedule starts.
    runner = Runner(
        pause_on_shutdown=True,
        limit=at_once,
    )
    await runner.aadd_deployment(deployment)
    print(
        f"Open {page}/deployments, choose `evaluate/{DEPLOYMENT}`, then Run. "
        "Ctrl-C ends.",
        flush=True,
    )
    if password_of(f"{page}/api"):
        print(f"It asks once for the password: {login_command()}", flush=True)
    await _serve_until_signal(runner)


async def _serve_until_signal(runner: Runner) -> None:
    """Run what is asked for until a signal; then cancel what runs."""
    stop = asyncio.Event()
    serving = asyncio.ensure_future(runner.start())
    # The runner installs its own handler first, which would leave its runs `Running`.
    await asyncio.sleep(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.ensure_future(stop.wait())
    # The runner may also end by itself, with an error.
    await asyncio.wait(
        [serving, stopping],
        return_when=asyncio.FIRST_COMPLETED,
    )
    if stop.is_set():
        await runner.astop()
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def create_automations() -> None:
    """Create on the server the automations of `automations.yaml` that it lacks."""
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    text = (_HERE / "automations.yaml").read_text(encoding="utf-8")
    async with get_client() as client:
        for content in yaml.safe_load(text)["automations"]:
            automation = AutomationCore.model_validate(content)
            # By name: those that people have edited or switched off stay as they are.
            if not await client.read_automations_by_name(automation.name):
                await client.create_automation(automation)


if __name__ == "__main__":
    app()
