"""The format of a dataset file: JSON Lines, a JSON array, CSV, Parquet, or a log of
another evaluation tool.

Rows are read a batch at a time, in one pass. Malformed content is a `DatasetError` that
names the file and the line or row.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath

from fsspec.utils import infer_compression

from themis_lib.core.config import DatasetFile
from themis_lib.data.csv_file import csv_source
from themis_lib.data.json_file import json_source, jsonl_source
from themis_lib.data.log_cases import log_source
from themis_lib.data.parquet_file import parquet_source
from themis_lib.data.records import Record as Record
from themis_lib.data.records import Source as Source
from themis_lib.data.text_lines import check_encoding
from themis_lib.errors import DatasetError
from themis_lib.eval_logs.samples import LOG_FORMATS, log_format_of

_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".eval": "inspect",
}
#: What cannot separate cells: quotes and line ends have a meaning of their own.
_NO_DELIMITERS = '"\r\n'


def find_reader(
    dataset: DatasetFile,
    path: str,
) -> Callable[[io.BufferedReader, str], Source]:
    """Return the reader of a file: by its `format`, else by its suffix.

    A suffix such as `.gz` is skipped. Raises `DatasetError` if neither names a format,
    or if the format has no such settings.
    """
    where = f"dataset {dataset.dataset_id!r}"
    # Of a chained URL such as `zip://d.csv::s3://…`, the file is named first.
    name = path.partition("::")[0].lower()
    if infer_compression(name):
        name = PurePosixPath(name).stem
    suffix = PurePosixPath(name).suffix
    file_format = dataset.format or _FORMATS.get(suffix)
    # No `format` of its own: with one, the file is named so that all readers know it.
    if suffix == ".json" and dataset.format is None:
        file_format = "json"
    if file_format is None:
        raise DatasetError(
            f"{where}: {dataset.path!r} ends in none of "
            f"{', '.join(_FORMATS)}; say its `format`: jsonl, csv, parquet, "
            f"{', '.join(LOG_FORMATS)}"
        )
    _check_text_settings(dataset, file_format, where)
    log_format = log_format_of(file_format)
    if log_format is not None:
        return partial(log_source, log_format=log_format)
    if file_format == "parquet":
        return parquet_source
    return _text_reader(dataset, file_format, suffix)


def _text_reader(
    dataset: DatasetFile,
    file_format: str,
    suffix: str,
) -> Callable[[io.BufferedReader, str], Source]:
    if file_format == "jsonl":
        return partial(jsonl_source, encoding=dataset.encoding)
    if file_format == "json":
        return partial(json_source, encoding=dataset.encoding)
    # Of a .tsv file, the suffix says what its first line need not.
    delimiter = dataset.delimiter or ("\t" if suffix == ".tsv" else None)
    return partial(csv_source, delimiter=delimiter, encoding=dataset.encoding)


def _check_text_settings(
    dataset: DatasetFile,
    file_format: str,
    where: str,
) -> None:
    if dataset.encoding is not None:
        if file_format == "parquet":
            raise DatasetError(f"{where}: encoding: a Parquet file is no text")
        if file_format in LOG_FORMATS:
            raise DatasetError(f"{where}: encoding: logs of {file_format} are UTF-8")
        check_encoding(dataset.encoding, where)
    delimiter = dataset.delimiter
    if delimiter is None:
        return
    if file_format != "csv":
        raise DatasetError(f"{where}: delimiter: only CSV has one, not {file_format}")
    if len(delimiter) != 1 or delimiter in _NO_DELIMITERS:
        raise DatasetError(
            f"{where}: delimiter {delimiter!r}: give one character, such as ';'"
        )
