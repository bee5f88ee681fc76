"""The reader of a dataset file."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.support.dataset_files import error_of, file_of, records_of
from themis_lib.data.formats import find_reader
from themis_lib.errors import DatasetError


@pytest.mark.parametrize(
    ("path", "fields", "blank_is_null"),
    [
        ("d.jsonl", {}, False),
        ("D.NDJSON", {}, False),
        ("d.json", {}, False),
        ("d.csv", {}, True),
        ("d.csv.gz", {}, True),
        ("d.csv::zip://a.jsonl", {}, True),
        ("d.txt", {"format": "csv"}, True),
        ("d.csv", {"format": "jsonl"}, False),
    ],
)
def test_reader_is_found_by_format_or_suffix(
    path: str, fields: dict[str, Any], blank_is_null: bool
) -> None:
    """The `format` counts first, then the suffix before that of a compression."""
    read = find_reader(file_of(path, **fields), path)

    source = read(io.BufferedReader(io.BytesIO(b'{"a": 1}\n')), path)  # type: ignore[arg-type]

    assert blank_is_null == source.blank_is_null


@pytest.mark.parametrize("file_format", [None, "csv"])
def test_tsv_is_split_at_tabs(file_format: str | None) -> None:
    """A .tsv file is split at tabs, also when its format is given as csv."""
    read = find_reader(file_of("d.tsv", format=file_format), "d.tsv")

    source = read(io.BufferedReader(io.BytesIO(b"a\tb\n1,2\t3\n")), "d.tsv")  # type: ignore[arg-type]

    assert [(2, {"a": "1,2", "b": "3"})] == records_of(source)


@pytest.mark.parametrize("path", ["d.xlsx", "d", "d.jsonl/d", "d.txt.gz"])
def test_unknown_suffix_asks_for_the_format(path: str) -> None:
    """A name that says no format is refused with those there are, before the file is
    looked for.
    """
    expected = (
        f"dataset 'd': {path!r} ends in none of .jsonl, .ndjson, .csv, .tsv, .parquet, "
        ".eval; say its `format`: jsonl, csv, parquet, lm_eval, inspect, promptfoo"
    )
    assert expected == error_of(file_of(path))


@pytest.mark.parametrize(
    ("path", "fields", "content", "cell"),
    [
        ("d.csv", {"delimiter": "|"}, b"a|b\n1,2|3\n", "1,2"),
        ("d.tsv", {"delimiter": ","}, b"a,b\n1,2\n", "1"),
        ("d.csv", {"encoding": "latin-1"}, b"a\n\xe9\n", "\u00e9"),
        ("d.csv", {"encoding": "cp1252"}, b"a\n\x80\n", "\u20ac"),
        ("d.jsonl", {"encoding": "latin-1"}, b'{"a": "\xe9"}\n', "\u00e9"),
        ("d.json", {"encoding": "latin-1"}, b'[{"a": "\xe9"}]', "\u00e9"),
        (
            "d.jsonl",
            {"encoding": "utf-16-le"},
            '{"a": "\u010a"}\n'.encode("utf-16-le"),
            "\u010a",
        ),
    ],
)
def test_settings_of_text_are_those_of_the_dataset(
    path: str, fields: dict[str, Any], content: bytes, cell: str
) -> None:
    """What separates cells, and in which encoding they are."""
    read = find_reader(file_of(path, **fields), path)

    ((_, row),) = records_of(read(io.BufferedReader(io.BytesIO(content)), path))  # type: ignore[arg-type]

    assert cell == row["a"]


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        (
            "d.csv",
            {"encoding": "latin-99"},
            "encoding 'latin-99' is unknown; write one",
        ),
        ("d.csv", {"encoding": "rot13"}, "encoding 'rot13' is unknown; write one"),
        ("d.parquet", {"encoding": "utf-8"}, "encoding: a Parquet file is no text"),
        ("d.jsonl", {"delimiter": ";"}, "delimiter: only CSV has one, not jsonl"),
        ("d.csv", {"delimiter": ";;"}, "delimiter ';;': give one character"),
        ("d.csv", {"delimiter": '"'}, "delimiter '\"': give one character"),
        ("d.csv", {"delimiter": ""}, "delimiter '': give one character"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    path: str, fields: dict[str, Any], message: str
) -> None:
    """Before the file is opened, and not in silence."""
    with pytest.raises(DatasetError) as raised:
        find_reader(file_of(path, **fields), path)

    assert str(raised.value).startswith(f"dataset 'd': {message}")
