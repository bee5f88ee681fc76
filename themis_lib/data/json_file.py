"""JSON files as rows: an object a line, or one array of objects."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, Any

import pyarrow as pa

from themis_lib.data.records import (
    BATCH_ROWS,
    NUMBER,
    Record,
    Source,
    Unparsed,
    batches,
)
from themis_lib.data.text_lines import text_lines
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import load_json

#: The number of a line, and its text.
_Line = tuple[int, str]
_LINES = pa.schema([(NUMBER, pa.int64()), ("line", pa.large_string())])
#: Characters of lines that are held at once, but for the last of them.
_BATCH_CHARACTERS = 2**24


def jsonl_source(
    file: Iterable[bytes],
    path: str,
    *,
    encoding: str | None = None,
) -> Source:
    """Return the JSON objects of a file, one a line; the first names the columns."""
    lines = _filled_lines(text_lines(file, path, encoding))
    first = next(lines, None)
    if first is None:
        raise DatasetError(f"{path}: there are no rows")
    number, row = _record(first, path)
    lines = chain([first], lines)

    def parse(table: pa.Table) -> Iterator[Record]:
        for batch in batches(table):
            columns = (column.to_pylist() for column in batch.columns)
            for line in zip(*columns, strict=True):
                yield _record(line, path)

    return Source(
        name=path,
        columns=list(row),
        # Whole rows: which columns to keep is known only after the line is parsed.
        records=lambda _: (_record(line, path) for line in lines),
        head=f"{path}:{number}",
        place=lambda line: f"{path}:{line}",
        unparsed=Unparsed(
            tables=lambda _: _line_tables(lines),
            parse=lambda _, table: parse(table),
        ),
    )


def json_source(
    file: IO[bytes],
    path: str,
    *,
    encoding: str | None = None,
) -> Source:
    """Return the objects of a JSON array, or of lines; the first names the columns.

    Unlike lines, an array is held in memory as a whole.
    """
    content = file.read()
    text = "".join(text_lines(io.BytesIO(content), path, encoding))
    if not text.lstrip().startswith("["):
        return jsonl_source(io.BytesIO(content), path, encoding=encoding)
    try:
        rows = load_json(text)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path}:{error.lineno}: not JSON: {error.msg} at column {error.colno}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not JSON: {error}") from None
    if not rows:
        raise DatasetError(f"{path}: there are no rows")
    for number, row in enumerate(rows):
        _check_object(row, f"{path}: row {number}")
    return Source(
        name=path,
        columns=list(rows[0]),
        records=lambda _: enumerate(rows),
        head=f"{path}: row 0",
        place=lambda row: f"{path}: row {row}",
    )


def _filled_lines(lines: Iterable[str]) -> Iterator[_Line]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line


def _line_tables(lines: Iterable[_Line]) -> Iterator[pa.Table]:
    numbers: list[int] = []
    texts: list[str] = []
    characters = 0
    for number, line in lines:
        numbers.append(number)
        texts.append(line)
        characters += len(line)
        if len(texts) == BATCH_ROWS or characters > _BATCH_CHARACTERS:
            yield pa.table([numbers, texts], schema=_LINES)
            numbers, texts, characters = [], [], 0
    if texts:
        yield pa.table([numbers, texts], schema=_LINES)


def _record(
    line: _Line,
    path: str,
) -> Record:
    number, text = line
    place = f"{path}:{number}"
    try:
        row = _parsed(text, place)
    except DatasetError as error:
        if text.lstrip().startswith("[") and number == 1:
            raise DatasetError(
                f"{error}; a JSON array is read from a file that ends in .json"
            ) from None
        raise
    _check_object(row, place)
    return number, row


def _parsed(
    text: str,
    place: str,
) -> Any:
    try:
        return load_json(text)
    # Also a `ValueError`, so before that one: it knows the column.
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{place}: not JSON: {error.msg} at column {error.colno}"
        ) from None
    # Lists nested by the thousand exhaust the parser's stack.
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{place}: not JSON: {error}") from None


def _check_object(
    row: Any,
    place: str,
) -> None:
    if not isinstance(row, dict):
        kind = type(row).__name__
        fix = ""
        if isinstance(row, list) and row and isinstance(row[0], dict):
            fix = "; a JSON array is read from a file that ends in .json"
        raise DatasetError(f"{place}: not a JSON object but {kind}: {row!r:.60}{fix}")
