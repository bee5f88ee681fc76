"""CSV files as rows, also as spreadsheets write them."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.dataset_files import records_of
from themis_lib.data.csv_file import csv_source
from themis_lib.data.records import Record
from themis_lib.errors import DatasetError


def csv_records(content: bytes) -> list[Record]:
    """Return the rows of a CSV file."""
    return records_of(csv_source(io.BytesIO(content), "d.csv"))


def test_csv_cells_are_text() -> None:
    """CSV cells are text, quoted cells may hold commas and line ends, blank lines are no
    rows, and a row has the number of the line it begins on.
    """
    found = csv_records(b'\xef\xbb\xbfa,b\r\n"a, ""b""\nc",12\r\n\r\n,x\r\n')

    assert [(2, {"a": 'a, "b"\nc', "b": "12"}), (5, {"a": "", "b": "x"})] == found


@pytest.fixture
def _field_limit() -> Iterator[None]:
    """Give the process its limit on cells back after the test."""
    before = csv.field_size_limit()
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("_field_limit")
def test_csv_cells_may_be_long() -> None:
    """A CSV cell may hold a long document, well beyond the 128 KiB that Python allows
    by itself.
    """
    csv.field_size_limit(2**17)

    found = csv_records(b"a\n" + b"x" * 1_000_000 + b"\n")

    assert [(2, {"a": "x" * 1_000_000})] == found


@pytest.mark.usefixtures("_field_limit")
def test_csv_limit_is_never_lowered() -> None:
    """A limit that the process raised above the library's stays."""
    csv.field_size_limit(2**30)

    csv_records(b"a\n1\n")

    assert 2**30 == csv.field_size_limit()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n\n3\n", ":4: 1 cells under 2 column names"),
        (b'a,b\n"x\ny",2\n"z\nz"\n', ":4: 1 cells under 2 column names"),
        (b'a,b\n1,2\n"3', ":3: not CSV: unexpected end of data"),
        (b"a,b,a\n1,2,3\n", ":1: two columns are called 'a'"),
        (
            b"a\n1\n\xff\n",
            ":3: not UTF-8: invalid start byte at byte 0; say its `encoding`, such as "
            "latin-1 or utf-16",
        ),
        (b"a,,\n1,2,3\n", ":2: the cell '2' is under no column name"),
        (b"a,,\n1,,,x\n", ":2: 4 cells under 3 column names"),
        (b"a,b\n1,,2\n", ":2: 3 cells under 2 column names"),
        (b"", ": there are no rows"),
        (b"\n\n", ": there are no rows"),
    ],
)
def test_wrong_csv_is_named_by_its_line(content: bytes, message: str) -> None:
    """An error in a CSV file names the file and the line on which the row begins."""
    with pytest.raises(DatasetError) as raised:
        csv_records(content)

    assert f"d.csv{message}" == str(raised.value)


# The `csv` module writes a row of one empty cell and a row of none alike.
csv_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(st.tuples(csv_texts, csv_texts), max_size=5))
def test_cells_survive_csv(rows: list[tuple[str, str]]) -> None:
    """Any cells that Python's `csv` writes are read as they were."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])

    found = csv_records(file.getvalue().encode())

    assert [{"a": a, "b": b} for a, b in rows] == [row for _, row in found]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b,,\r\nx,y,,\r\n", [(2, {"a": "x", "b": "y"})]),
        (b"a,b,,\nx,y\n", [(2, {"a": "x", "b": "y"})]),
        (b"a,,b,,\nx,,y,,\n", [(2, {"a": "x", "b": "y"})]),
        (b"a,b\nx,y,,\n", [(2, {"a": "x", "b": "y"})]),
        (b"a,b\nx,y\n,\n,\n", [(2, {"a": "x", "b": "y"})]),
        (b"a,b\n,\nx,y\n", [(3, {"a": "x", "b": "y"})]),
        # Row numbers, as pandas writes them.
        (b",a\n0,x\n", [(2, {"": "0", "a": "x"})]),
        (b"a,Unnamed: 1\nx,\n", [(2, {"a": "x", "Unnamed: 1": ""})]),
    ],
)
def test_what_a_spreadsheet_leaves_empty_is_left_out(
    content: bytes, rows: list[Record]
) -> None:
    """Columns without a name, cells beyond the last column, lines of delimiters."""
    assert rows == csv_records(content)


def test_line_of_delimiters_inside_a_cell_is_text() -> None:
    """Only whole rows of nothing are left out; quoted cells are empty texts."""
    found = csv_records(b'a,b\n"x\n,\ny",z\n"",""\n')

    assert [(2, {"a": "x\n,\ny", "b": "z"}), (5, {"a": "", "b": ""})] == found


@pytest.mark.parametrize(
    "content",
    [
        b"a;b\r\nx,y;z\r\n",
        b"\xef\xbb\xbfa;b\nx,y;z\n",
        b"a\tb\nx,y\tz\n",
        b'"a";"b"\n"x,y";"z"\n',
        b'a,b\n"x,y",z\n',
        b"sep=;\r\na;b\r\nx,y;z\r\n",
        b"SEP=|\na|b\nx,y|z\n",
        "a\tb\r\nx,y\tz\r\n".encode("utf-16"),
    ],
)
def test_first_row_tells_the_delimiter(content: bytes) -> None:
    """Where a comma is the decimal sign, spreadsheets separate by semicolons."""
    ((_, row),) = csv_records(content)

    assert {"a": "x,y", "b": "z"} == row


@pytest.mark.parametrize("beginning", [b"sep=;\n", b"\n"])
def test_lines_before_the_header_count(beginning: bytes) -> None:
    """An error names the line of the file."""
    with pytest.raises(DatasetError, match=r"^d\.csv:4: 1 cells under 2 column names$"):
        csv_records(beginning + b"a;b\n1;2\n3\n")


def test_delimiter_that_is_given_is_not_looked_for() -> None:
    """A header may hold any other."""
    source = csv_source(io.BytesIO(b"a;b,c\n1;2,3\n"), "d.csv", delimiter=";")

    assert [(2, {"a": "1", "b,c": "2,3"})] == records_of(source)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_line_that_says_the_delimiter_is_no_header(delimiter: str) -> None:
    """Also where the delimiter is given."""
    content = f"sep={delimiter}\r\na{delimiter}b\r\n1{delimiter}2\r\n".encode()

    source = csv_source(io.BytesIO(content), "d.csv", delimiter=delimiter)

    assert [(3, {"a": "1", "b": "2"})] == records_of(source)


def test_empty_columns_cost_little() -> None:
    """Where a spreadsheet leaves thousands of columns empty, in the header or in a row."""
    commas = "," * 16_000
    wide = f"a,b{commas}\n" + f"x,y{commas}\n" * 20
    long = f"a,b\nx,y{commas * 10}\n"
    began = time.process_time()

    assert 20 == len(csv_records(wide.encode()))
    assert 1 == len(csv_records(long.encode()))
    assert time.process_time() - began < 5
