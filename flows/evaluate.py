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
from tasks.runners import THREADS, RunnerName, task_runner, workers_of
from tasks.submit import submitting
from tasks.worker import observe, register, unregister
from themis_lib import Experiment, RunResult, RunStatus
from themis_lib.core.drive import run_shards
from themis_lib.core.pipeline import Stages
from themis_lib.core.run import Run


@flow(
    name="evaluate",
    flow_run_name=run_label,
    task_runner=ThreadPoolTaskRunner(max_workers=THREADS),  # type: ignore[arg-type]
    persist_result=False,
    validate_parameters=False,
)
async def evaluate(
    experiment: str,
    overrides: list[str] | None = None,
    limit: int | None = None,
    until_stage: Literal["generate", "parse", "score", "reduce"] = "reduce",
    runner: RunnerName = "threads",
) -> State[Any]:
    """Evaluate the experiment in a YAML file, with settings replaced by `key.path=value`, on the first `limit` cases.

    `runner` says where shards are computed (`tasks/runners.py`), `runtime.workers` how many at once.
    The state's data is the run's id, status and location; the state is Failed when no row succeeded.
    """
    loaded = Experiment.from_config(experiment, overrides=overrides or [], limit=limit)
    pipeline = loaded.compile(until_stage=until_stage)
    store = loaded.open_store()
    storage = await result_storage(loaded.storage, store)
    if runner != "threads":
        loaded.check_portable()
    workers = loaded.runtime.workers
    await tag_run("themis", loaded.name)
    run = Run(pipeline, store)
    with task_runner(runner, workers, run.run_id) as place, run:
        register(run)
        observe(run)
        try:
            async with live_progress(run):
                stages = Stages(
                    generate=submitting(run, generate, storage=storage, runner=place),
                    parse=submitting(run, parse, storage=storage, runner=place),
                    judge=submitting(run, judge, storage=storage, runner=place),
                    score=submitting(run, score, storage=storage, runner=place),
                    reduce=submitting(run, reduce, storage=storage, runner=place),
                )
                window = max(THREADS, 2 * workers_of(runner, workers))
                await run_shards(run, stages, window=window, spread=runner != "threads")
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
