"""The cells of a matrix in step: each against the baseline, until it is decided."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from flows.parameters import EvaluateParameters
from flows.preparing import PreparedMatrix
from flows.report_address import report_address
from tasks.artifacts import live_progress, publish_report
from tasks.caching import result_storage
from tasks.runners import THREADS, task_runner, workers_of
from tasks.stages import STAGE_TASKS
from tasks.submit import submitting
from tasks.worker import observe, register, unregister
from themis_lib.comparison.sequential_questions import Question, StopRule
from themis_lib.comparison.stop_when_decided import finished_cell
from themis_lib.comparison.until_decided import Decider, Side
from themis_lib.experiment.matrix import CellResult
from themis_lib.runs.run import Run


async def evaluate_in_step(
    prepared: PreparedMatrix,
    parameters: EvaluateParameters,
    rule: StopRule,
) -> dict[str, CellResult]:
    """Run every cell of a matrix until it is decided, and return how each ended.

    All are tasks of the current flow run. A cell that fails does not stop the others.
    """
    ended: dict[str, CellResult] = {}
    for questions in prepared.groups:
        ended |= await _evaluate_group(prepared, parameters, questions, rule)
    for result in ended.values():
        if result.run is not None:
            await publish_report(result.run, address_of=report_address)
    return ended


async def _evaluate_group(
    prepared: PreparedMatrix,
    parameters: EvaluateParameters,
    questions: Mapping[str, Sequence[Question]],
    rule: StopRule,
) -> dict[str, CellResult]:
    async with AsyncExitStack() as stack:
        sides = []
        for name in questions:
            side = await _open_side(name, prepared, parameters, stack)
            sides.append(side)
        decider = Decider(sides, questions, rule)
        await decider.run()
        ended = {}
        for name in questions:
            cell = prepared.matrix.cell(name)
            ended[name] = await asyncio.to_thread(finished_cell, decider, cell)
        return ended


async def _open_side(
    name: str,
    prepared: PreparedMatrix,
    parameters: EvaluateParameters,
    stack: AsyncExitStack,
) -> Side:
    """Begin the run of a cell; the stack ends it."""
    cell = prepared.cells[name]
    run = Run(cell.pipeline, cell.store)
    workers = cell.pipeline.experiment.runtime.workers
    runner = parameters.runner
    place = stack.enter_context(task_runner(runner, workers, run.run_id))
    stack.enter_context(run)
    # Tasks in threads of this process find the run by its id.
    register(run)
    stack.callback(unregister, run)
    observe(run)
    await stack.enter_async_context(live_progress(run))
    storage = await result_storage(cell.experiment.storage, cell.store)
    submit = submitting(run, STAGE_TASKS, storage=storage, runner=place)
    window = max(THREADS, 2 * workers_of(runner, workers))
    return Side(name, run, submit, window)
