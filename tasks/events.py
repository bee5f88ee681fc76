"""Tells the Prefect server how a run ended, as events that automations wait for.

    themis.run.completed            every row, or all but some rows, has a result
    themis.run.failed               no row succeeded, a gate failed, or something stopped the run: bad input, a refused
                                    credential, a defect of a component
    themis.run.stopped-at-budget    the next call could have cost more than was left

The resource of an event is the experiment, `themis.experiment.<name>`; its payload says
which run and how it went.
"""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event

from tasks.artifacts import artifact_name
from themis_lib import RunResult
from themis_lib.errors import BudgetError, ThemisError, describe
from themis_lib.runs.manifest import GateOutcome
from themis_lib.runs.summary import ALL_CASES

COMPLETED, FAILED, STOPPED = (
    "themis.run.completed",
    "themis.run.failed",
    "themis.run.stopped-at-budget",
)


def announce_result(
    result: RunResult,
    message: str,
) -> None:
    """Say that a run came to its end."""
    failed = (
        result.status.value == "failed"
        or result.manifest.gate_outcome is GateOutcome.FAIL
    )
    event = FAILED if failed else COMPLETED
    _emit_event(
        event,
        result.manifest.name,
        message,
        result,
    )


def announce_stop(
    error: Exception,
    name: str,
    result: RunResult | None,
) -> None:
    """Say what stopped a run; one that bad input kept from beginning has no result."""
    message = str(error) if isinstance(error, ThemisError) else describe(error)
    _emit_event(
        STOPPED if isinstance(error, BudgetError) else FAILED,
        name,
        message,
        result,
    )


def _emit_event(
    event: str,
    name: str,
    message: str,
    result: RunResult | None,
) -> None:
    payload: dict[str, Any] = {
        "experiment": name,
        "message": message,
        **(_result_facts(result) if result else {}),
    }
    resource = {
        "prefect.resource.id": f"themis.experiment.{artifact_name(name)}",
        "prefect.resource.name": name,
    }
    emit_event(event, resource, payload=payload)


def _result_facts(result: RunResult) -> dict[str, Any]:
    return {
        "run_id": result.run_id,
        "status": result.status.value,
        "scores": {
            f"{row.dataset_id}/{row.metric_id}": row.mean
            for row in result.summary
            if row.slice == ALL_CASES
        },
        "gates": {
            record.gate: record.outcome.value for record in result.manifest.gates
        },
        "failed_rows": sum(record.failed for record in result.manifest.stages),
        "cost_paid": result.manifest.cost_paid,
        "unpriced": result.manifest.unpriced,
        "location": result.location,
    }
