"""The cells of a matrix as flow runs, one after another, and what they add up to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import exit_codes
from flows.cells_in_step import evaluate_in_step
from flows.parameters import EvaluateParameters
from flows.preparing import PreparedMatrix, prepare_matrix
from flows.report_address import report_address
from tasks.artifacts import name_run, publish_matrix
from tasks.worker import OBSERVER
from themis_lib import RunResult, RunStore
from themis_lib.comparison.matrix import compare_matrix
from themis_lib.errors import describe
from themis_lib.experiment.matrix import (
    CellResult,
    Matrix,
    MatrixResult,
    paid_by,
    remaining,
)
from themis_lib.runs.run import Run


@dataclass(frozen=True)
class CellEnd:
    """How a cell ended: the exit code it would have alone, its run, and what stopped it.

    `run_id` is `None` if it has no result, `error` if it has one.
    """

    code: int
    run_id: str | None = None
    error: str | None = None


async def evaluate_cells(
    parameters: EvaluateParameters,
    evaluate: Callable[..., Awaitable[State[Any]]],
) -> State[Any]:
    """Evaluate each cell of a matrix by the flow `evaluate`, and return one state.

    The cells take turns: a row that two have in common is computed by the first. Cells
    that are decided against the baseline go in step. A cell that fails does not stop
    the others. The state's data is how each ended, and where
    the page of all is. Raise `InputError` before anything is generated.
    """
    prepared = await asyncio.to_thread(prepare_matrix, parameters)
    matrix = prepared.matrix
    label = f"{matrix.name} · {len(matrix.cells)} cells"
    await name_run(label, "themis", matrix.name)
    rule = parameters.stop_rule
    if rule is not None and parameters.goes_in_step:
        results = await evaluate_in_step(prepared, parameters, rule)
        ends = {name: _end_in_step(result) for name, result in results.items()}
    else:
        ends = await _evaluate_in_turn(prepared, parameters, evaluate)
    page = await _publish(prepared, ends)
    return _final_state(prepared, ends, page)


async def _evaluate_in_turn(
    prepared: PreparedMatrix,
    parameters: EvaluateParameters,
    evaluate: Callable[..., Awaitable[State[Any]]],
) -> dict[str, CellEnd]:
    """Evaluate one cell after another, each by a flow run."""
    ends: dict[str, CellEnd] = {}
    spent = 0.0
    for cell in prepared.matrix.in_order:
        runs: list[Run] = []
        asked = parameters.model_copy(
            update={
                "cell": cell.name,
                "max_cost": remaining(cell.experiment.cost.max_cost, spent),
            }
        )
        token = OBSERVER.set(_noting(runs))
        try:
            state = await evaluate(asked, return_state=True)
        finally:
            OBSERVER.reset(token)
        outcome = await state.aresult(raise_on_failure=False)
        ends[cell.name] = _cell_end(outcome, prepared.store)
        spent += sum(map(paid_by, runs))
    return ends


def _end_in_step(result: CellResult) -> CellEnd:
    if result.run is None:
        return CellEnd(exit_codes.FAILED, error=result.error)
    return CellEnd(exit_codes.run_code(result.run), run_id=result.run.run_id)


def matrix_result(
    matrix: Matrix,
    ends: Mapping[str, CellEnd],
    store: RunStore,
) -> MatrixResult:
    """Return the results of the cells that ended so, from their store."""
    ended = {}
    for cell in matrix.cells:
        end = ends[cell.name]
        run = None if end.run_id is None else RunResult(store, end.run_id)
        ended[cell.name] = CellResult(cell, run, end.error)
    return matrix.result(ended)


def _noting(runs: list[Run]) -> Callable[[Run], None]:
    """Return an observer that notes runs, and shows them to the one there was before."""
    outer = OBSERVER.get()

    def note(run: Run) -> None:
        runs.append(run)
        if outer is not None:
            outer(run)

    return note


def _cell_end(
    outcome: Any,
    store: RunStore,
) -> CellEnd:
    if isinstance(outcome, BaseException):
        return CellEnd(exit_codes.error_code(outcome), error=describe(outcome))
    result = RunResult(store, outcome["run_id"])
    return CellEnd(exit_codes.run_code(result), run_id=result.run_id)


async def _publish(
    prepared: PreparedMatrix,
    ends: Mapping[str, CellEnd],
) -> str | None:
    """Write the page of a matrix, and return its address; `None` without a result."""
    result = matrix_result(prepared.matrix, ends, prepared.store)
    if not result.runs:
        return None
    # In a thread: it reads the scores of every cell.
    comparison = await asyncio.to_thread(compare_matrix, result)
    return await publish_matrix(comparison, address_of=report_address)


def _final_state(
    prepared: PreparedMatrix,
    ends: Mapping[str, CellEnd],
    page: str | None,
) -> State[Any]:
    data = {
        "cells": {name: asdict(end) for name, end in ends.items()},
        "page": page,
    }
    worst = exit_codes.worst_code(end.code for end in ends.values())
    bad = [f"{name}: exit code {end.code}" for name, end in ends.items() if end.code]
    count = len(prepared.matrix.cells)
    message = f"{count - len(bad)} of {count} cells completed"
    if bad:
        message += f"; {', '.join(bad)}"
    if worst in (exit_codes.COMPLETED, exit_codes.FAILED_ROWS):
        return Completed(message=message, data=data)
    return Failed(name="CellsFailed", message=message, data=data)
