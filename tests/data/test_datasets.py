"""Every loader ends in the same tables, a batch at a time, and says where a file is
wrong.
"""

from __future__ import annotations

import datetime
import decimal
import gc
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.dataset_files import (
    QA,
    file_of,
    record_opened,
    write,
    write_jsonl,
)
from tests.support.hub import HubRows, install_hub
from themis_lib.core.config import HubDataset
from themis_lib.core.models import Case, Dataset
from themis_lib.data.datasets import IdRegistry, case_tables
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import canonical_json
from themis_lib.storage.tables import CASES

FEW_FILES = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def cases_of(dataset, **options) -> list[tuple]:
    """Each case as (case_id, input, expected_output, metadata), in JSON text."""
    table = pa.concat_tables(case_tables(dataset, **options))
    assert set(table["dataset_id"].to_pylist()) == {dataset.dataset_id}
    return list(zip(*(column.to_pylist() for column in table.columns[1:]), strict=True))


def column_of(dataset, name: str) -> list:
    return pa.concat_tables(case_tables(dataset))[name].to_pylist()


def error_of(dataset) -> str:
    with pytest.raises(DatasetError) as raised:
        cases_of(dataset)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# The tables


def test_in_memory_cases_are_canonical_json():
    """Input, expected output and metadata are canonical JSON text; no expected output
    is an Arrow null.
    """
    cases = [
        Case(
            case_id="a",
            input={"b": 1, "a": [None, 0.5]},
            expected_output="2",
            metadata={"z": 1, "y": "é"},
        ),
        Case(case_id="b", input=None),
    ]

    found = cases_of(Dataset(dataset_id="d", cases=cases))

    expected = [
        ("a", '{"a":[null,0.5],"b":1}', '"2"', '{"y":"é","z":1}'),
        ("b", "null", None, "{}"),
    ]
    assert expected == found


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv", "d.parquet"])
def test_every_format_has_the_schema_of_cases(tmp_path, name):
    """The tables have the columns of `tables.CASES` but `occurrence`, whatever they are
    read from.
    """
    path = tmp_path / name
    if name == "d.parquet":
        pq.write_table(pa.table({"input": ["x"]}), path)
    else:
        write(path, '{"input": "x"}' if name == "d.jsonl" else "input\nx\n")

    tables = list(case_tables(file_of(str(path))))

    assert [pa.schema(list(CASES)[:-1])] == [table.schema for table in tables]
    assert cases_of(file_of(str(path))) == [("d-0000", '"x"', None, "{}")]


@pytest.mark.parametrize(
    ("rows", "batch_rows", "sizes"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 4096, [2])]
)
def test_tables_are_full_but_the_last(tmp_path, rows, batch_rows, sizes):
    """Every table has `batch_rows` rows but the last, in memory as in a file, also
    behind a filter.
    """
    lines = [
        {"input": at, "keep": keep} for at in range(rows) for keep in (True, False)
    ]
    in_file = file_of(write_jsonl(tmp_path / "d.jsonl", lines), filter={"keep": True})
    held = Dataset(
        dataset_id="d", cases=[Case(case_id=str(at), input=at) for at in range(rows)]
    )

    found = [
        [table.num_rows for table in case_tables(it, batch_rows=batch_rows)]
        for it in (in_file, held)
    ]

    assert [sizes, sizes] == found


# Values and ids


def test_jsonl_keeps_long_integers(tmp_path):
    """An integer beyond 64 bits keeps every digit, as a value and as an id."""
    path = write(
        tmp_path / "d.jsonl",
        '{"input": 123456789012345678901, "case_id": 98765432109876543210}',
    )

    found = cases_of(file_of(path))

    assert found == [("98765432109876543210", "123456789012345678901", None, "{}")]


def test_parquet_values_keep_their_types(tmp_path):
    """Parquet numbers, lists, structs, maps and nulls become the JSON values they are."""
    table = pa.table(
        {
            "input": pa.array([[{"role": "user", "content": "hi"}], []]),
            "expected_output": pa.array([1.5, None]),
            "metadata": pa.array(
                [[("level", 3)], None], pa.map_(pa.string(), pa.int64())
            ),
            "unread": pa.array([datetime.date(2024, 1, 1), None]),
        }
    )
    pq.write_table(table, tmp_path / "d.parquet")

    found = cases_of(file_of(str(tmp_path / "d.parquet")))

    expected = [
        ("d-0000", '[{"content":"hi","role":"user"}]', "1.5", '{"level":3}'),
        ("d-0001", "[]", None, "{}"),
    ]
    assert expected == found


