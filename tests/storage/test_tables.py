"""The columns of every table, and the digests that name their content."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.identity.part import Part
from themis_lib.storage.tables import (
    ANSWERS,
    CASES,
    OUTPUTS,
    RESULTS,
    RUN_TABLES,
    SCHEMA_VERSION,
    SCORES,
    column_digests,
    empty_rows,
    table_of,
)

STAGE_SCHEMAS = {
    "cases": CASES,
    "outputs": OUTPUTS,
    "answers": ANSWERS,
    "scores": SCORES,
    "results": RESULTS,
}

RUN_COLUMNS = {
    "cases": """
        dataset_id: string
        case_id: string
        input: string
        expected_output: string
        metadata: map<string, string>
    """,
    "outputs": """
        dataset_id: string
        case_id: string
        sample_index: int32
        key: fixed_size_binary[16]
        seed: int64
        output: string
        reasoning: string
        finish_reason: string
        trace: string
        conversation: string
        artifacts: string
        transport: string
        input_tokens: int64
        output_tokens: int64
        cached_tokens: int64
        cache_write_tokens: int64
        reasoning_tokens: int64
        latency_s: double
        error: string
    """,
    "answers": """
        dataset_id: string
        case_id: string
        sample_index: int32
        key: fixed_size_binary[16]
        value: string
        format: string
        error: string
    """,
    "verdicts": """
        dataset_id: string
        case_id: string
        sample_index: int32
        metric_id: string
        judge_id: string
        key: fixed_size_binary[16]
        output: string
        reasoning: string
        finish_reason: string
        trace: string
        conversation: string
        artifacts: string
        transport: string
        input_tokens: int64
        output_tokens: int64
        cached_tokens: int64
        cache_write_tokens: int64
        reasoning_tokens: int64
        latency_s: double
        error: string
    """,
    "scores": """
        dataset_id: string
        case_id: string
        sample_index: int32
        metric_id: string
        key: fixed_size_binary[16]
        score: double
        details: string
        error: string
    """,
    "results": """
        dataset_id: string
        case_id: string
        metric_id: string
        key: fixed_size_binary[16]
        reducer: string
        score: double
        sample_index: int32
        value: string
        n_samples: int32
        n_errors: int32
        details: string
        error: string
        missing: string
    """,
    "summary": """
        dataset_id: string
        slice: string
        metric_id: string
        n: int64
        no_answer: int64
        no_answer_policy: string
        errors: int64
        error_policy: string
        mean: double
        standard_error: double
        low: double
        high: double
        interval_method: string
        possible_low: double
        possible_high: double
        clusters: int64
        between_variance: double
        within_variance: double
        no_answer_score: double
        lowest: double
        highest: double
        aggregate: string
    """,
}
STAGE_COLUMNS = {
    "cases": """
        dataset_id: string
        case_id: string
        input: string
        expected_output: string
        metadata: string
        occurrence: int32
    """,
    "outputs": """
        output: string
        finish_reason: string
        trace: string
        conversation: string
        artifacts: string
        transport: string
        input_tokens: int64
        output_tokens: int64
        cached_tokens: int64
        cache_write_tokens: int64
        reasoning_tokens: int64
        latency_s: double
        error: string
    """,
    "answers": """
        value: string
        format: string
        error: string
    """,
    "scores": """
        value: double
        details: string
        error: string
    """,
    "results": """
        score: double
        sample_index: int32
        value: string
        n_samples: int32
        n_errors: int32
        details: string
        error: string
    """,
}

COLUMNS = st.one_of(
    st.tuples(
        st.just(pa.string()),
        st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))),
    ),
    st.tuples(
        st.just(pa.int32()), st.lists(st.none() | st.integers(-(2**31), 2**31 - 1))
    ),
    st.tuples(st.just(pa.float64()), st.lists(st.none() | st.floats(allow_nan=False))),
)


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def columns_of(schema: pa.Schema) -> list[str]:
    return [f"{item.name}: {str(item.type).partition(' (')[0]}" for item in schema]


def digest_of(array: pa.Array | pa.ChunkedArray) -> str:
    return column_digests(pa.table({"column": array}))["column"]


@pytest.mark.parametrize("name", RUN_TABLES)
def test_columns_of_a_run_are_an_interface(name: str) -> None:
    """The columns of a run's tables are what others read; a change here breaks their
    queries.
    """
    assert lines(RUN_COLUMNS[name]) == columns_of(RUN_TABLES[name])


@pytest.mark.parametrize("name", STAGE_SCHEMAS)
def test_columns_of_a_stage_have_a_version(name: str) -> None:
    """A change of the columns that rows at rest hold needs a new `SCHEMA_VERSION`,
    unless they can be read as null in the rows of earlier versions.
    """
    assert 2 == SCHEMA_VERSION
    assert lines(STAGE_COLUMNS[name]) == columns_of(STAGE_SCHEMAS[name])


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["a", None, "", "ü"]), "52a59e76959ed908424992a231946314"),
        (pa.array([1, None, -1], pa.int32()), "ec9f72f2fb3198f91258f000a4c86f61"),
        (pa.array([0.5, None, 1e300]), "e23ccaf6da8bf6575238ec62d3e9865a"),
        (pa.array([], pa.string()), "cc584d00f96cd3a44c73ab65e3ba9880"),
    ],
    ids=["string", "int32", "double", "empty"],
)
def test_column_digest_is_fixed(array: pa.Array, expected: str) -> None:
    """The digest of a column is the same for ever: it names shards that were written
    long ago.
    """
    assert expected == digest_of(array)


@given(COLUMNS, st.lists(st.integers(0, 20)))
def test_column_digest_does_not_see_chunks(
    column: tuple[pa.DataType, list[Any]], cuts: list[int]
) -> None:
    """However a column is cut into chunks, empty ones included, its digest is the
    same.
    """
    kind, values = column
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]

    chunks = [pa.array(values[low:high], kind) for low, high in pairwise(bounds)]

    assert digest_of(pa.array(values, kind)) == digest_of(
        pa.chunked_array(chunks, kind)
    )


@given(COLUMNS, st.integers(0, 20), st.integers(0, 20))
def test_column_digest_does_not_see_slices(
    column: tuple[pa.DataType, list[Any]], start: int, length: int
) -> None:
    """A slice of a longer column has the digest of its own values."""
    kind, values = column
    sliced = pa.array(values, kind).slice(min(start, len(values)), length)

    assert digest_of(pa.array(sliced.to_pylist(), kind)) == digest_of(sliced)


def test_column_without_chunks_has_a_digest() -> None:
    """What a filter leaves of nothing, a column of no chunks at all, is an empty
    column.
    """
    assert digest_of(pa.array([], pa.string())) == digest_of(
        pa.chunked_array([], pa.string())
    )


@given(COLUMNS, COLUMNS)
def test_column_digest_tells_values_apart(
    one: tuple[pa.DataType, list[Any]], other: tuple[pa.DataType, list[Any]]
) -> None:
    """Two columns have one digest exactly when they have one type and the same
    values.
    """
    first, second = (pa.array(values, kind) for kind, values in (one, other))
    equal = one[0] == other[0] and repr(first.to_pylist()) == repr(second.to_pylist())

    assert equal == (digest_of(first) == digest_of(second))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a", None], ["a", ""]),
        (["ab", "c"], ["a", "bc"]),
        (["a", "b"], ["b", "a"]),
        ([None, "a"], ["a", None]),
        ([0, 1], [None, 1]),
        ([0.0, None], [None, 0.0]),
        ([1], [1.0]),
        (["1"], [1]),
        (["a"], ["a", None]),
    ],
)
def test_column_digest_tells_near_values_apart(
    one: list[Any], other: list[Any]
) -> None:
    """Null and empty, the order of rows, and where one text ends and the next begins
    all show.
    """
    assert digest_of(pa.array(one)) != digest_of(pa.array(other))


def test_keys_have_no_column_digest() -> None:
    """Keys are left out: a later stage never reads them."""
    table = pa.table(
        {"key": pa.array([b"k" * 16], pa.binary(16)), "value": pa.array(["v"])}
    )

    assert ["value"] == list(column_digests(table))


@given(
    st.builds(
        Part,
        path=st.text(),
        rows=st.integers(0),
        columns=st.dictionaries(st.text(), st.text()),
        computed=st.integers(0),
        cached=st.integers(0),
        failed=st.integers(0),
    )
)
def test_part_round_trips_through_json(part: Part) -> None:
    """A reference that went through JSON is the reference that went in."""
    assert part == Part(**json.loads(json.dumps(part.to_json())))


def test_table_of_fills_what_a_record_leaves_out() -> None:
    """A column that a record does not name is null in its row; no records at all keep
    the schema.
    """
    table = table_of([{"value": 0.5}, {"error": "no"}], SCORES)

    assert [
        {"value": 0.5, "details": None, "error": None},
        {"value": None, "details": None, "error": "no"},
    ] == table.to_pylist()
    assert SCORES == table_of([], SCORES).schema


def test_empty_rows_hold_the_reason_alone() -> None:
    """Rows of an earlier stage's failure are null but for `error`."""
    table = empty_rows(ANSWERS, pa.array(["generate: refused"]))

    assert [
        {"value": None, "format": None, "error": "generate: refused"}
    ] == table.to_pylist()
