"""Files and hub datasets as rows: JSON Lines, CSV, Parquet at any fsspec URL, and the
Hugging Face hub.

Rows are read a batch at a time, in one pass. What is wrong is a `DatasetError` that
names the file and the line or row, or a `TransientError` where reading again might
help.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.utils import infer_compression

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.core.secrets import (
    hide_values,
    refuse_literal_secrets,
    resolve_references,
)
from themis_lib.errors import (
    ConfigError,
    DatasetError,
    TransientError,
    describe,
    is_transient,
)
from themis_lib.identity.digests import load_json

Row = Mapping[str, Any]
#: A row behind the number of its line or, where there are no lines, of the row, counted
#: from 0.
Record = tuple[int, Row]


@dataclass(frozen=True)
class Source:
    """An open file: its columns, and `records`, which reads some of them, once.

    `place` puts the number of a record in words; `head` is where the column names
    stand. `blank_is_null` says that the format cannot tell null from an empty text.
    """

    name: str
    columns: Sequence[str]
    records: Callable[[Sequence[str]], Iterator[Record]]
    head: str
    place: Callable[[int], str]
    blank_is_null: bool = False


@contextmanager
def opened(dataset: DatasetFile | HubDataset) -> Iterator[Source]:
    """The source of a dataset, open inside the `with`."""
    if isinstance(dataset, HubDataset):
        yield _hub_source(dataset)
        return
    path, options = _resolve_source(dataset)
    read = _find_reader(dataset, path)
    failure = partial(_file_failure, dataset)
    with ExitStack() as stack:
        try:
            fs, location = fsspec.core.url_to_fs(path, **options)
            opening = fsspec.core.OpenFile(
                fs, location, compression=infer_compression(location)
            )
            file = stack.enter_context(
                io.BufferedReader(stack.enter_context(opening), _READ_BYTES)
            )
            source = read(file, dataset.path)
        except DatasetError:
            raise
        except FileNotFoundError as error:
            raise _missing_file(error, dataset, path) from None
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise failure(error) from None
        yield replace(
            source,
            records=lambda columns: _guard_records(source.records(columns), failure),
        )


def did_you_mean(
    name: str,
    choices: Iterable[str],
) -> str:
    """A hint behind a message, naming the closest choice; empty where none is close."""
    close = difflib.get_close_matches(name, list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


_READ_BYTES = 2**20


def _resolve_source(dataset: DatasetFile) -> tuple[str, dict[str, Any]]:
    try:
        refuse_literal_secrets(dataset.storage_options, where="storage_options")
        path = resolve_references(dataset.path, where="path")
        return path, resolve_references(
            dataset.storage_options, where="storage_options"
        )
    except ConfigError as error:
        raise DatasetError(f"dataset {dataset.dataset_id!r}: {error}") from None


_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}


def _find_reader(
    dataset: DatasetFile,
    path: str,
) -> Callable[[io.BufferedReader, str], Source]:
    """What reads this file: by its format, else by its suffix, whatever it is
    compressed with.
    """
    name = path.partition("::")[0].lower()
    suffix = PurePosixPath(
        PurePosixPath(name).stem if infer_compression(name) else name
    ).suffix
    file_format = dataset.format or _FORMATS.get(suffix)
    if file_format is None:
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: {dataset.path!r} ends in none of "
            f"{', '.join(_FORMATS)}; "
            "say its `format`: jsonl, csv or parquet"
        )
    if file_format == "csv":
        return partial(_csv_source, delimiter="\t" if suffix == ".tsv" else ",")
    return _jsonl_source if file_format == "jsonl" else _parquet_source


def _missing_file(
    error: FileNotFoundError,
    dataset: DatasetFile,
    path: str,
) -> DatasetError:
    message = f"dataset {dataset.dataset_id!r}: no file {dataset.path!r}"
    if error.__cause__ is not None:  # what kept a remote filesystem from looking
        return DatasetError(f"{message} ({_failure_reason(error.__cause__, dataset)})")
    if "::" in path or ("://" in path and not path.startswith("file://")):
        return DatasetError(message)
    file = Path(path.removeprefix("file://")).expanduser()
    try:
        siblings = sorted(entry.name for entry in file.parent.iterdir())
    except OSError:
        return DatasetError(
            f"{message}; nor can its folder {file.parent.name!r} be read"
        )
    return DatasetError(message + did_you_mean(file.name, siblings))


def _file_failure(
    dataset: DatasetFile,
    error: Exception,
) -> DatasetError | TransientError:
    place = f"dataset {dataset.dataset_id!r}: {dataset.path!r}"
    message = f"{place} cannot be read: {_failure_reason(error, dataset)}"
    return TransientError(message) if is_transient(error) else DatasetError(message)


def _failure_reason(
    error: BaseException,
    dataset: DatasetFile,
) -> str:
    return hide_values(describe(error), spec=[dataset.path, dataset.storage_options])


def _guard_records(
    records: Iterator[Record],
    failure: Callable[[Exception], Exception],
) -> Iterator[Record]:
    try:
        yield from records
    except DatasetError:
        raise
    except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
        raise failure(error) from None


def _jsonl_source(
    file: io.BufferedReader,
    path: str,
) -> Source:
    lines = _json_lines(_text_lines(file, path), path)
    first = next(lines, None)
    if first is None:
        raise DatasetError(f"{path}: there are no rows")
    return Source(
        name=path,
        columns=list(first[1]),
        records=lambda _: chain([first], lines),
        head=f"{path}:{first[0]}",
        place=lambda line: f"{path}:{line}",
    )


def _text_lines(
    file: Iterable[bytes],
    path: str,
) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{path}:{number}: not UTF-8: {error.reason} at byte {error.start}"
            ) from None
        yield text


def _json_lines(
    lines: Iterable[str],
    path: str,
) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = load_json(line)
        except json.JSONDecodeError as error:
            raise DatasetError(
                f"{path}:{number}: not JSON: {error.msg} at column {error.colno}"
            ) from None
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DatasetError(
                f"{path}:{number}: not a JSON object but {type(row).__name__}: {row!r:.60}"
            )
        yield number, row


#: Far above Python's own limit, so that a long document fits; low enough for a quote
#: that is never closed.
_LARGEST_CELL = 2**24


def _csv_source(
    file: io.BufferedReader,
    path: str,
    *,
    delimiter: str,
) -> Source:
    csv.field_size_limit(max(csv.field_size_limit(), _LARGEST_CELL))
    cells = _csv_cells(_text_lines(file, path), path, delimiter=delimiter)
    number, header = next(cells, (0, []))
    if not header:
        raise DatasetError(f"{path}: there are no rows")
    return Source(
        name=path,
        columns=_check_distinct(header, f"{path}:{number}"),
        records=lambda _: _csv_rows(cells, header, path),
        head=f"{path}:{number}",
        place=lambda line: f"{path}:{line}",
        blank_is_null=True,
    )


def _csv_cells(
    lines: Iterable[str],
    path: str,
    *,
    delimiter: str,
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each behind the number of the line it begins on."""
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        strict=True,
    )
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DatasetError(f"{path}:{number}: not CSV: {error}") from None
        if cells is None:
            return
        if cells:
            yield number, cells