def test_default_ids_are_row_numbers_of_the_file(tmp_path):
    """Without ids, a case is named after the dataset and its row, counted before the
    filter.
    """
    rows = [{"input": at, "keep": at in (3, 12_345)} for at in range(12_346)]

    found = column_of(
        file_of(write_jsonl(tmp_path / "d.jsonl", rows), filter={"keep": True}),
        "case_id",
    )

    assert found == ["d-0003", "d-12345"]


# Filter, sample, limit


def test_limit_keeps_the_first_and_stops_reading(tmp_path):
    """`limit` keeps the first rows; what comes after them is not even read."""
    path = write(tmp_path / "d.jsonl", '{"input": 1}\n{"input": 2}\nnot JSON\n')

    assert column_of(file_of(path, limit=2), "input") == ["1", "2"]


def test_limit_applies_after_filter_and_sample(tmp_path):
    """`filter` comes first, then `sample`, and `limit` keeps the first of what is left."""
    rows = [{"input": at, "even": at % 2 == 0} for at in range(100)]
    path = write_jsonl(tmp_path / "d.jsonl", rows)

    sampled = column_of(file_of(path, filter={"even": True}, sample=10), "input")
    limited = column_of(
        file_of(path, filter={"even": True}, sample=10, limit=4), "input"
    )

    assert len(sampled) == 10
    assert all(int(text) % 2 == 0 for text in sampled)
    assert sampled[:4] == limited


def test_sample_comes_in_file_order_and_depends_on_the_seed(tmp_path):
    """A sample stands in file order, is the same every time, and is another one under
    another seed.
    """
    path = write_jsonl(tmp_path / "d.jsonl", [{"input": at} for at in range(200)])

    first, again, other = (
        column_of(file_of(path, sample=20, seed=seed), "input") for seed in (1, 1, 2)
    )

    assert sorted(first, key=int) == first
    assert first == again
    assert set(first) != set(other)


def test_sample_is_known_by_name(tmp_path):
    """Which rows a sample keeps is an interface: it must not change with a version of
    the library.
    """
    path = write_jsonl(
        tmp_path / "d.jsonl", [{"input": at, "expected_output": at} for at in range(50)]
    )

    assert column_of(file_of(path, sample=5, seed=3), "input") == [
        "11",
        "36",
        "40",
        "45",
        "49",
    ]


def test_sample_is_the_file_where_it_has_no_more_rows(tmp_path):
    """A sample larger than the file is the file."""
    path = write_jsonl(tmp_path / "d.jsonl", [{"input": at} for at in range(3)])

    assert column_of(file_of(path, sample=9), "input") == ["0", "1", "2"]


@FEW_FILES
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=30
    ),
    size=st.integers(1, 10),
    seed=st.integers(0, 3),
    data=st.data(),
)
def test_sample_does_not_depend_on_order(tmp_path, rows, size, seed, data):
    """Shuffling a file changes the order of a sample and nothing else."""
    rows = [
        {"case_id": str(at), "input": text, "metadata": {"m": m}}
        for at, (text, m) in enumerate(rows)
    ]
    shuffled = data.draw(st.permutations(rows))

    found, other = (
        cases_of(
            file_of(write_jsonl(tmp_path / "d.jsonl", order), sample=size, seed=seed)
        )
        for order in (rows, shuffled)
    )

    assert sorted(found) == sorted(other)
    assert len(found) == min(size, len(rows))


@FEW_FILES
@given(before=st.integers(1, 30), added=st.integers(0, 30), size=st.integers(1, 20))
def test_sample_is_stable_under_growth(tmp_path, before, added, size):
    """Rows added to a file enter a sample only in place of others; every row that stays
    was there before.
    """
    rows = [{"input": at} for at in range(before + added)]

    old = set(
        column_of(
            file_of(write_jsonl(tmp_path / "d.jsonl", rows[:before]), sample=size),
            "input",
        )
    )
    new = set(
        column_of(
            file_of(write_jsonl(tmp_path / "d.jsonl", rows), sample=size), "input"
        )
    )
    larger = set(
        column_of(
            file_of(write_jsonl(tmp_path / "d.jsonl", rows), sample=size + 1), "input"
        )
    )

    assert new & {str(at) for at in range(before)} <= old
    assert new <= larger


