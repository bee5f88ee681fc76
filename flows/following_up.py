"""The follow-up of a deployed run whose rows are in batches at a provider.

The flow run is scheduled again, and its process ends: meanwhile it holds no worker, no
slot of a work pool and no concurrency limit. The next try finds the batches in the store.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.states import Scheduled

from flows.outcome import AWAITING_BATCHES, waiting_message
from themis_lib import RunResult
from themis_lib.core.config import BatchConfig

#: Starting a process for a look costs more than a look: so many `poll_s` lie between.
_POLLS_BETWEEN = 5


def follows_up() -> bool:
    """Return whether a worker starts this flow run, and so can start it once more.

    A run of a command waits itself, and so does a cell of a matrix.
    """
    context = FlowRunContext.get()
    flow_run = context.flow_run if context is not None else None
    return (
        flow_run is not None
        and flow_run.deployment_id is not None
        and flow_run.parent_task_run_id is None
    )


async def follow_up(result: RunResult) -> NoReturn:
    """Schedule this flow run once more, in some minutes, and leave it."""
    configuration = result.manifest.configuration or {}
    settings = configuration.get("runtime", {}).get("batch") or {}
    poll_s = settings.get("poll_s", BatchConfig().poll_s)
    due = datetime.now(UTC) + timedelta(seconds=_POLLS_BETWEEN * poll_s)
    state: State[Any] = Scheduled(
        name=AWAITING_BATCHES,
        message=f"{waiting_message(result)}; looked at again at {due:%H:%M:%S} UTC",
        scheduled_time=due,
    )
    context = FlowRunContext.get()
    assert context is not None  # `follows_up` has seen it
    assert context.flow_run is not None
    async with get_client() as client:
        await client.set_flow_run_state(context.flow_run.id, state)
    # Prefect's own way out of a flow run that a worker starts again later.
    raise Pause(state=state)
