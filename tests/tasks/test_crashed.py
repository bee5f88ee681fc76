"""Tasks whose process is gone do not stay `Running` on the server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Running

from tasks.crashed import close_left_behind


@flow(name="left-behind")
def left_behind() -> None: ...


@task
def shard() -> None: ...


async def flow_run_with_task(client: Any, task_state: Any) -> tuple[Any, Any]:
    flow_run = await client.create_flow_run(left_behind, state=Running())
    task_run = await client.create_task_run(
        shard, flow_run.id, dynamic_key="0", state=task_state
    )
    return flow_run.id, task_run.id


async def states_before_and_after() -> tuple[str, list[str]]:
    """The state of a task left behind while its run may still settle; then of all three
    tasks.
    """
    async with get_client() as client:
        crashed, left = await flow_run_with_task(client, Running())
        _, going_on = await flow_run_with_task(client, Running())
        completed, done = await flow_run_with_task(client, Completed())
        for flow_run_id in (crashed, completed):
            await client.set_flow_run_state(flow_run_id, Crashed(), force=True)

        await close_left_behind("left-behind", settled=timedelta(hours=1))
        before = await client.read_task_run(left)
        await close_left_behind("left-behind", settled=timedelta(0))
        after = [
            await client.read_task_run(task_run_id)
            for task_run_id in (left, going_on, done)
        ]
    return before.state_name, [task_run.state_name for task_run in after]


def test_tasks_of_a_crashed_run_crash_with_it(prefect_api: str) -> None:
    """What a killed flow run left `Running` is closed; what has ended, or belongs to a
    run under way, stays.
    """
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        before, after = asyncio.run(states_before_and_after())

    assert "Running" == before
    assert ["Crashed", "Running", "Completed"] == after