# Round trips

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
json_cases = st.builds(
    Case,
    case_id=st.text(min_size=1),
    input=json_values,
    expected_output=json_values,
    metadata=st.dictionaries(st.text(), json_values, max_size=3),
)


@FEW_FILES
@given(
    cases=st.lists(
        json_cases, min_size=1, max_size=8, unique_by=lambda case: case.case_id
    )
)
def test_cases_survive_jsonl(tmp_path, cases):
    """Any cases written as JSON lines are read as the tables of the same cases in
    memory.
    """
    path = write_jsonl(tmp_path / "d.jsonl", [case.model_dump() for case in cases])

    expected = cases_of(Dataset(dataset_id="d", cases=cases))

    assert expected == cases_of(file_of(path), batch_rows=3)


columnar_cases = st.builds(
    Case,
    case_id=st.text(min_size=1),
    input=st.lists(
        st.fixed_dictionaries({"role": st.text(), "content": st.none() | st.text()}),
        max_size=3,
    ),
    expected_output=st.none() | st.integers(-(2**63), 2**63 - 1),
    metadata=st.fixed_dictionaries(
        {
            "level": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "tags": st.lists(st.text(), max_size=2),
        }
    ),
)


@FEW_FILES
@given(
    cases=st.lists(
        columnar_cases, min_size=1, max_size=8, unique_by=lambda case: case.case_id
    )
)
def test_cases_survive_parquet(tmp_path, cases):
    """Cases of one shape written as Parquet are read as the tables of the same cases in
    memory.
    """
    schema = pa.schema(
        [
            ("case_id", pa.string()),
            (
                "input",
                pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
            ),
            ("expected_output", pa.int64()),
            (
                "metadata",
                pa.struct([("level", pa.float64()), ("tags", pa.list_(pa.string()))]),
            ),
        ]
    )
    table = pa.Table.from_pylist([case.model_dump() for case in cases], schema)
    pq.write_table(table, tmp_path / "d.parquet", row_group_size=3)

    expected = cases_of(Dataset(dataset_id="d", cases=cases))

    assert expected == cases_of(file_of(str(tmp_path / "d.parquet")), batch_rows=3)


# Errors


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"input": NaN}',
            ":1: not JSON: unexpected character, expected a JSON value at column 11",
        ),
        (
            '{"input": NaN, "n": 12345678901234567890}',
            ":1: column 'input': not a JSON value: Out of",
        ),
        (
            '{"input": 1}\n{"inptu": 2}',
            ":2: no column 'input'; did you mean 'inptu'? (the columns ",
        ),
        (
            '{"text": 1}',
            ":1: no column 'input' (the columns are 'text'); map one: `columns: {input: …}`",
        ),
        (
            '{"input": 1, "metadata": [1]}',
            ":1: column 'metadata' is not an object: [1]; map a li",
        ),
        (
            '{"input": 1, "case_id": null}',
            ":1: the case id is neither text nor a number: None",
        ),
        (
            '{"input": 1, "case_id": true}',
            ":1: the case id is neither text nor a number: True",
        ),
        ('{"input": 1, "case_id": ""}', ":1: the case id is empty"),
        (
            '{"input": 1, "case_id": 1}\n{"input": 2}',
            ":2: no column 'case_id' (the columns are 'input')",
        ),
        (
            '{"input": 1}\n{"input": 2, "case_id": 1}',
            ":2: a case_id, where the first row has none",
        ),
    ],
)
def test_wrong_jsonl_is_named_by_its_line(tmp_path, content, message):
    """An error in a value of JSON lines names the file, the line and the column."""
    path = write(tmp_path / "d.jsonl", content)

    assert error_of(file_of(path)).startswith(f"{path}{message}")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_parquet_value_outside_json_is_named_by_row_and_column(tmp_path, bad):
    """NaN and infinity in a Parquet file are refused with the row and the column, also
    inside an object.
    """
    rows = 10_000
    table = pa.table(
        {
            "input": ["a"] * rows,
            "level": [1.0] * (rows - 1) + [bad],
            "score": [0.5] * rows,
        }
    )
    pq.write_table(table, tmp_path / "d.parquet")
    path = str(tmp_path / "d.parquet")

    messages = [
        error_of(file_of(path, columns=columns))
        for columns in ({"expected_output": "level"}, {"metadata": ["score", "level"]})
    ]

    expected = (
        f"{path}: row 9999: column 'level': not a JSON value: Out of range float values"
    )
    assert [message.startswith(expected) for message in messages] == [True, True]


