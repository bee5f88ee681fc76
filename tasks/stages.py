"""The four stages as Prefect tasks. A task is one shard of one stage; its result is the reference to its table.

A shard saves every row that succeeded before its task raises, so a retry repeats only the rows that failed. Tasks
bear no tags, since each tag of a task costs requests for a concurrency limit; the flow run bears them.
"""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from tasks.caching import ByCacheKey
from tasks.worker import compute_shard
from themis_lib.errors import ShardError

_OPTIONS: dict[str, Any] = {
    "task_run_name": "{label}",
    "cache_policy": ByCacheKey(),
    "persist_result": True,
    "result_serializer": "json",
    "retry_jitter_factor": 0.5,
    "log_prints": False,
}


async def is_transient(task_: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed shard is worth another try: only when a row failed for a reason that may pass."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, ShardError) and error.transient


@task(name="generate", retry_condition_fn=is_transient, **_OPTIONS)
def generate(work: dict[str, Any], label: str, cache_key: str) -> dict[str, Any]:
    """Candidates for a shard of cases."""
    return compute_shard(work).to_json()


@task(name="parse", retry_condition_fn=is_transient, **_OPTIONS)
def parse(work: dict[str, Any], label: str, cache_key: str) -> dict[str, Any]:
    """Answers read from a shard of outputs."""
    return compute_shard(work).to_json()


@task(name="score", retry_condition_fn=is_transient, **_OPTIONS)
def score(work: dict[str, Any], label: str, cache_key: str) -> dict[str, Any]:
    """One metric's scores for a shard of answers."""
    return compute_shard(work).to_json()


@task(name="reduce", retry_condition_fn=is_transient, **_OPTIONS)
def reduce(work: dict[str, Any], label: str, cache_key: str) -> dict[str, Any]:
    """One result for each case and metric of a shard."""
    return compute_shard(work).to_json()