def _csv_rows(
    cells: Iterable[tuple[int, list[str]]],
    header: list[str],
    path: str,
) -> Iterator[Record]:
    for number, row in cells:
        if len(row) != len(header):
            raise DatasetError(
                f"{path}:{number}: {len(row)} cells under {len(header)} column names"
            )
        yield number, dict(zip(header, row, strict=True))


_READ_ROWS = 4096


def _parquet_source(
    file: io.BufferedReader,
    path: str,
) -> Source:
    # With `pre_buffer`, or without a buffer size, a whole row group would be read at
    # once.
    parquet = pq.ParquetFile(
        file,
        pre_buffer=False,
        buffer_size=_READ_BYTES,
    )
    return Source(
        name=path,
        columns=_check_distinct(parquet.schema_arrow.names, path),
        records=lambda columns: _parquet_rows(parquet, columns),
        head=path,
        place=lambda row: f"{path}: row {row}",
    )


def _parquet_rows(
    parquet: pq.ParquetFile,
    columns: Sequence[str],
) -> Iterator[Record]:
    start = 0
    for batch in parquet.iter_batches(_READ_ROWS, columns=list(columns)):
        values = [_python_values(batch.column(name)) for name in columns]
        for number, row in enumerate(zip(*values, strict=True), start):
            yield number, dict(zip(columns, row, strict=True))
        start += batch.num_rows


def _python_values(column: pa.Array[Any]) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if pa.types.is_map(column.type):
        return [None if pairs is None else dict(pairs) for pairs in values]
    return values


def _check_distinct(
    columns: list[str],
    where: str,
) -> list[str]:
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise DatasetError(f"{where}: two columns are called {repeated[0]!r}")
    return columns


def _hub_source(dataset: HubDataset) -> Source:
    name = "/".join(
        part for part in (dataset.huggingface, dataset.subset, dataset.split) if part
    )
    failure = partial(_hub_failure, dataset, name)
    try:
        import datasets
    except ImportError:
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: {name!r} is on the Hugging Face hub; to "
            f"read from there, "
            "pip install 'themis-flows[huggingface]'"
        ) from None
    try:
        rows = datasets.load_dataset(
            dataset.huggingface,
            dataset.subset,
            split=dataset.split,
            revision=dataset.revision,
            streaming=False,
        )
    except Exception as error:  # noqa: BLE001 - the library raises whatever its parts raise
        raise failure(error) from None
    return Source(
        name=name,
        columns=rows.column_names,
        records=lambda columns: _guard_records(
            enumerate(rows.select_columns(list(columns))), failure
        ),
        head=name,
        place=lambda row: f"{name}: row {row}",
    )


def _hub_failure(
    dataset: HubDataset,
    name: str,
    error: Exception,
) -> DatasetError:
    return DatasetError(
        f"dataset {dataset.dataset_id!r}: {name!r} cannot be loaded: {describe(error)}"
    )
