"""Closes tasks of dead processes, which the server would show as `Running` for ever."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterId,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, StateType, TaskRun
from prefect.events.worker import EventsWorker
from prefect.states import Crashed

_LOST = "Its process was killed, or ran out of memory; finished rows are saved."
#: How long a process's last events may take to reach the server's database.
_SETTLING_S = 3.0
#: The same for a flow run that another process has ended: by then nothing is in flight.
_LONG_SETTLED = timedelta(minutes=1)
_POLL_INTERVAL_S = 0.2


async def close_lost(task_run_ids: Sequence[UUID]) -> None:
    """Set to `Crashed` the tasks whose worker process died in the middle of them."""
    if not task_run_ids:
        return
    lost = TaskRunFilter(id=TaskRunFilterId(any_=list(task_run_ids)))
    # How a task looks on the server must not decide how the run ends.
    with contextlib.suppress(httpx.HTTPError):
        await asyncio.to_thread(EventsWorker.drain_all, timeout=_SETTLING_S)
        deadline = time.monotonic() + _SETTLING_S
        async with get_client() as client:
            # The server records task runs from events, late: one look would miss some.
            while time.monotonic() < deadline:
                task_runs = await client.read_task_runs(task_run_filter=lost)
                await _close_task_runs(client, task_runs)
                await asyncio.sleep(_POLL_INTERVAL_S)


async def close_left_behind(
    flow_name: str,
    *,
    settled: timedelta = _LONG_SETTLED,
) -> None:
    """Set to `Crashed` the unfinished tasks of flow runs that ended long ago.

    Flow run and tasks were one process. When it is killed, an automation closes the
    flow run (`deployments/automations.yaml`), but nothing closes its tasks.
    """
    # A run that ended just now may still have events on their way: see `settled`.
    ended = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=list(TERMINAL_STATES))
        ),
        end_time=FlowRunFilterEndTime(before_=datetime.now(UTC) - settled),
    )
    open_types = [kind for kind in StateType if kind not in TERMINAL_STATES]
    unfinished = TaskRunFilter(
        state=TaskRunFilterState(type=TaskRunFilterStateType(any_=open_types))
    )
    with contextlib.suppress(httpx.HTTPError):
        async with get_client() as client:
            left = await client.read_task_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])),
                flow_run_filter=ended,
                task_run_filter=unfinished,
            )
            await _close_task_runs(client, left)


async def _close_task_runs(
    client: PrefectClient,
    task_runs: Sequence[TaskRun],
) -> None:
    for task_run in task_runs:
        if task_run.state is not None and task_run.state.is_final():
            continue
        # Forced: this corrects the record; it is no transition for the server's rules.
        await client.set_task_run_state(
            task_run.id,
            Crashed(message=_LOST),
            force=True,
        )
