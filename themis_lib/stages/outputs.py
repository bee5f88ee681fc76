"""Generated results as rows of the outputs table, and rows as results again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from themis_lib.core.models import GenerationResult, Message, TraceStep
from themis_lib.core.protocols import OUTPUT_COLUMNS
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json, load_json_or_null
from themis_lib.stages.reasoning import REASONING


def output_record(
    result: Any,
    latency_s: float | None,
) -> Mapping[str, Any]:
    """Return a result as a row of the outputs table, without its key.

    `latency_s` is the measured time, used if the generator reports none. Raise
    `RowError` if it is no result or not JSON: a fact about the row, not a crash.
    """
    if not isinstance(result, GenerationResult):
        raise RowError(
            f"the generator returned {type(result).__name__}, not a GenerationResult"
        )
    try:
        return _record_of(result, latency_s)
    except (ValueError, TypeError) as error:
        raise RowError(f"the generator's result cannot be kept: {error}") from None


def _record_of(
    result: GenerationResult,
    latency_s: float | None,
) -> dict[str, Any]:
    # The measured time may include waiting for a turn inside the generator.
    latency = latency_s if result.latency_s is None else result.latency_s
    row: dict[str, Any] = {
        "output": None,
        "finish_reason": result.finish_reason,
        "latency_s": None if latency is None else round(latency, 6),
        "error": result.error,
    }
    if result.final_output is not None:
        row["output"] = canonical_json(result.final_output)
    # A null output comes with a reason: readers of the table rely on it.
    elif result.error is None:
        row["error"] = "the generator returned no output"
    if result.trace is not None:
        steps = [step.model_dump(mode="python") for step in result.trace]
        row["trace"] = canonical_json(steps)
    if result.conversation is not None:
        turns = [message.model_dump(mode="python") for message in result.conversation]
        row["conversation"] = canonical_json(turns)
    row |= _kept_beside(result)
    if result.usage is not None:
        row.update(result.usage.model_dump())
    return row


def _kept_beside(result: GenerationResult) -> dict[str, str]:
    """Return what a result keeps beside its output, as JSON by column."""
    columns = {}
    artifacts = result.artifacts
    if result.reasoning is not None:
        artifacts = {**(artifacts or {}), REASONING: result.reasoning}
    if artifacts is not None:
        columns["artifacts"] = canonical_json(artifacts)
    if result.transport is not None:
        columns["transport"] = canonical_json(result.transport)
    return columns


def batch_of(transport: str | None) -> str | None:
    """Return the id of the batch that a row came by, from its `transport`.

    >>> batch_of('{"batch_id":"batch_1"}'), batch_of("{}"), batch_of(None)
    ('batch_1', None, None)
    """
    # Parsed only where it is there: the column may hold a whole reply.
    if transport is None or '"batch_id":' not in transport:
        return None
    found = load_json_or_null(transport).get("batch_id")
    return None if found is None else str(found)


def visible_results(
    rows: pa.Table,
    reads: Sequence[str],
) -> list[GenerationResult]:
    """Return the result of each row as its component may see it.

    Only the columns in `reads` are filled in, so that a key cannot miss an input.
    """
    columns: dict[str, list[Any]] = {}
    for name in OUTPUT_COLUMNS:
        if name in reads and name in rows.column_names:
            columns[name] = rows[name].to_pylist()
    if not columns:
        # One object for all rows: nothing in it can differ, and it is frozen.
        return [GenerationResult()] * rows.num_rows
    results = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        results.append(result_of(row))
    return results


def result_of(
    row: Mapping[str, Any],
    **fields: Any,
) -> GenerationResult:
    """Return a row of the outputs table as the result it was made from.

    `fields` are set on the result as they are. Where the row has `transport`, its facts
    are among the artifacts too: for people, since no component is given that column.
    """
    transport = load_json_or_null(row.get("transport"))
    artifacts = load_json_or_null(row.get("artifacts"))
    steps = load_json_or_null(row.get("trace"))
    turns = load_json_or_null(row.get("conversation"))
    trace = None if steps is None else [TraceStep(**step) for step in steps]
    conversation = None if turns is None else [Message(**turn) for turn in turns]
    return GenerationResult(
        final_output=load_json_or_null(row.get("output")),
        reasoning=row.get("reasoning"),
        finish_reason=row.get("finish_reason"),
        trace=trace,
        conversation=conversation,
        artifacts=_with_exchange(artifacts, transport),
        transport=transport,
        error=row.get("error"),
        **fields,
    )


def _with_exchange(
    artifacts: dict[str, Any] | None,
    transport: dict[str, Any] | None,
) -> dict[str, Any] | None:
    """Return artifacts with what is known of the exchange with a provider."""
    known = transport or {}
    headers = known.get("headers") or {}
    facts = {
        "provider_request_id": known.get("request_id") or known.get("response_id"),
        "rate_limit": {
            name: value for name, value in headers.items() if "ratelimit" in name
        },
        "raw_response": known.get("raw_response"),
        "response_headers": headers,
    }
    found = {name: value for name, value in facts.items() if value}
    return {**(artifacts or {}), **found} if found else artifacts
