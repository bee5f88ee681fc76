"""Closes the tasks of processes that are gone, which the server would show as `Running`
for ever.
"""

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
#: How long what a process has said last may be on its way to the server's books.
_SETTLING_S = 3.0
_LONG_SETTLED = timedelta(minutes=1)


async def close_lost(task_run_ids: Sequence[UUID]) -> None:
    """Set tasks to `Crashed` that a worker process left in the middle, as they turn up
    on the server.
    """
    if not task_run_ids:
        return
    lost = TaskRunFilter(id=TaskRunFilterId(any_=list(task_run_ids)))
    with contextlib.suppress(httpx.HTTPError):
        await asyncio.to_thread(EventsWorker.drain_all, timeout=_SETTLING_S)
        deadline = time.monotonic() + _SETTLING_S
        async with get_client() as client:
            while time.monotonic() < deadline:
                await _close_task_runs(
                    client, await client.read_task_runs(task_run_filter=lost)
                )
                await asyncio.sleep(0.2)


async def close_left_behind(
    flow_name: str,
    *,
    settled: timedelta = _LONG_SETTLED,
) -> None:
    """Set tasks to `Crashed` that are under way in flow runs which ended long ago: both
    were one killed process.
    """
    ended = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=list(TERMINAL_STATES))
        ),
        end_time=FlowRunFilterEndTime(before_=datetime.now(UTC) - settled),
    )
    open_types = [kind for kind in StateType if kind not in TERMINAL_STATES]
    under_way = TaskRunFilter(
        state=TaskRunFilterState(type=TaskRunFilterStateType(any_=open_types))
    )
    with contextlib.suppress(httpx.HTTPError):
        async with get_client() as client:
            left = await client.read_task_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])),
                flow_run_filter=ended,
                task_run_filter=under_way,
            )
            await _close_task_runs(client, left)


async def _close_task_runs(
    client: PrefectClient,
    task_runs: Sequence[TaskRun],
) -> None:
    for task_run in task_runs:
        if task_run.state is None or not task_run.state.is_final():
            await client.set_task_run_state(
                task_run.id, Crashed(message=_LOST), force=True
            )
