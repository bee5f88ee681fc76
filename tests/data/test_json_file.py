"""JSON Lines and JSON arrays as rows."""

from __future__ import annotations

import io

import pytest

from tests.support.dataset_files import records_of
from themis_lib.data.json_file import json_source, jsonl_source
from themis_lib.data.records import Record
from themis_lib.errors import DatasetError


def jsonl_records(content: bytes) -> list[Record]:
    """Return the rows of JSON lines."""
    return records_of(jsonl_source(io.BytesIO(content), "d.jsonl"))


def json_records(content: bytes) -> list[Record]:
    """Return the rows of a JSON file."""
    return records_of(json_source(io.BytesIO(content), "d.json"))


def test_jsonl_skips_blank_lines_and_a_byte_order_mark() -> None:
    """Blank lines are no rows, and neither a byte order mark nor Windows line ends are
    part of a line.
    """
    found = jsonl_records(b'\xef\xbb\xbf{"input": 1}\r\n\r\n  \n{"input": 2}')

    assert [(1, {"input": 1}), (4, {"input": 2})] == found


def test_jsonl_keeps_long_integers() -> None:
    """An integer beyond 64 bits keeps every digit."""
    found = jsonl_records(b'{"input": 123456789012345678901}')

    assert [(1, {"input": 123456789012345678901})] == found


def test_first_line_names_the_columns() -> None:
    """The columns are those of the first line; later lines may have others."""
    source = jsonl_source(io.BytesIO(b'\n{"b": 1, "a": 2}\n{"c": 3}\n'), "d.jsonl")

    assert ["b", "a"] == source.columns
    assert "d.jsonl:2" == source.head
    assert [(2, {"b": 1, "a": 2}), (3, {"c": 3})] == records_of(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"a": 1}\n\n{"a":\n',
            ":3: not JSON: unexpected end of data at column 1",
        ),
        (
            b'{"a": NaN}',
            ":1: not JSON: unexpected character, expected a JSON value at column 7",
        ),
        (
            b'{"a": 1e999}',
            ":1: not JSON: number is infinity when parsed as double at column 7",
        ),
        (b'{"a": 1}\n["a"]', ":2: not a JSON object but list: ['a']"),
        (b'{"a": 1}\n{"a": "\xff"}', ":2: not UTF-8: invalid start byte at byte 7; "),
        (b'[{"a": 1}]', ":1: not a JSON object but list: [{'a': 1}]; a JSON array is"),
        (b'{"a": ' + b"[" * 100_000, ":1: not JSON: depth limit exceeded"),
        # A long integer is read by Python's own parser, which has another limit.
        (
            b'{"n": 12345678901234567890, "a": ' + b"[" * 100_000,
            ":1: not JSON: maximum recursion depth exceeded",
        ),
        (b"", ": there are no rows"),
        (b"\n \n", ": there are no rows"),
    ],
)
def test_wrong_jsonl_is_named_by_its_line(content: bytes, message: str) -> None:
    """An error in JSON lines names the file and the line, counting blank ones."""
    with pytest.raises(DatasetError) as raised:
        jsonl_records(content)

    assert str(raised.value).startswith(f"d.jsonl{message}")


@pytest.mark.parametrize("content", [b"[\n", b'[{"a": 1},\n{"a": 2}]'])
def test_array_in_place_of_lines_is_told_how_to_be_read(content: bytes) -> None:
    """Its first line is no object, and mostly no JSON."""
    with pytest.raises(DatasetError) as raised:
        jsonl_records(content)

    assert str(raised.value).endswith(
        "; a JSON array is read from a file that ends in .json"
    )


@pytest.mark.parametrize(
    "content",
    [
        b'[{"a": 1}, {"b": 2}]',
        b'\xef\xbb\xbf\r\n [\n  {\n    "a": 1\n  },\n  {"b": 2}\n]\n',
        '[{"a": 1}, {"b": 2}]'.encode("utf-16"),
    ],
    ids=["one line", "pretty", "UTF-16"],
)
def test_array_has_a_row_for_each_object(content: bytes) -> None:
    """Rows are counted from 0, and the first names the columns."""
    source = json_source(io.BytesIO(content), "d.json")

    assert ["a"] == source.columns
    assert ("d.json: row 0", "d.json: row 3") == (source.head, source.place(3))
    assert [(0, {"a": 1}), (1, {"b": 2})] == records_of(source)


def test_json_file_of_lines_is_read_by_lines() -> None:
    """Many a .json file has an object a line."""
    found = json_records(b'{"a": 1}\n{"a": 12345678901234567890}\n')

    assert [(1, {"a": 1}), (2, {"a": 12345678901234567890})] == found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", ": there are no rows"),
        (b"", ": there are no rows"),
        (b'[{"a": 1}, 2]', ": row 1: not a JSON object but int: 2"),
        (b'[{"a": 1},\n {"a": }]', ":2: not JSON: unexpected character"),
        (b"[" * 100_000, ":1: not JSON: depth limit exceeded"),
        (b'[{"a": "\xff"}]', ":1: not UTF-8: invalid start byte at byte 8; say its"),
    ],
)
def test_wrong_array_is_named_by_its_row(content: bytes, message: str) -> None:
    """An error in an array names the file, and the row where there is one."""
    with pytest.raises(DatasetError) as raised:
        json_records(content)

    assert str(raised.value).startswith(f"d.json{message}")
