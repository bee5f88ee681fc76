"""Tells the Prefect server how a run ended, and whether it is still true, as events that
automations wait for.

    themis.run.completed            all rows have a result, or all but some
    themis.run.failed               no row succeeded, a gate failed, or an error stopped
                                    the run: bad input, a refused credential, a defect
                                    of a component
    themis.run.stopped-at-budget    the next call could have cost more than was left
    themis.verify.unchanged         what was looked at of a run is as it was stored
    themis.verify.changed           rows of a run differ, or the model behind a name has
                                    changed

The resource of an event is the experiment, `themis.experiment.<name>`. Its payload says
which run it was and how it went.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.events import emit_event

from tasks.artifacts import artifact_name
from themis_lib import RunResult
from themis_lib.errors import BudgetError, ThemisError, describe
from themis_lib.runs.manifest import GateOutcome, RunStatus
from themis_lib.runs.summary import ALL_CASES

if TYPE_CHECKING:
    from themis_lib.verification.models import Verification

# Automations of users name these events: renaming one silences them.
COMPLETED = "themis.run.completed"
FAILED = "themis.run.failed"
STOPPED = "themis.run.stopped-at-budget"
UNCHANGED = "themis.verify.unchanged"
CHANGED = "themis.verify.changed"


def announce_result(
    result: RunResult,
    message: str,
) -> None:
    """Emit the event of a run that went through all its stages."""
    event = COMPLETED
    if result.status is RunStatus.FAILED:
        event = FAILED
    # A gate that is underpowered fails nothing: the data cannot tell.
    if result.manifest.gate_outcome is GateOutcome.FAIL:
        event = FAILED
    _emit_run_event(
        event,
        name=result.manifest.name,
        message=message,
        result=result,
    )


def announce_stop(
    error: Exception,
    name: str,
    result: RunResult | None,
) -> None:
    """Emit the event of a run that an error stopped.

    `result` is `None` where bad input kept the run from beginning.
    """
    event = FAILED
    if isinstance(error, BudgetError):
        event = STOPPED
    # A message of this library is written for people; any other needs its type too.
    message = describe(error)
    if isinstance(error, ThemisError):
        message = str(error)
    _emit_run_event(
        event,
        name=name,
        message=message,
        result=result,
    )


def _emit_run_event(
    event: str,
    *,
    name: str,
    message: str,
    result: RunResult | None,
) -> None:
    payload: dict[str, Any] = {
        "experiment": name,
        "message": message,
    }
    if result is not None:
        payload.update(result_facts(result))
    _emit(event, name, payload)


def announce_verification(
    found: Verification,
    message: str,
) -> None:
    """Emit the event of a run whose rows were verified."""
    payload: dict[str, Any] = {
        "experiment": found.name,
        "message": message,
        "run_id": found.run_id,
        "differing": {check.stage: check.differing for check in found.stages},
        "changed_models": [check.stage for check in found.models if check.has_changed],
        "seed": found.seed,
    }
    _emit(UNCHANGED if found.holds else CHANGED, found.name, payload)


def _emit(
    event: str,
    name: str,
    payload: dict[str, Any],
) -> None:
    resource = {
        "prefect.resource.id": f"themis.experiment.{artifact_name(name)}",
        "prefect.resource.name": name,
    }
    emit_event(
        event,
        resource,
        payload=payload,
    )


def result_facts(result: RunResult) -> dict[str, Any]:
    """Return what an event says of a run: status, mean scores, gates, cost and place.

    `scores` are means over all cases, by `<dataset>/<metric>`; null without a score.
    """
    manifest = result.manifest
    # Slices are left out: an event's payload is for a notification.
    scores: dict[str, float | None] = {}
    for row in result.summary:
        if row.slice == ALL_CASES:
            scores[f"{row.dataset_id}/{row.metric_id}"] = row.mean
    return {
        "run_id": result.run_id,
        "status": result.status.value,
        "scores": scores,
        "gates": {record.gate: record.outcome.value for record in manifest.gates},
        "failed_rows": sum(record.failed for record in manifest.stages),
        "cost_paid": manifest.cost_paid,
        "unpriced": manifest.unpriced,
        "location": result.location,
    }
