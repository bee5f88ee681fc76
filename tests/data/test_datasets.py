"""Every loader ends in the same tables, a batch at a time, and says where a file is
wrong.
"""

from __future__ import annotations

import datetime
import gzip
import json
import sys
import time
import tracemalloc
import types
import uuid
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.core.models import Case, Dataset
from themis_lib.data.datasets import IdRegistry, case_tables
from themis_lib.errors import DatasetError, TransientError
from themis_lib.identity.digests import canonical_json
from themis_lib.storage.tables import CASES

FEW_FILES = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
PAIRS = '{"question": "1+1", "answer": "2"}\n{"question": "2+2", "answer": "4"}\n'
QA = {"input": "question", "expected_output": "answer"}


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def write_jsonl(path: Path, rows: list) -> str:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def file_of(path: str, **fields) -> DatasetFile:
    return DatasetFile(dataset_id="d", path=path, **fields)


def cases_of(dataset, **options) -> list[tuple]:
    """Each case as (case_id, input, expected_output, metadata), in JSON text."""
    table = pa.concat_tables(case_tables(dataset, **options))
    assert set(table["dataset_id"].to_pylist()) == {dataset.dataset_id}
    return list(zip(*(column.to_pylist() for column in table.columns[1:]), strict=True))


def column_of(dataset, name: str) -> list:
    return pa.concat_tables(case_tables(dataset))[name].to_pylist()


def error_of(dataset, kind: type[Exception] = DatasetError) -> str:
    with pytest.raises(kind) as raised:
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


# Formats


def test_jsonl_skips_blank_lines_and_a_byte_order_mark(tmp_path):
    """Blank lines are no rows, and neither a byte order mark nor Windows line ends are
    part of a line.
    """
    path = write(
        tmp_path / "d.jsonl", b'\xef\xbb\xbf{"input": 1}\r\n\r\n  \n{"input": 2}'
    )

    found = cases_of(file_of(path))

    assert found == [("d-0000", "1", None, "{}"), ("d-0001", "2", None, "{}")]


def test_jsonl_keeps_long_integers(tmp_path):
    """An integer beyond 64 bits keeps every digit, as a value and as an id."""
    path = write(
        tmp_path / "d.jsonl",
        '{"input": 123456789012345678901, "case_id": 98765432109876543210}',
    )

    found = cases_of(file_of(path))

    assert found == [("98765432109876543210", "123456789012345678901", None, "{}")]


def test_csv_cells_are_text(tmp_path):
    """CSV cells are text, quoted cells may hold commas and line ends, and blank lines
    are no rows.
    """
    path = write(
        tmp_path / "d.csv",
        b'\xef\xbb\xbfinput,expected_output\r\n"a, ""b""\nc",12\r\n\r\n,x\r\n',
    )

    found = cases_of(file_of(path))

    assert found == [
        ("d-0000", r'"a, \"b\"\nc"', '"12"', "{}"),
        ("d-0001", '""', '"x"', "{}"),
    ]


def test_blank_csv_cell_is_no_expected_output(tmp_path):
    """CSV cannot write null, so a blank cell is no expected output and no metadata, but
    an empty input.
    """
    path = write(tmp_path / "d.csv", "input,expected_output,metadata\na,,\n,0,\n")

    found = cases_of(file_of(path))

    assert found == [("d-0000", '"a"', None, "{}"), ("d-0001", '""', '"0"', "{}")]


@pytest.mark.parametrize("file_format", [None, "csv"])
def test_tsv_is_split_at_tabs(tmp_path, file_format):
    """A .tsv file is split at tabs, also when its format is given as csv."""
    path = write(tmp_path / "d.tsv", "input\texpected_output\na,b\t2\n")

    found = cases_of(file_of(path, format=file_format))

    assert found == [("d-0000", '"a,b"', '"2"', "{}")]


def test_csv_cells_may_be_long(tmp_path):
    """A CSV cell may hold a long document, well beyond the 128 KiB that Python allows
    by itself.
    """
    path = write(tmp_path / "d.csv", f"input\n{'x' * 1_000_000}\n")

    found = column_of(file_of(path), "input")

    assert [len(text) for text in found] == [1_000_002]


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


def test_format_overrides_the_suffix(tmp_path):
    """A file of any name is read when its format is given."""
    path = write(tmp_path / "cases.txt", '{"input": 1}')

    assert column_of(file_of(path, format="jsonl"), "input") == ["1"]


