"""How a flow run ends: a state whose name and message a person can read, and the event
that says so.
"""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.events import announce_result, announce_stop
from themis_lib import BudgetError, InputError, RunResult, RunStatus, ThemisError
from themis_lib.report.markdown import dollars, left_out
from themis_lib.runs.manifest import GateOutcome
from themis_lib.runs.run import Run
from themis_lib.runs.summary import ALL_CASES

#: The names of states in which nothing more is wrong than what the name says.
_STOPPED_NAMES: tuple[tuple[type[ThemisError], str], ...] = (
    (BudgetError, "StoppedAtBudget"),
    (InputError, "BadInput"),
)


def ended(result: RunResult) -> State[Any]:
    """Completed, also with failed rows or a gate that cannot tell, which the name says;
    Failed when nothing succeeded or a gate failed.

    The state's data is the run's id, status and location.
    """
    data = {
        "run_id": result.run_id,
        "status": result.status.value,
        "location": result.location,
    }
    message = _state_message(result)
    announce_result(result, message)
    if result.status is RunStatus.FAILED:
        return Failed(
            message=message,
            data=data,
        )
    if result.manifest.gate_outcome is GateOutcome.FAIL:
        return Failed(
            name="GateFailed",
            message=message,
            data=data,
        )
    name = (
        "Completed"
        if result.status is RunStatus.COMPLETED
        else "CompletedWithFailedRows"
    )
    if result.manifest.gate_outcome is GateOutcome.UNDERPOWERED:
        name = "GateUnderpowered"
    return Completed(
        name=name,
        message=message,
        data=data,
    )


def stopped(
    error: ThemisError,
    name: str,
    run: Run | None,
) -> State[Any]:
    """Failed under the name of what stopped the run, with its reason as message and the
    exception as data.
    """
    announce_stop(
        error, name, None if run is None else RunResult(run.store, run.run_id)
    )
    state_name = next(
        (known for kind, known in _STOPPED_NAMES if isinstance(error, kind)), "Failed"
    )
    return Failed(
        name=state_name,
        message=str(error),
        data=error,
    )


def _state_message(result: RunResult) -> str:
    """Scores, cost and place in one line."""
    scores = [
        f"{row.metric_id} {row.mean:.4f} on {row.dataset_id} ({_share_text(row.n, row.n + row.errors)} cases)"
        for row in result.summary
        if row.slice == ALL_CASES and row.mean is not None
    ]
    gates = [
        f"gate {record.outcome.value}: {record.gate}: {record.reason}"
        for record in result.manifest.gates
        if record.outcome is not GateOutcome.PASS
    ]
    none = "no row succeeded" if result.status is RunStatus.FAILED else "no scores"
    failure = [result.failure] if result.failure else []
    parts = [*failure, *gates, *scores] or [none]
    paid = result.manifest.cost_paid
    parts += (
        [f"{dollars(paid)} paid{left_out(result.manifest)}"] if paid is not None else []
    )
    return "; ".join([*parts, f"tables in {result.location}"])


def _share_text(
    part: int,
    whole: int,
) -> str:
    return f"{whole:,}" if part == whole else f"{part:,} of {whole:,}"
