"""How a flow run ends: a state that a person can read, and the event that says so."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.events import announce_result, announce_stop
from themis_lib import BudgetError, InputError, RunResult, RunStatus, ThemisError
from themis_lib.comparison.sequential_text import question_text
from themis_lib.errors import first_few
from themis_lib.report.cost_table import price_note
from themis_lib.report.markdown import dollars, ending_notes, left_out
from themis_lib.runs.manifest import GateOutcome
from themis_lib.runs.run import Run
from themis_lib.runs.summary import ALL_CASES

#: The name of the state of a flow run whose rows are in batches at a provider.
AWAITING_BATCHES = "AwaitingBatches"


def ended(result: RunResult) -> State[Any]:
    """Return the state of a flow run that went through all its stages.

    Failed where nothing succeeded or a gate failed; else Completed. The state's name
    tells failed rows and underpowered gates; its data is the run's id, status and
    location.
    """
    data = {
        "run_id": result.run_id,
        "status": result.status.value,
        "location": result.location,
    }
    message = state_message(result)
    gates = result.manifest.gate_outcome
    announce_result(result, message)
    if result.status is RunStatus.FAILED:
        return Failed(
            message=message,
            data=data,
        )
    if gates is GateOutcome.FAIL:
        return Failed(
            name="GateFailed",
            message=message,
            data=data,
        )
    name = "Completed"
    if result.status is RunStatus.WAITING:
        return Completed(
            name=AWAITING_BATCHES,
            message=waiting_message(result),
            data=data,
        )
    # A run with failed rows has results, and the next run tries only those rows again:
    # Prefect must not take it for a failure.
    if result.status is not RunStatus.COMPLETED:
        name = "CompletedWithFailedRows"
    if gates is GateOutcome.UNDERPOWERED:
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
    """Return the state of a flow run that an error stopped.

    `name` is the experiment's; `run` is `None` where it never began. The state's data
    is the exception, which `flows.local` raises again.
    """
    result = None
    if run is not None:
        result = RunResult(run.store, run.run_id)
    announce_stop(error, name, result)
    # Where the name of the state says it all, nobody has to look for a defect.
    state_name = "Failed"
    if isinstance(error, BudgetError):
        state_name = "StoppedAtBudget"
    elif isinstance(error, InputError):
        state_name = "BadInput"
    return Failed(
        name=state_name,
        message=str(error),
        data=error,
    )


def waiting_message(result: RunResult) -> str:
    """Return which batches at a provider a run waits for, in one line."""
    batch_ids: list[str] = []
    waiting = 0
    for record in result.manifest.stages:
        batch_ids += record.open_batches
        if record.open_batches:
            waiting += record.failed
    return f"{waiting:,} rows wait for {first_few(batch_ids)} at the provider"


def state_message(result: RunResult) -> str:
    """Return failure, gates, scores, cost and place of a run in one line.

    Gates that passed are left out, and so are the scores of slices.
    """
    parts: list[str] = []
    if result.failure:
        parts.append(result.failure)
    for record in result.manifest.gates:
        if record.outcome is not GateOutcome.PASS:
            parts.append(
                f"gate {record.outcome.value}: {record.title}: {record.reason}"
            )
    sequential = result.manifest.sequential
    for item in sequential.questions if sequential else ():
        # A gate has said so itself.
        if item.gate is None:
            parts.append(f"{item.metric_id} {question_text(item)}")
    parts += _score_texts(result)
    if not parts:
        is_failed = result.status is RunStatus.FAILED
        parts.append("no row succeeded" if is_failed else "no scores")
    parts += [note.removesuffix(".") for note in ending_notes(result.manifest)]
    paid = result.manifest.cost_paid
    if paid is not None:
        parts.append(
            f"{dollars(paid)} paid{left_out(result.manifest)}{price_note(result.manifest)}"
        )
    if not result.store.in_memory:
        parts.append(f"recorded in {result.location}")
    return "; ".join(parts)


def _score_texts(result: RunResult) -> list[str]:
    """Return the number of each metric on each whole data set, and over how many cases."""
    texts = []
    for row in result.summary:
        if row.slice != ALL_CASES or row.mean is None:
            continue
        # A mean over fewer cases than there are never looks like one over all.
        count = f"{row.cases:,}"
        if row.left_out:
            count = f"{row.n:,} of {row.cases:,}"
        missing = f", {row.no_answer:,} without an answer" if row.no_answer else ""
        texts.append(
            f"{row.metric_title} {row.mean:.4f} on {row.dataset_id} "
            f"({count} cases{missing})"
        )
    return texts