def test_compressed_files_are_read(tmp_path):
    """A compressed file is read by the suffix before that of its compression."""
    path = write(tmp_path / "d.jsonl.gz", gzip.compress(b'{"input": 1}\n'))

    assert column_of(file_of(path), "input") == ["1"]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_any_fsspec_url_is_read(tmp_path, suffix):
    """A file behind a URL gives the tables that it gives on disk."""
    local = tmp_path / f"d.{suffix}"
    if suffix == "parquet":
        pq.write_table(
            pa.table({"question": ["1+1", "2+2"], "answer": ["2", "4"]}), local
        )
    else:
        write(local, PAIRS if suffix == "jsonl" else "question,answer\n1+1,2\n2+2,4\n")
    url = f"memory://{uuid.uuid4().hex}/d.{suffix}"
    fsspec.filesystem("memory").pipe_file(
        url.removeprefix("memory:/"), local.read_bytes()
    )

    found = cases_of(file_of(url, columns=QA))

    expected = [("d-0000", '"1+1"', '"2"', "{}"), ("d-0001", '"2+2"', '"4"', "{}")]
    assert expected == found == cases_of(file_of(str(local), columns=QA))


# Columns


def test_columns_are_mapped(tmp_path):
    """A text names one column; a list makes an object of its columns, in every part but
    the id.
    """
    row = {
        "q": "?",
        "a": 1,
        "b": 2,
        "id": 7,
        "subject": "art",
        "metadata": {"unused": 1},
    }
    columns = {
        "input": ["q", "b"],
        "expected_output": ["a"],
        "case_id": "id",
        "metadata": ["subject", "b"],
    }

    found = cases_of(file_of(write_jsonl(tmp_path / "d.jsonl", [row]), columns=columns))

    assert found == [("7", '{"b":2,"q":"?"}', '{"a":1}', '{"b":2,"subject":"art"}')]


def test_unmapped_parts_take_columns_of_their_name(tmp_path):
    """Without a mapping, each part of a case is the column of its own name, where there
    is one.
    """
    rows = [
        {
            "case_id": "x",
            "input": 1,
            "expected_output": 2,
            "metadata": {"a": 1},
            "other": 3,
        },
        {"case_id": "y", "input": 1, "expected_output": None, "metadata": None},
        {"case_id": "z", "input": 1},
    ]

    found = cases_of(file_of(write_jsonl(tmp_path / "d.jsonl", rows)))

    assert found == [
        ("x", "1", "2", '{"a":1}'),
        ("y", "1", None, "{}"),
        ("z", "1", None, "{}"),
    ]


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


def test_ids_may_follow_a_pattern(tmp_path):
    """A pattern with {row} may name columns, with their format, and the fields of an
    object.
    """
    rows = [
        {"input": 1, "subject": "art", "n": 7, "meta": {"id": "x"}},
        {"input": 2, "subject": "law", "n": 8, "meta": {"id": "y"}},
    ]
    path = write_jsonl(tmp_path / "d.jsonl", rows)

    found = column_of(
        file_of(path, columns={"case_id": "{subject}-{row:04d}-{n:02d}-{meta[id]}"}),
        "case_id",
    )

    assert found == ["art-0000-07-x", "law-0001-08-y"]


def test_numbers_become_ids_as_text(tmp_path):
    """An id that is a number becomes its text."""
    path = write_jsonl(
        tmp_path / "d.jsonl",
        [{"input": 1, "case_id": value} for value in (0, -5, 1.5, "s")],
    )

    assert column_of(file_of(path), "case_id") == ["0", "-5", "1.5", "s"]