def test_parquet_types_beyond_json_have_a_form(tmp_path):
    """Every part of a case, and the filter, see it: dates are texts, whole floats
    integers, decimals numbers.
    """
    table = pa.table(
        {
            "day": [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)] * 2,
            "price": [decimal.Decimal("1.50")] * 4,
            "number": pa.array([41.0, 42.0, None, 43.0]),
            "kept": [True, True, False, True],
        }
    )
    pq.write_table(table, tmp_path / "d.parquet")
    columns = {
        "input": "number",
        "expected_output": "price",
        "case_id": "number",
        "metadata": ["day"],
    }
    dataset = file_of(
        str(tmp_path / "d.parquet"),
        columns=columns,
        filter={"kept": True, "day": "2024-01-02"},
    )

    found = cases_of(dataset)

    day = '{"day":"2024-01-02"}'
    assert [("42", "42", "1.5", day), ("43", "43", "1.5", day)] == found


def test_parquet_bytes_that_are_no_text_are_refused(tmp_path):
    """The error names the file, the row and the column."""
    pq.write_table(pa.table({"input": [b"text", b"\x89PNG"]}), tmp_path / "d.parquet")

    message = error_of(file_of(str(tmp_path / "d.parquet")))

    assert message.startswith(
        f"{tmp_path / 'd.parquet'}: row 1: column 'input': its 4 bytes are no UTF-8 text"
    )


def test_conversations_of_parquet_are_those_that_were_written(tmp_path):
    """Arrow gives every message the keys of all others."""
    asked = [{"role": "user", "content": "q"}]
    named = [{"role": "user", "content": "q", "name": "ann"}]
    table = pa.Table.from_pylist([{"input": asked}, {"input": named}])
    pq.write_table(table, tmp_path / "d.parquet")
    lines = write_jsonl(tmp_path / "d.jsonl", [{"input": asked}, {"input": named}])

    found = cases_of(file_of(str(tmp_path / "d.parquet")))

    assert cases_of(file_of(lines)) == found


def test_nulls_of_json_lines_stay(tmp_path):
    """They are what the row says, and its key covers them."""
    row = {"input": [{"role": "user", "content": "q", "name": None}]}

    found = cases_of(file_of(write_jsonl(tmp_path / "d.jsonl", [row])))

    assert [
        ("d-0000", '[{"content":"q","name":null,"role":"user"}]', None, "{}")
    ] == found


def test_unknown_part_of_a_case_is_refused(tmp_path):
    """A mapping to something that is no part of a case is refused with the nearest one."""
    path = write(tmp_path / "d.jsonl", '{"answer": 1}')

    message = error_of(file_of(path, columns={"inptu": "answer"}))

    reason = "columns.inptu is no part of a case; did you mean 'input'?"
    assert f"dataset 'd': {reason}" == message


def test_tables_left_early_close_the_file(tmp_path):
    """A file is closed when its last case is read, when an error ends it, and when the
    reader stops early.
    """
    files = record_opened()
    write_jsonl(tmp_path / "d.jsonl", [{"input": 1}, {"input": 2}])
    path = f"recording://{tmp_path / 'd.jsonl'}"

    cases_of(file_of(path))
    error_of(file_of(path, columns={"input": "other"}))
    tables = case_tables(file_of(path), batch_rows=1)
    next(tables)
    closed_before = [file.closed for file in files]
    tables.close()

    assert [True, True, False] == closed_before
    assert [True, True, True] == [file.closed for file in files]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            {"field": "phsyics"},
            "the filter field: 'phsyics' kept none of 3 rows; did you mean 'physics'?",
        ),
        ({"level": 1}, "the filter level: 1 kept none of 3 rows; it holds '1', '2'"),
        (
            {"level": "2", "field": ["x", 0]},
            "the filter field: 'x' or 0 kept none of 1 rows; it holds 'physics'",
        ),
    ],
)
def test_filter_that_keeps_nothing_is_an_error(tmp_path, spec, reason):
    """A filter that empties a dataset is refused, naming the column that did and values
    that are there.
    """
    path = write(
        tmp_path / "d.csv", "input,field,level\na,art,1\nb,law,1\nc,physics,2\n"
    )

    assert f"dataset 'd': {path}: {reason}" == error_of(
        file_of(path, filter=spec, sample=2, limit=1)
    )


