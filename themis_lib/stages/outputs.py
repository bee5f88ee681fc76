"""Outputs as parsers and metrics see them: the columns they declare, the rest masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from themis_lib.core.models import GenerationResult, Message, TraceStep
from themis_lib.core.protocols import OUTPUT_COLUMNS
from themis_lib.identity.digests import load_json_or_null


def visible_results(rows: pa.Table, reads: Sequence[str]) -> list[GenerationResult]:
    """The generated result of each row with the columns in `reads` alone."""
    columns = {
        name: rows[name].to_pylist()
        for name in OUTPUT_COLUMNS
        if name in reads and name in rows.column_names
    }
    if not columns:
        return [GenerationResult()] * rows.num_rows
    return [
        result_of(dict(zip(columns, values, strict=True)))
        for values in zip(*columns.values(), strict=True)
    ]


def result_of(row: dict[str, Any], **fields: Any) -> GenerationResult:
    """A row of the outputs table as the result it was made from; `fields` are put on as
    they are.
    """
    trace, conversation = (
        load_json_or_null(row.get("trace")),
        load_json_or_null(row.get("conversation")),
    )
    return GenerationResult(
        final_output=load_json_or_null(row.get("output")),
        finish_reason=row.get("finish_reason"),
        trace=None if trace is None else [TraceStep(**step) for step in trace],
        conversation=None
        if conversation is None
        else [Message(**message) for message in conversation],
        artifacts=load_json_or_null(row.get("artifacts")),
        transport=load_json_or_null(row.get("transport")),
        error=row.get("error"),
        **fields,
    )