# Filter, sample, limit


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        ({"n": 1}, [0, 1]),
        ({"n": True}, [2]),
        ({"n": [2, "1"]}, [3, 4]),
        ({"n": None}, [5]),
        ({"n": [[1, 2]]}, [6]),
        ({"n": {"a": 1}}, [7]),
        ({"n": [1, True, 2], "input": [1, 2, 9]}, [1, 2]),
    ],
)
def test_filter_compares_json_values(tmp_path, spec, kept):
    """A row passes where its column equals the value, or one of a list: 1 is 1.0 but
    not true or "1".
    """
    values = [1, 1.0, True, 2, "1", None, [1, 2], {"a": 1}]
    path = write_jsonl(
        tmp_path / "d.jsonl",
        [{"input": at, "n": value} for at, value in enumerate(values)],
    )

    found = column_of(file_of(path, filter=spec), "input")

    assert [str(at) for at in kept] == found


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
            '{"input": 1}\n\n{"input":\n',
            ":3: not JSON: unexpected end of data at column 1",
        ),
        (
            '{"input": NaN}',
            ":1: not JSON: unexpected character, expected a JSON value at column 11",
        ),
        (
            '{"input": 1e999}',
            ":1: not JSON: number is infinity when parsed as double at column 11",
        ),
        (
            '{"input": NaN, "n": 12345678901234567890}',
            ":1: column 'input': not a JSON value: Out of",
        ),
        ('{"input": 1}\n["input"]', ":2: not a JSON object but list: ['input']"),
        (
            b'{"input": 1}\n{"input": "\xff"}',
            ":2: not UTF-8: invalid start byte at byte 11",
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
        ("", ": there are no rows"),
        ("\n \n", ": there are no rows"),
    ],
)
def test_wrong_jsonl_is_named_by_its_line(tmp_path, content, message):
    """An error in JSON lines names the file and the line, counting blank ones, and the
    column.
    """
    path = write(tmp_path / "d.jsonl", content)

    assert error_of(file_of(path)).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("input,b\n1,2\n\n3\n", ":4: 1 cells under 2 column names"),
        ('input,b\n"x\ny",2\n"z\nz"\n', ":4: 1 cells under 2 column names"),
        ('input,b\n1,2\n"3', ":3: not CSV: unexpected end of data"),
        ("input,b,input\n1,2,3\n", ":1: two columns are called 'input'"),
        (
            "question,b\n1,2\n",
            ":1: no column 'input' (the columns are 'question', 'b'); map one: `columns: {in",
        ),
        (
            "input,metadata\n1,x\n",
            ":2: column 'metadata' is not an object: 'x'; map a list of columns",
        ),
        (b"input\n1\n\xff\n", ":3: not UTF-8: invalid start byte at byte 0"),
        ("", ": there are no rows"),
    ],
)
def test_wrong_csv_is_named_by_its_line(tmp_path, content, message):
    """An error in a CSV file names the file and the line on which the row begins."""
    path = write(tmp_path / "d.csv", content)

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


def test_parquet_type_outside_json_is_refused(tmp_path):
    """A date is no JSON value; the error names its column."""
    pq.write_table(
        pa.table({"input": [datetime.date(2024, 1, 1)]}), tmp_path / "d.parquet"
    )

    message = error_of(file_of(str(tmp_path / "d.parquet")))

    assert message.startswith(
        f"{tmp_path / 'd.parquet'}: row 0: column 'input': not a JSON value: "
    )


@pytest.mark.parametrize("name", ["d.parquet", "d.jsonl.gz"])
def test_damaged_file_is_a_dataset_error(tmp_path, name):
    """A file that is not what its name says is refused with the dataset and the path."""
    path = write(tmp_path / name, "not that")

    assert error_of(file_of(path)).startswith(f"dataset 'd': {path!r} cannot be read: ")


