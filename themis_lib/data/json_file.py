"""JSON files as rows: an object a line, or one array of objects."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, Any

from themis_lib.data.records import Record, Source
from themis_lib.data.text_lines import text_lines
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import load_json


def jsonl_source(
    file: Iterable[bytes],
    path: str,
    *,
    encoding: str | None = None,
) -> Source:
    """Return the JSON objects of a file, one a line; the first names the columns."""
    lines = _json_lines(file, path, encoding)
    first = next(lines, None)
    if first is None:
        raise DatasetError(f"{path}: there are no rows")
    number, row = first
    return Source(
        name=path,
        columns=list(row),
        # Whole rows: which columns to keep is known only after the line is parsed.
        records=lambda _: chain([first], lines),
        head=f"{path}:{number}",
        place=lambda line: f"{path}:{line}",
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


def _json_lines(
    file: Iterable[bytes],
    path: str,
    encoding: str | None,
) -> Iterator[Record]:
    lines = text_lines(file, path, encoding)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = _parsed(line, place)
        except DatasetError as error:
            if line.lstrip().startswith("[") and number == 1:
                raise DatasetError(
                    f"{error}; a JSON array is read from a file that ends in .json"
                ) from None
            raise
        _check_object(row, place)
        yield number, row


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
