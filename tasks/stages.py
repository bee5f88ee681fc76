"""The stages as Prefect tasks: one task for each shard of each stage.

A shard saves every row that succeeded before its task raises, so a retry repeats only
the rows that failed. Tasks have no tags: each tag of a task costs requests for a
concurrency limit. The flow run has them instead.
"""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger, runtime, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed
from prefect.tasks import Task
from prefect.transactions import Transaction, get_transaction

from tasks.caching import ByCacheKey
from tasks.logs import without_tracebacks
from tasks.worker import compute_shard
from themis_lib.errors import ShardError, is_transient

#: The name of the state of a task run whose rows are in a batch at a provider.
AWAITING_BATCH = "AwaitingBatch"


async def should_retry(
    _task: Task[Any, Any],
    _task_run: TaskRun,
    state: State[Any],
) -> bool:
    """Return whether a failed shard is worth another try.

    That is when a row failed for a reason that may pass, such as a busy provider.
    """
    error = await state.aresult(raise_on_failure=False)
    if isinstance(error, ShardError):
        return error.transient
    return is_transient(error)


def compute(
    work: dict[str, Any],
    label: str,
    cache_key: str,
) -> dict[str, Any] | State[Any]:
    """Compute a shard of a stage and return the reference to its table, as JSON.

    Of a shard that waits for batches, it is the data of the state to end in. `label`
    names the task run, and `cache_key` its result; only Prefect reads them.
    """
    del label, cache_key
    without_tracebacks()
    try:
        return compute_shard(work).to_json()
    except ShardError as error:
        if error.waiting:
            # Prefect's pages show a state's name, and its message nowhere but here.
            get_run_logger().warning("%s", error)
            return _awaiting_batch(error)
        attempt = runtime.task_run.run_count
        get_run_logger().warning("attempt %s: %s", attempt, error)
        raise


def _awaiting_batch(error: ShardError) -> State[Any]:
    """Return the state in which the task of a waiting shard ends, kept in no cache.

    It is final, since the next look at the batch is another task run.
    """
    transaction = get_transaction()
    # Prefect runs each task in a transaction. Committed, it would write the state's
    # data under the cache key, and no later run would look at the batch again.
    assert isinstance(transaction, Transaction)
    transaction.write_on_commit = False
    return Completed(
        name=AWAITING_BATCH,
        message=str(error),
        data=error.part.to_json(),
    )


# Synchronous tasks: Prefect submits an async one in 50 to 75 ms, a sync one in 3 to 4.
_OPTIONS: dict[str, Any] = {
    "task_run_name": "{label}",
    "cache_policy": ByCacheKey(),
    "persist_result": True,
    # Never pickle: another process, or another release, has to read the reference.
    "result_serializer": "json",
    "retry_condition_fn": should_retry,
    # Shards that a provider refused at once must not come back at once.
    "retry_jitter_factor": 0.5,
    "log_prints": False,
}

# One function under five names: the UI tells task runs apart by their task.
generate = task(
    name="generate",
    **_OPTIONS,
)(compute)
parse = task(
    name="parse",
    **_OPTIONS,
)(compute)
judge = task(
    name="judge",
    **_OPTIONS,
)(compute)
score = task(
    name="score",
    **_OPTIONS,
)(compute)
reduce = task(
    name="reduce",
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