def test_truncated_file_is_a_dataset_error(tmp_path):
    """A file that breaks off after some rows is refused when it comes to the break."""
    content = gzip.compress(b"".join(b'{"input": %d}\n' % at for at in range(10_000)))
    path = write(tmp_path / "d.jsonl.gz", content[:-100])

    assert error_of(file_of(path)).startswith(
        f"dataset 'd': {path!r} cannot be read: EOFError"
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tset.jsonl", "; did you mean 'test.jsonl'?"),
        ("other.parquet", ""),
        ("none/test.jsonl", "; nor can its folder 'none' be read"),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_missing_file_is_named_with_its_neighbour(tmp_path, name, hint, scheme):
    """The error of a missing file names the dataset, the path, and a local file of
    nearly that name.
    """
    write(tmp_path / "test.jsonl", PAIRS)
    path = f"{scheme}{tmp_path / name}"

    assert f"dataset 'd': no file {path!r}{hint}" == error_of(file_of(path))


def test_missing_remote_file_is_named():
    """The error of a file missing elsewhere names the dataset and the URL."""
    assert (
        error_of(file_of("memory://none/d.jsonl"))
        == "dataset 'd': no file 'memory://none/d.jsonl'"
    )


def test_folder_is_no_file(tmp_path):
    """A folder in place of a file is refused."""
    message = error_of(file_of(str(tmp_path), format="jsonl"))

    assert message.startswith(
        f"dataset 'd': {str(tmp_path)!r} cannot be read: IsADirectoryError"
    )


@pytest.mark.parametrize("path", ["d.json", "d", "d.jsonl/d", "d.txt.gz"])
def test_unknown_suffix_asks_for_the_format(path):
    """A name that says no format is refused with those there are, before the file is
    looked for.
    """
    expected = (
        f"dataset 'd': {path!r} ends in none of .jsonl, .ndjson, .csv, .tsv, .parquet; "
        "say its `format`: jsonl, csv or parquet"
    )
    assert expected == error_of(file_of(path))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"inptu": "answer"},
            "dataset 'd': columns.inptu is no part of a case; did you mean 'input'?",
        ),
        (
            {"input": "qestion"},
            "{path}:1: no column 'qestion'; did you mean 'question'? {columns}",
        ),
        ({**QA, "metadata": ["level"]}, "{path}:1: no column 'level' {columns}"),
        (
            {**QA, "metadata": "answer"},
            "{path}:1: column 'answer' is not an object: '2'; map a list of columns",
        ),
        (
            {**QA, "case_id": "{row}{anwser}"},
            "{path}:1: no column 'anwser'; did you mean 'answer'? {columns}",
        ),
        (
            {**QA, "case_id": "{row"},
            "dataset 'd': columns.case_id: "
            "'{row' is not a format pattern: expected '}' before end of string",
        ),
        (
            {**QA, "case_id": "{row}{answer:d}"},
            "{path}:1: case_id '{row}{answer:d}': Unknown format code 'd' for object of type 'str'",
        ),
        (
            {**QA, "case_id": "{row}{answer.x}"},
            "{path}:1: case_id '{row}{answer.x}': 'str' object has no attribute 'x'",
        ),
        (
            {**QA, "case_id": ["question"]},
            "dataset 'd': columns.case_id is a list; name one column or write a "
            "pattern, '{question}-{row}'",
        ),
    ],
)
def test_wrong_mapping_is_named(tmp_path, columns, message):
    """An error in `columns` names the part of a case or the column, and the nearest one
    there is.
    """
    path = write(tmp_path / "d.jsonl", PAIRS)

    expected = message.replace("{path}", path).replace(
        "{columns}", "(the columns are 'question', 'answer')"
    )
    assert expected == error_of(file_of(path, columns=columns))


def test_filter_must_name_a_column(tmp_path):
    """A filter over a column that the file does not have is refused with the nearest
    one.
    """
    pq.write_table(pa.table({"input": ["a"], "level": [1]}), tmp_path / "d.parquet")
    path = str(tmp_path / "d.parquet")

    message = error_of(file_of(path, filter={"levle": 1}))

    assert (
        f"{path}: no column 'levle'; did you mean 'level'? (the columns are 'input', 'level')"
        == message
    )


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


# Filesystems


class StrictFileSystem(MemoryFileSystem):
    """A filesystem that takes one option, `key`, and whose files cannot be opened."""

    protocol = "strict"
    cachable = False
    failure: Exception | None = None

    def __init__(self, *, key: str = "") -> None:
        super().__init__()
        self.key = key

    def _open(self, path, mode="rb", **options):
        raise self.failure or PermissionError(f"{self.key!r} may not read {path}")


@pytest.fixture
def strict(monkeypatch):
    fsspec.register_implementation("strict", StrictFileSystem, clobber=True)
    monkeypatch.setenv("THEMIS_TEST_FOLDER", "hidden-folder")
    monkeypatch.setenv("THEMIS_TEST_KEY", "hunter2")
    return lambda failure: monkeypatch.setattr(StrictFileSystem, "failure", failure)


def test_references_are_resolved_in_the_path(tmp_path, monkeypatch):
    """`${NAME}` in a path stands for that environment variable."""
    write(tmp_path / "d.jsonl", PAIRS)
    monkeypatch.setenv("THEMIS_TEST_FOLDER", str(tmp_path))

    found = column_of(file_of("${THEMIS_TEST_FOLDER}/d.jsonl", columns=QA), "input")

    assert found == ['"1+1"', '"2+2"']


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "${THEMIS_TEST_NONE}/d.jsonl"},
        {"path": "d.jsonl", "storage_options": {"key": "${THEMIS_TEST_NONE}"}},
    ],
)
def test_missing_variable_is_a_dataset_error(monkeypatch, fields):
    """A reference to a variable that is not set is refused with its name and place."""
    monkeypatch.delenv("THEMIS_TEST_NONE", raising=False)
    place = "storage_options.key" if "storage_options" in fields else "path"

    message = error_of(DatasetFile(dataset_id="d", **fields))

    assert (
        f"dataset 'd': {place}: the environment variable 'THEMIS_TEST_NONE' is not set"
        == message
    )


