"""Outputs recorded elsewhere, read from a JSON Lines, CSV or Parquet file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from themis_lib.errors import (
    DatasetError,
    TransientError,
    describe,
    is_transient,
    nearest,
)
from themis_lib.identity.digests import load_json

#: The place of a row, for messages, and its cells by column.
_Row: TypeAlias = tuple[str, Mapping[str, Any]]
_Reader: TypeAlias = Callable[[bytes, str, Sequence[str]], Iterator[_Row]]

#: The format of a file, by the suffix of its name.
FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class Columns:
    """The columns to read. Without `sample`, the order of rows numbers the samples."""

    output: str
    case_id: str
    sample: str | None

    @property
    def names(self) -> list[str]:
        """Every column that must be in the file."""
        names = [self.case_id, self.output]
        if self.sample:
            names.append(self.sample)
        return names

    def case_id_of(
        self,
        row: Mapping[str, Any],
        place: str,
    ) -> str:
        """Return the case id in a row. Raise `DatasetError` if it is none."""
        value = row[self.case_id]
        if isinstance(value, str) and value:
            return value
        # In Python `True` is an integer, in JSON it is not.
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise DatasetError(
            f"{place}: the case id is neither text nor a whole number: {value!r:.60}"
        )

    def sample_of(
        self,
        row: Mapping[str, Any],
        place: str,
        *,
        default: int,
    ) -> int:
        """Return the sample number in a row, or the default without such a column.

        Raise `DatasetError` if it is not a number counted from 0.
        """
        if not self.sample:
            return default
        value = row[self.sample]
        number = value
        # Cells of CSV are text.
        if isinstance(value, str) and value.isdecimal():
            number = int(value)
        is_whole = isinstance(number, int) and not isinstance(number, bool)
        if is_whole and number >= 0:
            return int(number)
        raise DatasetError(
            f"{place}: the sample is no number counted from 0: {value!r:.60}"
        )


@dataclass(frozen=True)
class Recording:
    """The content of a file of outputs: by case id, then by sample."""

    sha256: str
    outputs: Mapping[str, Mapping[int, Any]]


def read_recording(
    path: str,
    columns: Columns,
    *,
    file_format: str,
    storage_options: Mapping[str, Any],
) -> Recording:
    """Read a file at any fsspec URL.

    Raise `DatasetError`, naming the file, the line and the column at fault, and
    `TransientError` if the storage may answer another time.
    """
    content = _read_content(path, storage_options)
    read_rows = _READERS[file_format]
    outputs: dict[str, dict[int, Any]] = {}
    for place, row in read_rows(content, path, columns.names):
        case_id = columns.case_id_of(row, place)
        samples = outputs.setdefault(case_id, {})
        sample = columns.sample_of(
            row,
            place,
            default=len(samples),
        )
        # Keeping either would make the result depend on the order of the file.
        if sample in samples:
            raise DatasetError(
                f"{place}: sample {sample} of case {row[columns.case_id]!r} "
                "is recorded twice"
            )
        samples[sample] = row[columns.output]
    return Recording(
        sha256=hashlib.sha256(content).hexdigest(),
        outputs=outputs,
    )


def _read_content(
    path: str,
    storage_options: Mapping[str, Any],
) -> bytes:
    # Importing takes a while, and most runs replay nothing.
    import fsspec

    try:
        fs, location = fsspec.core.url_to_fs(path, **storage_options)
        # `cat_file`, unlike `cat`, never takes a path with brackets for a pattern.
        return bytes(fs.cat_file(location))
    except FileNotFoundError:
        raise DatasetError(f"recorded outputs: no file {path!r}") from None
    except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
        message = f"recorded outputs: {path!r} cannot be read: {describe(error)}"
        if is_transient(error):
            raise TransientError(message) from None
        raise DatasetError(message) from None


def read_jsonl(
    content: bytes,
    path: str,
    columns: Sequence[str],
) -> Iterator[_Row]:
    """Yield the rows of a JSON Lines file."""
    # Lines end at `\n` alone: `str.splitlines` would also split inside JSON strings.
    for number, line in enumerate(io.BytesIO(content), start=1):
        place = f"{path}:{number}"
        if line.isspace():
            continue
        # Only the first line can have a byte order mark.
        encoding = "utf-8-sig" if number == 1 else "utf-8"
        try:
            row = load_json(line.decode(encoding))
        except json.JSONDecodeError as error:
            raise DatasetError(
                f"{place}: not JSON: {error.msg} at column {error.colno}"
            ) from None
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{place}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DatasetError(f"{place}: not a JSON object but {row!r:.60}")
        _check_columns(columns, row, place)
        yield place, row


#: Characters. Far above Python's own limit, so that a long output fits; low enough for
#: a quote that is never closed.
_LARGEST_CELL = 2**24


def read_csv(
    content: bytes,
    path: str,
    columns: Sequence[str],
) -> Iterator[_Row]:
    """Yield the rows of a CSV file, whose cells are text."""
    # The limit belongs to the process: never lower what other code has set.
    limit = csv.field_size_limit()
    csv.field_size_limit(max(limit, _LARGEST_CELL))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8: {error}") from None
    reader = csv.reader(
        # Without `newline=""` a line break inside a cell would be changed.
        io.StringIO(text, newline=""),
        strict=True,
    )
    try:
        header = next(reader, [])
        _check_columns(columns, header, f"{path}:1")
        # `line_num` is the last line of a row; errors name its first.
        number = reader.line_num + 1
        for cells in reader:
            place = f"{path}:{number}"
            # Blank lines are rows without cells.
            if len(cells) not in (0, len(header)):
                raise DatasetError(
                    f"{place}: {len(cells)} cells under {len(header)} column names"
                )
            if cells:
                yield place, dict(zip(header, cells, strict=True))
            number = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def read_parquet(
    content: bytes,
    path: str,
    columns: Sequence[str],
) -> Iterator[_Row]:
    """Yield the rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        # The schema is in the footer, so no row is read for a missing column.
        _check_columns(columns, file.schema_arrow.names, path)
        table = file.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: not Parquet: {describe(error)}") from None
    values = []
    for name in columns:
        column = table[name]
        values.append(column.to_pylist())
    for number, row in enumerate(zip(*values, strict=True)):
        yield f"{path}: row {number}", dict(zip(columns, row, strict=True))


_READERS: Mapping[str, _Reader] = {
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
}


def _check_columns(
    columns: Sequence[str],
    known: Collection[str],
    place: str,
) -> None:
    for name in columns:
        if name not in known:
            names = ", ".join(map(repr, known)) or "none"
            # Other hints list the columns, which the message does anyway.
            hint = nearest(name, known)
            close = f"; {hint}" if hint.startswith("did you mean") else ""
            raise DatasetError(
                f"{place}: no column {name!r}{close} (the columns are {names})"
            )
        # A dict of the row would keep the last one without a word.
        if list(known).count(name) > 1:
            raise DatasetError(f"{place}: two columns are called {name!r}")
