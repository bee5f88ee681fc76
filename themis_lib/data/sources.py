"""The sources of datasets: files at any fsspec URL, and the Hugging Face hub.

A failure is a `DatasetError` that names the file, or a `TransientError` where reading
again might help.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.utils import infer_compression

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.core.secrets import (
    hide_values,
    refuse_literal_secrets,
    resolve_references,
)
from themis_lib.data.formats import find_reader
from themis_lib.data.parquet_file import READ_BYTES, is_float, is_whole
from themis_lib.data.records import Record, Row, Source
from themis_lib.errors import (
    ConfigError,
    DatasetError,
    TransientError,
    describe,
    is_transient,
)

_Item = TypeVar("_Item")


@contextmanager
def opened(dataset: DatasetFile | HubDataset) -> Iterator[Source]:
    """Yield the source of a dataset, open inside the `with`."""
    if isinstance(dataset, HubDataset):
        yield _hub_source(dataset)
        return
    try:
        refuse_literal_secrets(dataset.storage_options, where="storage_options")
        path = resolve_references(dataset.path, where="path")
        options = resolve_references(dataset.storage_options, where="storage_options")
    except ConfigError as error:
        raise DatasetError(f"dataset {dataset.dataset_id!r}: {error}") from None
    # Before the file is opened: a format that is missing costs no request.
    read = find_reader(dataset, path)
    failure = partial(_file_failure, dataset)
    with ExitStack() as stack:
        try:
            fs, location = fsspec.core.url_to_fs(path, **options)
            compression = infer_compression(location)
            opening = fsspec.core.OpenFile(fs, location, compression=compression)
            raw = stack.enter_context(opening)
            file = stack.enter_context(io.BufferedReader(raw, READ_BYTES))
            # Messages name the path as it was given: the resolved one may hold secrets.
            source = read(file, dataset.path)
        except DatasetError:
            raise
        except FileNotFoundError as error:
            raise _missing_file(error, dataset, path) from None
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise failure(error) from None
        # Outside the `try`: errors of the caller's block are not the file's.
        yield _guarded(source, failure)


def did_you_mean(
    name: str,
    choices: Iterable[str],
) -> str:
    """Return the end of a message, naming the closest choice; empty if none is close.

    >>> did_you_mean("qestion", ["question", "answer"])
    "; did you mean 'question'?"
    """
    close = difflib.get_close_matches(name, list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _missing_file(
    error: FileNotFoundError,
    dataset: DatasetFile,
    path: str,
) -> DatasetError:
    message = f"dataset {dataset.dataset_id!r}: no file {dataset.path!r}"
    # Some remote filesystems call it missing when they could not even look.
    cause = error.__cause__
    if cause is not None:
        reason = _failure_reason(cause, dataset)
        return DatasetError(f"{message} ({reason})")
    is_url = "://" in path and not path.startswith("file://")
    # To list a remote folder may take many requests, or a permission.
    if is_url or "::" in path:
        return DatasetError(message)
    file = Path(path.removeprefix("file://")).expanduser()
    try:
        siblings = sorted(entry.name for entry in file.parent.iterdir())
    except OSError:
        return DatasetError(
            f"{message}; nor can its folder {file.parent.name!r} be read"
        )
    hint = did_you_mean(file.name, siblings)
    return DatasetError(message + hint)


def _file_failure(
    dataset: DatasetFile,
    error: Exception,
) -> DatasetError | TransientError:
    place = f"dataset {dataset.dataset_id!r}: {dataset.path!r}"
    reason = _failure_reason(error, dataset)
    message = f"{place} cannot be read: {reason}"
    return TransientError(message) if is_transient(error) else DatasetError(message)


def _failure_reason(
    error: BaseException,
    dataset: DatasetFile,
) -> str:
    # A filesystem's message may quote the resolved path or a key.
    return hide_values(describe(error), spec=[dataset.path, dataset.storage_options])


def _guarded(
    source: Source,
    failure: Callable[[Exception], Exception],
) -> Source:
    """Return a source, with whatever reading it raises turned into a `failure`."""
    unparsed = source.unparsed
    if unparsed is not None:
        tables = unparsed.tables
        unparsed = replace(
            unparsed,
            tables=lambda columns: _guard(tables(columns), failure),
        )
    return replace(
        source,
        records=lambda columns: _guard(source.records(columns), failure),
        unparsed=unparsed,
    )


def _guard(
    items: Iterator[_Item],
    failure: Callable[[Exception], Exception],
) -> Iterator[_Item]:
    try:
        yield from items
    except DatasetError:
        raise
    except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
        raise failure(error) from None


def _hub_source(dataset: HubDataset) -> Source:
    parts = (dataset.huggingface, dataset.subset, dataset.split)
    name = "/".join(part for part in parts if part)
    where = f"dataset {dataset.dataset_id!r}: {name!r}"

    def failure(error: Exception) -> DatasetError:
        return DatasetError(f"{where} cannot be loaded: {describe(error)}")

    # Here, not above: the library is an extra, and takes seconds to import.
    try:
        import datasets
    except ImportError:
        raise DatasetError(
            f"{where} is on the Hugging Face hub; to read from there, "
            "pip install 'themis-flows[huggingface]', or give a file of the same shape "
            "with --data FILE"
        ) from None
    try:
        rows = datasets.load_dataset(
            dataset.huggingface,
            dataset.subset,
            split=dataset.split,
            revision=dataset.revision,
            # Downloaded once, and from then on read from the library's own cache.
            streaming=False,
        )
    except Exception as error:  # noqa: BLE001 - the library raises whatever its parts raise
        raise failure(error) from None

    def records(columns: Iterable[str]) -> Iterator[Record]:
        names = list(columns)
        selected = rows.select_columns(names)
        whole = _whole_columns(rows, names)
        if whole:
            selected = (_with_integers(row, whole) for row in selected)
        return _guard(enumerate(selected), failure)

    return Source(
        name=name,
        columns=rows.column_names,
        records=records,
        head=name,
        place=lambda row: f"{name}: row {row}",
        is_typed=True,
    )


def _whole_columns(
    rows: Any,
    names: Iterable[str],
) -> list[str]:
    """Return the columns of floats that are all whole, such as integers with a gap."""
    # The library's table of Arrow; another source of rows may have none.
    table = getattr(rows, "data", None)
    if table is None:
        return []
    whole = []
    for name in names:
        column = table.column(name)
        if is_float(column.type) and is_whole(column):
            whole.append(name)
    return whole


def _with_integers(
    row: Row,
    names: Iterable[str],
) -> Row:
    integers = {name: int(row[name]) for name in names if row[name] is not None}
    return {**row, **integers}