def test_literal_credential_is_refused():
    """A credential written into the storage options is refused, and not shown."""
    message = error_of(
        file_of(
            "s3://bucket/d.jsonl", storage_options={"client": [{"secret": "hunter2"}]}
        )
    )

    assert message.startswith(
        "dataset 'd': storage_options.client[0].secret holds a credential as it is"
    )
    assert "hunter2" not in message


def test_values_of_references_are_not_shown(strict):
    """References in path and options reach the filesystem resolved; what it says is
    shown with references.
    """
    dataset = file_of(
        "strict://${THEMIS_TEST_FOLDER}/d.jsonl",
        storage_options={"key": "${THEMIS_TEST_KEY}"},
    )

    expected = (
        "dataset 'd': 'strict://${THEMIS_TEST_FOLDER}/d.jsonl' cannot be read: "
        "PermissionError: '${THEMIS_TEST_KEY}' may not read strict://${THEMIS_TEST_FOLDER}/d.jsonl"
    )
    assert expected == error_of(dataset)


def test_reason_for_a_file_that_cannot_be_looked_for_is_given(strict):
    """A filesystem that reports another failure as a missing file has that failure
    named.
    """
    missing = FileNotFoundError("d.jsonl")
    missing.__cause__ = OSError("no route to host")
    strict(missing)

    message = error_of(file_of("strict://d.jsonl"))

    assert (
        message == "dataset 'd': no file 'strict://d.jsonl' (OSError: no route to host)"
    )


@pytest.mark.parametrize(
    "failure", [TimeoutError("too slow"), ConnectionResetError("gone")]
)
def test_failure_that_might_pass_is_transient(strict, failure):
    """A timeout or a lost connection says nothing about the dataset: it is a
    `TransientError`.
    """
    strict(failure)

    message = error_of(file_of("strict://d.jsonl"), TransientError)

    assert message.startswith("dataset 'd': 'strict://d.jsonl' cannot be read: ")


def test_unknown_storage_option_is_a_dataset_error(strict):
    """A storage option that the filesystem does not know is refused by name."""
    message = error_of(file_of("strict://d.jsonl", storage_options={"regoin": "x"}))

    assert message.startswith(
        "dataset 'd': 'strict://d.jsonl' cannot be read: TypeError"
    )
    assert "'regoin'" in message


def test_unknown_protocol_is_a_dataset_error():
    """A protocol that no filesystem speaks is refused by name."""
    expected = "dataset 'd': 'nowhere://d.jsonl' cannot be read: ValueError: Protocol not known: nowhere"

    assert expected == error_of(file_of("nowhere://d.jsonl"))


class RecordingFileSystem(LocalFileSystem):
    """Local files, and which of them were opened."""

    protocol = "recording"
    cachable = False
    opened: list

    def _open(self, path, mode="rb", **options):
        file = super()._open(path, mode, **options)
        RecordingFileSystem.opened.append(file)
        return file


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv", "d.parquet", "d.jsonl.gz"])
def test_files_are_closed(tmp_path, name):
    """A file is closed when its last case is read, when an error ends it, and when the
    reader stops early.
    """
    fsspec.register_implementation("recording", RecordingFileSystem, clobber=True)
    RecordingFileSystem.opened = []
    path = f"recording://{tmp_path / name}"
    if name == "d.parquet":
        pq.write_table(pa.table({"input": ["a", "b"]}), tmp_path / name)
    else:
        lines = b"input\n1\n2\n" if name == "d.csv" else b'{"input": 1}\n{"input": 2}\n'
        write(tmp_path / name, gzip.compress(lines) if name.endswith("gz") else lines)

    cases_of(file_of(path))
    error_of(file_of(path, columns={"input": "other"}))
    tables = case_tables(file_of(path), batch_rows=1)
    next(tables)
    still_open = [file.closed for file in RecordingFileSystem.opened]
    tables.close()

    assert still_open == [True, True, False]
    assert [file.closed for file in RecordingFileSystem.opened] == [True, True, True]


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


