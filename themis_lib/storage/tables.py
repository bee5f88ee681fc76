"""The schemas of stored tables, an interface for DuckDB, Polars, pandas and others.

Rows of stages (`<store>/rows/…`) have a key and the columns that the stage wrote. The
tables of a run have the same columns after the ids of the case, the sample, the metric
and the judge. A run refers to the parts that hold its rows; only its summary is a file.
JSON columns are canonical JSON text. A null output, value or score comes with the
reason in `error`.
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

#: What generate and judge write; texts are as the models wrote them.
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
        ("cache_write_tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
        ("latency_s", pa.float64()),
        ERROR,
    ]
)
#: What differs at every call, so that no later stage reads it.
VOLATILE_COLUMNS = frozenset({"transport", "latency_s"})
#: What parse writes.
ANSWERS = pa.schema([("value", pa.string()), ("format", pa.string()), ERROR])
#: What score writes for one metric.
SCORES = pa.schema([("value", pa.float64()), ("details", pa.string()), ERROR])
#: What reduce writes for one case and metric: the score, the chosen sample if the
#: reducer chose one, and the counts.
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
#: One row for each dataset, slice and metric. `n` counts the cases that the mean is
#: over, `no_answer` those whose output holds no answer and `errors` those that failed;
#: the policies say whether these are left out of the mean, and `no_answer_score` what a
#: case without an answer counts as. `lowest` and `highest` bound the scores of the
#: metric; `possible_low` and `possible_high` are the ends of the interval whatever the
#: cases that are left out would have scored. `clusters` is null if cases are taken as
#: independent. The variances of the samples' scores, between cases and within a case,
#: are null where they cannot be estimated: the one within takes two samples of a case.
#: `aggregate` is `mean`, or `corpus` for a metric of a data set: then `mean` is not the
#: mean of the cases' scores, but the one score of all of them.
SUMMARY = pa.schema(
    [
        ("dataset_id", pa.string()),
        ("slice", pa.string()),
        ("metric_id", pa.string()),
        ("n", pa.int64()),
        ("no_answer", pa.int64()),
        ("no_answer_policy", pa.string()),
        ("errors", pa.int64()),
        ("error_policy", pa.string()),
        ("mean", pa.float64()),
        ("standard_error", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("interval_method", pa.string()),
        ("possible_low", pa.float64()),
        ("possible_high", pa.float64()),
        ("clusters", pa.int64()),
        ("between_variance", pa.float64()),
        ("within_variance", pa.float64()),
        ("no_answer_score", pa.float64()),
        ("lowest", pa.float64()),
        ("highest", pa.float64()),
        ("aggregate", pa.string()),
    ]
)

#: Labels that people gave, `<store>/labels/`. `item` is the key of what was shown, in
#: hexadecimal digits. A null `value` is an item that was skipped, or a label withdrawn.
#: The columns from `run_id` say where the item was met first.
LABELS = pa.schema(
    [
        ("item", pa.string()),
        ("metric_id", pa.string()),
        ("value", pa.float64()),
        ("choice", pa.string()),
        ("note", pa.string()),
        ("labeller", pa.string()),
        ("labelled_at", pa.string()),
        ("draw", pa.string()),
        ("method", pa.string()),
        ("seed", pa.int64()),
        ("run_id", pa.string()),
        ("dataset_id", pa.string()),
        ("case_id", pa.string()),
        ("sample_index", pa.int32()),
    ]
)
#: The items of one draw in drawn order, `<store>/labels/draws/`. The weights decide how
#: probable each item is to be among the first.
DRAWS = pa.schema([("item", pa.string()), ("weight", pa.float64())])

#: What a run's tables have of outputs: the answer, with the reasoning beside it.
_RUN_OUTPUTS = [OUTPUTS.field("output"), ("reasoning", pa.string()), *list(OUTPUTS)[1:]]
_CASE_IDS = [("dataset_id", pa.string()), ("case_id", pa.string())]
_SAMPLE_IDS = [*_CASE_IDS, ("sample_index", pa.int32())]
#: The tables of a run.
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
            *_RUN_OUTPUTS,
        ]
    ),
    "answers": pa.schema([*_SAMPLE_IDS, KEY, *ANSWERS]),
    "verdicts": pa.schema(
        [
            *_SAMPLE_IDS,
            ("metric_id", pa.string()),
            ("judge_id", pa.string()),
            KEY,
            *_RUN_OUTPUTS,
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
            # `no answer` or `failed` where there is no score.
            ("missing", pa.string()),
        ]
    ),
    "summary": SUMMARY,
}


def column_digests(table: pa.Table) -> dict[str, str]:
    """Return the digest of each column except `key`.

    Equal values have equal digests, however a column is chunked.
    """
    digests = {}
    for name in table.column_names:
        if name != "key":
            digests[name] = _column_digest(table.column(name))
    return digests


def whole_column(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece, without a copy if it is one."""
    # `combine_chunks` would copy a single chunk.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _column_digest(column: pa.ChunkedArray) -> str:
    array = whole_column(column)
    prefix = f"column:{array.type}:{len(array)}:"
    hasher = hashlib.sha256(prefix.encode())
    if pa.types.is_string(array.type):
        # The lengths tell ["ab", "c"] from ["a", "bc"], and null (-1) from "".
        lengths = pc.fill_null(pc.binary_length(array), -1)
        numbers = lengths.to_numpy(zero_copy_only=False)
        hasher.update(numbers.astype("<i4").tobytes())
        texts = pc.fill_null(array, "")
        hasher.update(_text_bytes(texts))
    else:
        # Validity tells null from 0.
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        values = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
        hasher.update(valid.tobytes())
        hasher.update(values.tobytes())
    return hasher.hexdigest()[: 2 * KEY_BYTES]


def _text_bytes(array: pa.Array) -> memoryview:
    """Return the texts of an array as bytes, one after the other, without a copy."""
    _, offsets, data = array.buffers()
    # Arrow needs no data for texts that are all empty.
    if data is None:
        return memoryview(b"")
    # The buffers are those of the whole array, of which this may be a slice.
    bounds = np.frombuffer(offsets, dtype="<i4")
    start = bounds[array.offset]
    end = bounds[array.offset + len(array)]
    return memoryview(data)[start:end]


def with_columns_of(
    table: pa.Table,
    schema: pa.Schema,
) -> pa.Table:
    """Return the columns of a schema, in its order.

    A column that an earlier version did not write is null.
    """
    columns = []
    for field in schema:
        if field.name in table.column_names:
            columns.append(table[field.name])
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    return pa.table(columns, names=schema.names)


def empty_rows(
    schema: pa.Schema,
    errors: pa.Array,
) -> pa.Table:
    """Return a row for each error, null in every other column of the schema."""
    columns = []
    for item in schema:
        column = pa.nulls(len(errors), item.type)
        if item.name == "error":
            column = errors
        columns.append(column)
    return pa.table(columns, schema=schema)


def table_of(
    records: Iterable[Mapping[str, Any]],
    schema: pa.Schema,
) -> pa.Table:
    """Return records as a table; a column that a record leaves out is null."""
    rows = list(records)
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        columns.append(pa.array(values, field.type))
    return pa.table(columns, schema=schema)
