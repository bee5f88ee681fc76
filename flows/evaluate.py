"""The evaluation flow: generate → parse → judge → score → reduce.

Each stage is one task for each shard, a few hundred tasks at most: beyond some 10,000
messages Prefect's in-memory broker drops events.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import TypeAdapter

from flows.following_up import follow_up, follows_up
from flows.outcome import ended, stopped
from flows.parameters import EvaluateParameters
from flows.preparing import PreparedRun, prepare_run, without_waiting
from flows.report_address import report_address
from tasks.artifacts import (
    first_label,
    live_progress,
    name_run,
    publish_report,
    run_label,
)
from tasks.caching import StoredRows, result_storage
from tasks.crashed import close_left_behind
from tasks.events import announce_stop
from tasks.logs import without_tracebacks
from tasks.runners import THREADS, task_runner, workers_of
from tasks.stages import STAGE_TASKS
from tasks.submit import LostWorkerError, close_lost_tasks, submitting
from tasks.worker import observe, register, unregister
from themis_lib import RunResult, RunStatus, ThemisError
from themis_lib.components.module_folders import leave_safe_path
from themis_lib.core.option_names import RunnerName
from themis_lib.runs.drive import run_shards
from themis_lib.runs.run import Run
from themis_lib.telemetry.tracing import sending_at_end

FLOW = "evaluate"
# The name of a run that no other goes in step with.
_ALONE = "run"


class _Flow(Flow[[EvaluateParameters], Any]):
    """A flow whose parameters are a model, which makes JSON of itself."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as JSON values for the record of a flow run.

        Prefect imports FastAPI to do the same, a tenth of a second in a short run.
        """
        values: dict[str, Any] = TypeAdapter(dict[str, Any]).dump_python(
            parameters, mode="json"
        )
        return values


# An `async def` flow: a synchronous one waits about a second for its heartbeat at exit.
@partial(
    _Flow,
    name=FLOW,
    description="Evaluates an experiment, computing only the rows that its store lacks.",
    flow_run_name=first_label,
    task_runner=ThreadPoolTaskRunner(max_workers=THREADS),  # type: ignore[arg-type]
    persist_result=False,
)
async def evaluate(parameters: EvaluateParameters) -> State[Any]:
    """Evaluate an experiment, and return a state that says how it ended.

    Of a matrix, each cell is a flow run within this one.
    """
    without_tracebacks()
    leave_safe_path()
    names = [PurePath(parameters.experiment).stem]
    run: Run | None = None
    try:
        if await asyncio.to_thread(lambda: parameters.is_matrix):
            from flows.cells import evaluate_cells

            return await evaluate_cells(parameters, evaluate)
        # In a thread: it reads files and records, and the loop has tasks to serve.
        prepared = await asyncio.to_thread(
            prepare_run,
            parameters,
            tell_name=names.append,
        )
        if follows_up():
            prepared = await asyncio.to_thread(without_waiting, prepared, parameters)
        label = run_label(prepared.pipeline)
        await name_run(label, "themis", prepared.experiment.name)
        await close_left_behind(FLOW)
        storage = await result_storage(prepared.experiment.storage, prepared.store)
        run = Run(
            prepared.pipeline,
            prepared.store,
            gates=prepared.gates_not_judged(),
        )
        result = await _evaluate_run(run, storage, parameters.runner, prepared)
        if result.status is RunStatus.WAITING and follows_up():
            await follow_up(result)
        return ended(result)
    except ThemisError as error:
        if run and isinstance(error, LostWorkerError):
            await close_lost_tasks(run.run_id)
        return stopped(error, names[-1], run if run and run.begun else None)
    except Exception as error:
        # The state is Prefect's own, with a traceback in the log.
        announce_stop(error, names[-1], None)
        raise


async def _evaluate_run(
    run: Run,
    storage: Path | StoredRows,
    runner: RunnerName,
    prepared: PreparedRun,
) -> RunResult:
    runtime = run.pipeline.experiment.runtime
    workers = runtime.workers
    # What a Ctrl-C ends is known once the runner's threads are done.
    with (
        sending_at_end(runtime.telemetry),
        task_runner(runner, workers, run.run_id) as place,
        run,
    ):
        # Tasks in threads of this process find the run by its id.
        register(run)
        observe(run)
        try:
            async with live_progress(run):
                submit = submitting(
                    run,
                    STAGE_TASKS,
                    storage=storage,
                    runner=place,
                )
                # Twice the workers: none waits while the next shard is prepared.
                window = max(THREADS, 2 * workers_of(runner, workers))
                decided = None
                if prepared.rule is not None and prepared.questions:
                    # Late: few runs stop when decided, and a cached one is short.
                    from themis_lib.comparison.until_decided import Decider, Side

                    side = Side(_ALONE, run, submit, window)
                    questions = {_ALONE: prepared.questions}
                    decider = Decider([side], questions, prepared.rule)
                    await decider.run()
                    decided = decider.record(_ALONE, {})
                else:
                    spread = runner != "threads"
                    await run_shards(run, submit, window=window, spread=spread)
            result = run.finish(decided)
        finally:
            unregister(run)
    # In a thread: a gate reads the rows of its baseline, too.
    result = await asyncio.to_thread(prepared.judged, result)
    await publish_report(result, address_of=report_address)
    return result
