"""The tables of a run: their columns are an interface, read as they are by DuckDB,
Polars or pandas.

Rows at rest (`<store>/rows/…`) hold a key and what the stage wrote; the tables of a run
(`<store>/runs/…`) hold the same columns behind the ids of the case, the sample, the
metric and the judge. JSON columns are canonical JSON text. A null output, value or
score comes with the reason in `error`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.identity.digests import KEY_BYTES

SCHEMA_VERSION = 2
KEY = pa.field("key", pa.binary(KEY_BYTES))
ERROR = pa.field("error", pa.string())

#: Cases as the stages read them; `occurrence` counts earlier cases that the generator
#: cannot tell from this one.
CASES = pa.schema(
    [
        ("dataset_id", pa.string()),
        ("case_id", pa.string()),
        ("input", pa.string()),
        ("expected_output", pa.string()),
        ("metadata", pa.string()),
        ("occurrence", pa.int32()),
    ]
)

#: What generate and judge write. Latency and transport are different at every call: no
#: key can cover them.
OUTPUTS = pa.schema(
    [
        ("output", pa.string()),
        ("finish_reason", pa.string()),
        ("trace", pa.string()),
        ("conversation", pa.string()),
        ("artifacts", pa.string()),
        ("transport", pa.string()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("cached_tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
        ("latency_s", pa.float64()),
        ERROR,
    ]
)
#: What parse writes.
ANSWERS = pa.schema([("value", pa.string()), ("format", pa.string()), ERROR])
#: What score writes for one metric.
SCORES = pa.schema([("value", pa.float64()), ("details", pa.string()), ERROR])
#: What reduce writes for one case and metric: the score, the chosen sample where one
#: was chosen, and the counts.
RESULTS = pa.schema(
    [
        ("score", pa.float64()),
        ("sample_index", pa.int32()),
        ("value", pa.string()),
        ("n_samples", pa.int32()),
        ("n_errors", pa.int32()),
        ("details", pa.string()),
        ERROR,
    ]
)
#: One row for each dataset, slice and metric. `n` counts the cases with a score,
#: `errors` those without, `error_policy` says what these are to the mean. `clusters` is
#: null for cases taken as independent. The variance of the samples' scores, between
#: cases and within a case, is null where it cannot be estimated: `within` takes two
#: samples of a case.
SUMMARY = pa.schema(
    [
        ("dataset_id", pa.string()),
        ("slice", pa.string()),
        ("metric_id", pa.string()),
        ("n", pa.int64()),
        ("errors", pa.int64()),
        ("error_policy", pa.string()),
        ("mean", pa.float64()),
        ("standard_error", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("interval_method", pa.string()),
        ("clusters", pa.int64()),
        ("between_variance", pa.float64()),
        ("within_variance", pa.float64()),
    ]
)

_CASE_IDS = [("dataset_id", pa.string()), ("case_id", pa.string())]
_SAMPLE_IDS = [*_CASE_IDS, ("sample_index", pa.int32())]
#: The tables of a run, as they stand in `<store>/runs/<run_id>/<name>.parquet`.
RUN_TABLES: dict[str, pa.Schema] = {
    "cases": pa.schema(
        [
            *_CASE_IDS,
            ("input", pa.string()),
            ("expected_output", pa.string()),
            ("metadata", pa.map_(pa.string(), pa.string())),
        ]
    ),
    "outputs": pa.schema(
        [
            *_SAMPLE_IDS,
            KEY,
            ("seed", pa.int64()),
            *OUTPUTS,
        ]
    ),
    "answers": pa.schema([*_SAMPLE_IDS, KEY, *ANSWERS]),
    "verdicts": pa.schema(
        [
            *_SAMPLE_IDS,
            ("metric_id", pa.string()),
            ("judge_id", pa.string()),
            KEY,
            *OUTPUTS,
        ]
    ),
    "scores": pa.schema(
        [
            *_SAMPLE_IDS,
            ("metric_id", pa.string()),
            KEY,
            ("score", pa.float64()),
            *list(SCORES)[1:],
        ]
    ),
    "results": pa.schema(
        [
            *_CASE_IDS,
            ("metric_id", pa.string()),
            KEY,
            ("reducer", pa.string()),
            *RESULTS,
        ]
    ),
    "summary": SUMMARY,
}


def column_digests(table: pa.Table) -> dict[str, str]:
    """The digest of each column's content but the keys': equal for equal values,
    however a column is chunked.
    """
    return {
        name: _column_digest(table.column(name))
        for name in table.column_names
        if name != "key"
    }


def _column_digest(column: pa.ChunkedArray) -> str:
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    hasher = hashlib.sha256(f"column:{array.type}:{len(array)}:".encode())
    if pa.types.is_string(array.type):
        lengths = pc.fill_null(pc.binary_length(array), -1)
        hasher.update(lengths.to_numpy(zero_copy_only=False).astype("<i4").tobytes())
        hasher.update(_text_bytes(pc.fill_null(array, "")))
    else:
        hasher.update(array.is_valid().to_numpy(zero_copy_only=False).tobytes())
        hasher.update(pc.fill_null(array, 0).to_numpy(zero_copy_only=False).tobytes())
    return hasher.hexdigest()[: 2 * KEY_BYTES]


def _text_bytes(array: pa.Array) -> memoryview:
    _, offsets, data = array.buffers()
    if data is None:
        return memoryview(b"")
    bounds = np.frombuffer(offsets, dtype="<i4")[
        [array.offset, array.offset + len(array)]
    ]
    return memoryview(data)[bounds[0] : bounds[1]]


def empty_rows(
    schema: pa.Schema,
    errors: pa.Array,
) -> pa.Table:
    """Rows that hold nothing but the reason why."""
    nulls = [
        pa.nulls(len(errors), item.type) for item in schema if item.name != "error"
    ]
    return pa.table([*nulls, errors], schema=schema)


def table_of(
    records: Iterable[Mapping[str, Any]],
    schema: pa.Schema,
) -> pa.Table:
    """Records as a table; a column that a record leaves out is null."""
    rows = list(records)
    return pa.table(
        [
            pa.array([row.get(name) for row in rows], schema.field(name).type)
            for name in schema.names
        ],
        schema=schema,
    )