def test_columns_that_no_case_needs_are_not_read(tmp_path):
    """A damaged column of a Parquet file does no harm until it is asked for."""
    path = tmp_path / "d.parquet"
    table = pa.table({"input": ["a", "b"], "unread": ["c", "d"]})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 16] = b"\xff" * 16
    write(path, bytes(content))

    found = column_of(file_of(str(path)), "input")
    message = error_of(file_of(str(path), columns={"input": "unread"}))

    assert found == ['"a"', '"b"']
    assert message.startswith(f"dataset 'd': {str(path)!r} cannot be read: OSError")


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


class HubRows:
    """Rows as the `datasets` library returns them."""

    def __init__(self, rows: list[dict]) -> None:
        self._rows = rows

    @property
    def column_names(self) -> list[str]:
        return list(self._rows[0])

    def select_columns(self, names: list[str]) -> HubRows:
        return HubRows([{name: row[name] for name in names} for row in self._rows])

    def __iter__(self):
        return iter(self._rows)


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for the `datasets` library: what it was asked for, and what it returns
    or raises.
    """
    module = types.ModuleType("datasets")
    module.asked = []
    module.answer = HubRows(
        [
            {"question": "1+1", "answer": 2, "n": float("nan")},
            {"question": "2+2", "answer": 4, "n": 0.5},
        ]
    )

    def load_dataset(*names, **options):
        module.asked.append((names, options))
        if isinstance(module.answer, Exception):
            raise module.answer
        return module.answer

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


def test_hub_dataset_is_mapped_as_a_file(hub):
    """Rows are asked for by name, subset, split and revision, then mapped and filtered
    as a file's.
    """
    dataset = HubDataset(
        dataset_id="d",
        huggingface="openai/gsm8k",
        subset="main",
        split="train",
        revision="abc",
        columns={**QA, "metadata": ["n"]},
        filter={"n": [0.5, 3]},
        sample=5,
        limit=1,
    )

    found = cases_of(dataset)

    assert found == [("d-0001", '"2+2"', "4", '{"n":0.5}')]
    asked = (
        ("openai/gsm8k", "main"),
        {"split": "train", "revision": "abc", "streaming": False},
    )
    assert [asked] == hub.asked


def test_hub_errors_name_the_dataset(hub):
    """A column, a value or a split that will not do is one line that names the dataset
    on the hub.
    """
    missing = HubDataset(
        dataset_id="d", huggingface="a/b", columns={"input": "qestion"}
    )
    outside = HubDataset(dataset_id="d", huggingface="a/b", columns={"input": "n"})

    messages = [error_of(missing), error_of(outside)]
    hub.answer = ValueError("Unknown split 'test'.\nUse 'train'.")
    messages.append(error_of(missing))

    expected = [
        "a/b/test: no column 'qestion'; did you mean 'question'? (the columns are "
        "'question', 'answer', 'n')",
        "a/b/test: row 0: column 'n': not a JSON value: Out of range float values are "
        "not JSON compliant",
        "dataset 'd': 'a/b/test' cannot be loaded: ValueError: Unknown split 'test'. Use 'train'.",
    ]
    assert expected == [message.removesuffix(": nan") for message in messages]


def test_hub_needs_the_extra(monkeypatch):
    """Without the `datasets` library the error says what to install."""
    monkeypatch.setitem(sys.modules, "datasets", None)

    message = error_of(HubDataset(dataset_id="d", huggingface="a/b"))

    expected = (
        "dataset 'd': 'a/b/test' is on the Hugging Face hub; to read from there, "
        "pip install 'themis-flows[huggingface]'"
    )
    assert expected == message


def test_hub_library_reads_a_folder(tmp_path, monkeypatch):
    """The library itself, where it is installed, reads the same cases out of a folder."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    pytest.importorskip("datasets")
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "test.jsonl", PAIRS)

    found = cases_of(
        HubDataset(dataset_id="d", huggingface=str(tmp_path / "data"), columns=QA)
    )

    assert found == [("d-0000", '"1+1"', '"2"', "{}"), ("d-0001", '"2+2"', '"4"', "{}")]


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


def test_a_million_ids_take_little_memory_and_time():
    """A million ids are checked within three seconds and a hundred megabytes, and no
    two are confused.
    """
    ids = [
        [f"case-{at}" for at in range(start, start + 10_000)]
        for start in range(0, 10**6, 10_000)
    ]

    started = time.perf_counter()
    registry = register(ids)
    seconds = time.perf_counter() - started
    tracemalloc.start()
    traced = register(ids[:20])
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert seconds < 3
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
