"""Runs the evaluation flow from this process, against a Prefect server.

It returns only when the server has recorded how everything ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import certifi
import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, State
from prefect.context import FlowRunContext, SettingsContext, get_settings_context
from prefect.events.worker import EventsWorker
from pydantic import SecretStr

from flows.evaluate import evaluate
from flows.parameters import EvaluateParameters
from flows.server import password_of, prefect_home
from tasks.submit import ended_tasks
from tasks.worker import OBSERVER
from themis_lib.errors import ConfigError, ThemisError, describe
from themis_lib.runs.run import Run

if TYPE_CHECKING:
    from flows.cells import CellEnd

#: How long to wait for the server's record of a run, in seconds.
_RECORDING_TIMEOUT_S = 30
#: The same after a Ctrl-C, when a person waits.
_STOPPING_TIMEOUT_S = 10
_POLL_INTERVAL_S = 0.1
# Task runs asked for at a time; 200 is the most that a server returns.
_PAGE = 200
_END_OF_CERTIFICATE = "-----END CERTIFICATE-----"


class ServerGoneError(ThemisError):
    """The server stopped answering while a run was under way."""


@dataclass
class FinishedRun:
    """How a flow run ended: the run it made, and where the server keeps its record."""

    run: Run
    flow_run_id: UUID | None


@dataclass
class FinishedMatrix:
    """How each cell of a matrix ended, by its name, and the record on the server."""

    cells: dict[str, CellEnd]
    page: str | None
    flow_run_id: UUID | None


async def run_to_end(
    api_url: str,
    parameters: dict[str, Any],
    *,
    follow: Callable[[Run], None],
) -> FinishedRun:
    """Run the flow against a server, and wait until the server has recorded its end.

    `follow` is called with the run when it starts. Raise what stopped the run:
    `InputError`, `FatalError`, `ServerGoneError` and so on.
    """
    runs: list[Run] = []

    def observe(run: Run) -> None:
        runs.append(run)
        follow(run)

    state, _ = await _flow_to_end(
        api_url,
        parameters,
        follow=observe,
    )
    if not runs or runs[-1].result is None:
        raise ThemisError(f"the flow run ended {state.name}: {state.message}")
    return FinishedRun(
        run=runs[-1],
        flow_run_id=state.state_details.flow_run_id,
    )


async def run_matrix_to_end(
    api_url: str,
    parameters: dict[str, Any],
    *,
    follow: Callable[[Run], None],
) -> FinishedMatrix:
    """Run the flow over all cells of a matrix, as `run_to_end` does for one run.

    `follow` is called with the run of each cell when it starts. A cell that fails is
    no exception.
    """
    state, outcome = await _flow_to_end(
        api_url,
        parameters,
        follow=follow,
    )
    # Late: most runs have no cells.
    from flows.cells import CellEnd

    if not isinstance(outcome, dict):
        raise ThemisError(f"the flow run ended {state.name}: {state.message}")
    return FinishedMatrix(
        cells={name: CellEnd(**end) for name, end in outcome["cells"].items()},
        page=outcome["page"],
        flow_run_id=state.state_details.flow_run_id,
    )


async def _flow_to_end(
    api_url: str,
    parameters: dict[str, Any],
    *,
    follow: Callable[[Run], None],
) -> tuple[State[Any], Any]:
    """Return the final state of the flow and what it returned, all of it recorded.

    Raise what stopped it.
    """
    started: list[tuple[Run, UUID]] = []

    def observe(run: Run) -> None:
        context = FlowRunContext.get()
        if context and context.flow_run:
            started.append((run, context.flow_run.id))
        follow(run)

    client = _client_of(api_url)
    token = OBSERVER.set(observe)
    try:
        with client:
            await check_server(api_url)
            asked = EvaluateParameters(**parameters)
            state: State[Any] = await evaluate(asked, return_state=True)
            # Cells in step are several runs within one flow run.
            ended: Counter[UUID] = Counter()
            for run, flow_run_id in started:
                ended[flow_run_id] += ended_tasks(run.run_id)
            for flow_run_id, count in ended.items():
                await _wait_until_recorded(
                    flow_run_id,
                    count,
                    within_s=_RECORDING_TIMEOUT_S,
                )
            outcome = await state.aresult(raise_on_failure=False)
    except asyncio.CancelledError:
        # A Ctrl-C. Without the wait the server shows what has ended as `Running`.
        for run, flow_run_id in started[-1:]:
            with contextlib.suppress(httpx.HTTPError), client:
                await _wait_until_recorded(
                    flow_run_id,
                    ended_tasks(run.run_id),
                    within_s=_STOPPING_TIMEOUT_S,
                )
        raise
    except httpx.TransportError as error:
        raise ServerGoneError(
            f"the Prefect server at {api_url} went away ({describe(error)}); every "
            "finished row is saved. Run it again when the server is back"
        ) from None
    finally:
        OBSERVER.reset(token)
    if isinstance(outcome, ThemisError):
        raise outcome
    return state, outcome


def _client_of(api_url: str) -> AbstractContextManager[Any]:
    """Return a block in which Prefect's clients are those of the server at an address.

    `temporary_settings` would read all settings from all of their sources once more,
    which takes 50 ms.
    """
    changed: dict[str, Any] = {"url": api_url}
    password = password_of(api_url)
    if password is not None:
        changed["auth_string"] = SecretStr(password)
    if api_url.startswith("http://"):
        changed["ssl_cert_file"] = str(one_certificate())
    context = get_settings_context()
    api = context.settings.api.model_copy(update=changed)
    settings = context.settings.model_copy(update={"api": api})
    return SettingsContext(profile=context.profile, settings=settings)


async def check_server(api_url: str) -> None:
    """Raise `ConfigError` if the server in use does not answer."""
    async with get_client() as client:
        error = await client.api_healthcheck()
    if error is not None:
        raise ConfigError(
            f"the Prefect server at {api_url} does not answer ({describe(error)}); "
            "start it, or unset PREFECT_API_URL to use a local one"
        )


def one_certificate() -> Path:
    """Return a file with a single certificate authority, written if it is missing.

    For servers that are reached by plain HTTP: Prefect loads all authorities for each
    client even then, which takes 25 ms a time.
    """
    path = prefect_home() / "themis-one-certificate.pem"
    if not path.exists():
        # A real one: an empty file is refused.
        every = Path(certifi.where()).read_text(encoding="utf-8")
        first, end, _ = every.partition(_END_OF_CERTIFICATE)
        first = first[first.index("-----BEGIN") :]
        path.parent.mkdir(
            parents=True,
            exist_ok=True,
        )
        path.write_text(f"{first}{end}\n", encoding="utf-8")
    return path


async def _wait_until_recorded(
    flow_run_id: UUID,
    tasks: int,
    *,
    within_s: float,
) -> None:
    """Wait until the server has recorded the end of this many tasks of a flow run.

    A temporary server that is left earlier had recorded 29 of 200 fast tasks, and
    showed others as `Running` for ever.
    """
    # Late records are no reason to fail a run that is saved.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await asyncio.to_thread(EventsWorker.drain_all, timeout=within_s)
            async with get_client() as client:
                while await _count_ended(client, flow_run_id) < tasks:
                    await asyncio.sleep(_POLL_INTERVAL_S)


async def _count_ended(
    client: PrefectClient,
    flow_run_id: UUID,
) -> int:
    of_flow_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    final = TaskRunFilterStateType(any_=list(TERMINAL_STATES))
    ended = TaskRunFilter(state=TaskRunFilterState(type=final))
    count = 0
    while True:
        page = await client.read_task_runs(
            flow_run_filter=of_flow_run,
            task_run_filter=ended,
            limit=_PAGE,
            offset=count,
        )
        count += len(page)
        if len(page) < _PAGE:
            return count