def test_file_without_rows_is_an_error(tmp_path):
    """A file that has columns and no rows is refused; no filter is blamed for it."""
    pq.write_table(
        pa.table({"input": pa.array([], pa.string())}), tmp_path / "d.parquet"
    )
    paths = [str(tmp_path / "d.parquet"), write(tmp_path / "d.csv", "input\n")]

    messages = [error_of(file_of(path, filter={"input": "a"})) for path in paths]

    assert [f"dataset 'd': {path}: there are no rows" for path in paths] == messages


def test_dataset_without_cases_is_an_error():
    """A dataset in memory without cases is refused."""
    assert (
        error_of(Dataset(dataset_id="d", cases=[])) == "dataset 'd': there are no cases"
    )


@pytest.mark.parametrize("place", ["input", "expected_output", "metadata"])
def test_nan_in_memory_names_the_case(place):
    """NaN in any part of a case in memory is refused with the id of the case."""
    fields = {"input": 1, place: {"x": [float("nan")]}}
    cases = [Case(case_id="fine", input=1), Case(case_id="bad", **fields)]

    message = error_of(Dataset(dataset_id="d", cases=cases))

    assert message.startswith(
        "dataset 'd': case 'bad': not a JSON value: Out of range float values"
    )


def test_id_that_no_table_can_hold_is_an_error():
    """Half a surrogate pair in an id is refused as that, not as a crash of Arrow."""
    message = error_of(
        Dataset(
            dataset_id="d",
            cases=[Case.model_construct(case_id="\ud800", input=1, metadata={})],
        )
    )

    assert message.startswith(
        "dataset 'd': case '\\ud800': 'utf-8' codec can't encode character"
    )


# Streaming


