"""The stages as Prefect tasks. A task is one shard of one stage; its result is the
reference to its table.

A shard saves every row that succeeded before its task raises, so a retry repeats only
the rows that failed. Tasks bear no tags, since each tag of a task costs requests for a
concurrency limit; the flow run bears them.
"""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger, runtime, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from tasks.caching import ByCacheKey
from tasks.logs import without_tracebacks
from tasks.worker import compute_shard
from themis_lib.errors import ShardError, is_transient

_OPTIONS: dict[str, Any] = {
    "task_run_name": "{label}",
    "cache_policy": ByCacheKey(),
    "persist_result": True,
    "result_serializer": "json",
    "retry_jitter_factor": 0.5,
    "log_prints": False,
}


async def should_retry(
    _task: Task[Any, Any],
    _task_run: TaskRun,
    state: State[Any],
) -> bool:
    """Whether a failed shard is worth another try: only when a row failed for a reason
    that may pass.
    """
    error = await state.aresult(raise_on_failure=False)
    return error.transient if isinstance(error, ShardError) else is_transient(error)


def compute(
    work: dict[str, Any],
    label: str,
    cache_key: str,
) -> dict[str, Any]:
    """The reference to a stage's table for a shard; `label` names the task, `cache_key`
    its result.
    """
    del label, cache_key  # read by Prefect alone
    without_tracebacks()
    try:
        return compute_shard(work).to_json()
    except ShardError as error:
        get_run_logger().warning("attempt %s: %s", runtime.task_run.run_count, error)
        raise


generate = task(
    name="generate",
    retry_condition_fn=should_retry,
    **_OPTIONS,
)(compute)
parse = task(
    name="parse",
    retry_condition_fn=should_retry,
    **_OPTIONS,
)(compute)
judge = task(
    name="judge",
    retry_condition_fn=should_retry,
    **_OPTIONS,
)(compute)
score = task(
    name="score",
    retry_condition_fn=should_retry,
    **_OPTIONS,
)(compute)
reduce = task(
    name="reduce",
    retry_condition_fn=should_retry,
    **_OPTIONS,
)(compute)

#: The task of each stage, by the stage's name.
STAGE_TASKS = {
    "generate": generate,
    "parse": parse,
    "judge": judge,
    "score": score,
    "reduce": reduce,
}
