"""The evaluation flow: generate → parse → judge → score → reduce, a task for each shard of each stage."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from tasks import generate, judge, parse, reduce, score
from tasks.artifacts import live_progress, publish_report, run_label, tag_run
from tasks.caching import result_storage
from tasks.submit import submitting
from tasks.worker import observe, register, unregister
from themis_lib import Experiment, RunResult, RunStatus
from themis_lib.core.drive import run_shards
from themis_lib.core.pipeline import Stages
from themis_lib.core.run import Run

SHARDS_AT_ONCE = 8


@flow(
    name="evaluate",
    flow_run_name=run_label,
    task_runner=ThreadPoolTaskRunner(max_workers=SHARDS_AT_ONCE),  # type: ignore[arg-type]
    persist_result=False,
    validate_parameters=False,
)
async def evaluate(
    experiment: str,
    overrides: list[str] | None = None,
    limit: int | None = None,
    until_stage: Literal["generate", "parse", "score", "reduce"] = "reduce",
) -> State[Any]:
    """Evaluate the experiment in a YAML file, with settings replaced by `key.path=value`, on the first `limit` cases.

    The state's data is the run's id, status and location; the state is Failed when no row succeeded.
    """
    loaded = Experiment.from_config(experiment, overrides=overrides or [], limit=limit)
    pipeline = loaded.compile(until_stage=until_stage)
    store = loaded.open_store()
    storage = await result_storage(loaded.storage, store)
    await tag_run("themis", loaded.name)
    with Run(pipeline, store) as run:
        register(run)
        observe(run)
        try:
            async with live_progress(run):
                stages = Stages(
                    generate=submitting(run, generate, storage=storage),
                    parse=submitting(run, parse, storage=storage),
                    judge=submitting(run, judge, storage=storage),
                    score=submitting(run, score, storage=storage),
                    reduce=submitting(run, reduce, storage=storage),
                )
                await run_shards(run, stages, window=SHARDS_AT_ONCE)
            result = run.finish()
        finally:
            unregister(run)
    await publish_report(result)
    return final_state(result)


def final_state(result: RunResult) -> State[Any]:
    """Completed, also with failed rows, which the name says; Failed when nothing succeeded."""
    data = {"run_id": result.run_id, "status": result.status.value, "location": result.location}
    if result.status is RunStatus.FAILED:
        return Failed(message="no row succeeded", data=data)
    name = "Completed" if result.status is RunStatus.COMPLETED else "CompletedWithFailedRows"
    return Completed(name=name, message=result.status.value, data=data)