def test_large_parquet_file_is_never_in_memory(tmp_path):
    """300,000 rows in one row group take a few batches' memory; holding the tables
    would take it all.
    """
    rows = 300_000
    texts = pa.array([f"{at:0100d}" for at in range(rows)])
    table = pa.table({"input": texts, "unread": texts})
    pq.write_table(
        table,
        tmp_path / "d.parquet",
        row_group_size=rows,
        compression="none",
        use_dictionary=False,
    )
    dataset = file_of(str(tmp_path / "d.parquet"))
    whole = texts.nbytes
    del texts, table
    gc.collect()  # tables of earlier tests, which would be freed while this one counts

    before, peak, seen = pa.total_allocated_bytes(), 0, 0
    for table in case_tables(dataset):
        peak, seen = (
            max(peak, pa.total_allocated_bytes() - before),
            seen + table.num_rows,
        )
    del table
    held = list(case_tables(dataset.model_copy(update={"limit": rows // 3})))
    held_bytes = pa.total_allocated_bytes() - before
    tracemalloc.start()
    next(case_tables(dataset))
    _, read_bytes = (
        tracemalloc.get_traced_memory()
    )  # what Python read from the file is not Arrow's
    tracemalloc.stop()

    assert rows == seen == 3 * sum(table.num_rows for table in held)
    assert peak < whole / 5
    assert read_bytes < whole / 5
    assert held_bytes > whole / 3


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_large_text_file_is_never_in_memory(tmp_path, suffix):
    """A file of lines takes the memory of a batch, not of the file, also when it is
    sampled.
    """
    cells = (f"{at:01000d}" for at in range(20_000))
    head, shape = ("", '{{"input": "{}"}}') if suffix == "jsonl" else ("input\n", "{}")
    path = write(
        tmp_path / f"d.{suffix}",
        head + "".join(shape.format(cell) + "\n" for cell in cells),
    )
    whole = Path(path).stat().st_size

    tracemalloc.start()
    seen = sum(table.num_rows for table in case_tables(file_of(path), batch_rows=500))
    sampled = sum(
        table.num_rows
        for table in case_tables(file_of(path, sample=100), batch_rows=500)
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (seen, sampled) == (20_000, 100)
    assert peak < whole / 4


# The hub


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for the `datasets` library that returns two rows."""
    rows = [
        {"question": "1+1", "answer": 2, "n": float("nan")},
        {"question": "2+2", "answer": 4, "n": 0.5},
    ]
    return install_hub(monkeypatch, rows)


@pytest.mark.usefixtures("hub")
def test_hub_dataset_is_mapped_as_a_file():
    """Rows of the hub are mapped, filtered, sampled and limited as a file's."""
    dataset = HubDataset(
        dataset_id="d",
        huggingface="openai/gsm8k",
        columns={**QA, "metadata": ["n"]},
        filter={"n": [0.5, 3]},
        sample=5,
        limit=1,
    )

    found = cases_of(dataset)

    assert [("d-0001", '"2+2"', "4", '{"n":0.5}')] == found


def test_hub_values_have_a_json_form(hub):
    """Dates, decimals, whole columns of floats and messages, as those of Parquet."""
    turns = [{"role": "user", "content": "q", "name": None}]
    rows = [
        {"turns": turns, "n": 42.0, "x": 1.0, "day": datetime.date(2024, 1, 1)},
        {"turns": turns, "n": None, "x": 1.5, "day": datetime.date(2024, 1, 2)},
    ]
    hub.answer = HubRows(rows)
    hub.answer.data = pa.Table.from_pylist(rows)
    columns = {"input": "turns", "expected_output": "n", "metadata": ["x", "day"]}

    found = cases_of(HubDataset(dataset_id="d", huggingface="a/b", columns=columns))

    turn = '[{"content":"q","role":"user"}]'
    assert [
        ("d-0000", turn, "42", '{"day":"2024-01-01","x":1.0}'),
        ("d-0001", turn, None, '{"day":"2024-01-02","x":1.5}'),
    ] == found


@pytest.mark.usefixtures("hub")
def test_hub_errors_name_the_dataset():
    """A column or a value that does not fit is named with the dataset on the hub."""
    missing = HubDataset(
        dataset_id="d", huggingface="a/b", columns={"input": "qestion"}
    )
    outside = HubDataset(dataset_id="d", huggingface="a/b", columns={"input": "n"})

    messages = [error_of(missing), error_of(outside)]

    expected = [
        "a/b/test: no column 'qestion'; did you mean 'question'? (the columns are "
        "'question', 'answer', 'n')",
        "a/b/test: row 0: column 'n': not a JSON value: Out of range float values are "
        "not JSON compliant",
    ]
    assert expected == [message.removesuffix(": nan") for message in messages]


# Ids


def register(batches: list[list[str]]) -> IdRegistry:
    registry = IdRegistry()
    for batch in batches:
        registry.add_all("d", pa.array(batch, pa.string()))
    return registry


@pytest.mark.parametrize(
    ("batches", "name"),
    [
        ([["a", "b", "a", "b"]], "a"),
        ([["a", "b"], ["c"], ["d", "b", "a"]], "b"),
        ([["a"], [], ["b"], ["c"], ["d"], ["c"]], "c"),
    ],
)
def test_second_case_of_an_id_is_named(batches, name):
    """The first id that comes again, in one batch or a later one, is refused by name."""
    with pytest.raises(DatasetError) as raised:
        register(batches)

    assert (
        f"dataset 'd': case id {name!r} appears twice; give each case its own"
        == str(raised.value)
    )


def test_ids_are_per_dataset():
    """Two datasets may use the same id; chunked columns are taken as they are."""
    registry = IdRegistry()

    registry.add_all("d", pa.chunked_array([["a"], ["b"]]))
    registry.add_all("e", pa.array(["a"]))

    with pytest.raises(DatasetError, match="dataset 'e': case id 'a' appears twice"):
        registry.add_all("e", pa.chunked_array([["c"], ["a"]]))


@given(st.lists(st.lists(st.text(max_size=2), max_size=6), max_size=12))
def test_ids_pass_exactly_when_they_are_distinct(batches):
    """However ids are batched, they are refused when one comes twice and only then."""
    ids = [name for batch in batches for name in batch]

    try:
        register(batches)
        refused = False
    except DatasetError:
        refused = True

    assert (len(set(ids)) != len(ids)) == refused


def test_a_million_ids_take_little_memory():
    """An id takes sixteen bytes at most, and of a million no two are confused."""
    ids = [
        [f"case-{at}" for at in range(start, start + 10_000)]
        for start in range(0, 10**6, 10_000)
    ]

    registry = register(ids)
    tracemalloc.start()
    traced = register(ids[:20])
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 20 * 10_000 * 16
    assert peak < 20 * 10_000 * 100
    for full, known in ((registry, "case-999999"), (traced, "case-199999")):
        with pytest.raises(DatasetError, match=f"{known!r} appears twice"):
            full.add_all("d", pa.array([known]))


def test_canonical_json_is_what_the_tables_hold(tmp_path):
    """A value read from a file is the canonical JSON of the value in memory."""
    value = {"b": [1, 2.5, "é\u2028"], "a": {"d": None, "c": True}}
    path = write_jsonl(tmp_path / "d.jsonl", [{"input": value}])

    assert [canonical_json(value)] == column_of(file_of(path), "input")
