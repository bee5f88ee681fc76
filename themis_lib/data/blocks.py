"""Blocks of a file: rows that follow each other, known by content before they are parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any, TypeVar

import pyarrow as pa

from themis_lib.core.config import DatasetFile
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.data.borders import SizeAt, cut_by_content
from themis_lib.data.columns import CaseTexts, check_targets
from themis_lib.data.datasets import CaseReader, tables_of
from themis_lib.data.part_files import PartFiles
from themis_lib.data.records import NUMBER, Record, Unparsed
from themis_lib.data.sources import opened
from themis_lib.identity.digests import digest

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Block:
    """Rows of a file, and the tables of cases that they become, as `case_tables` has them.

    Blocks of one `name` become the same cases. One that `is_alone` is all of its file.
    """

    name: str
    is_alone: bool
    tables: Callable[[], Iterator[pa.Table]]


@contextmanager
def blocks_of(
    dataset: AnyDataset,
    files: PartFiles,
    *,
    size_at: SizeAt,
    most_bytes: int,
) -> Iterator[Iterator[Block] | None]:
    """Yield the blocks of a dataset, cut by content; `None` where it has to be read whole.

    Raises `DatasetError` as `case_tables` does.
    """
    if not isinstance(dataset, DatasetFile) or _is_read_whole(dataset):
        yield None
        return
    files.enter(dataset)
    check_targets(dataset)
    with opened(dataset) as source:
        if source.unparsed is None:
            yield None
            return
        reader = CaseReader(dataset, source, files=files)
        unparsed = reader.source.unparsed
        assert unparsed is not None
        tables = cut_by_content(
            unparsed.tables(reader.columns),
            size_at,
            most_bytes=most_bytes,
            marked=_contents,
        )
        yield _blocks(dataset, reader, unparsed, tables)


def dataset_settings(dataset: DatasetFile) -> list[Any]:
    """Return everything but the content of a file that its cases depend on."""
    # Where a file is does not change its cases; the suffixes of its name can.
    suffixes = PurePath(dataset.path).suffixes
    settings = dataset.model_dump(mode="json", exclude={"path", "storage_options"})
    # Data without derived columns is found by what was written before.
    if not dataset.derive:
        del settings["derive"]
    return [suffixes, settings]


def _is_read_whole(dataset: DatasetFile) -> bool:
    # A block of rows that are chosen from would have fewer cases than its size says.
    is_chosen_from = bool(dataset.filter or dataset.sample or dataset.limit)
    # Opening an array reads all of it: once is enough.
    is_array = dataset.format is None and ".json" in PurePath(dataset.path).suffixes
    return is_chosen_from or is_array


def _blocks(
    dataset: DatasetFile,
    reader: CaseReader,
    unparsed: Unparsed,
    tables: Iterator[pa.Table],
) -> Iterator[Block]:
    settings = [
        *dataset_settings(dataset),
        list(reader.source.columns),
        list(unparsed.form),
    ]
    first_row = 0
    for table, is_alone in _with_alone(tables):
        place = first_row if reader.has_numbered_ids else None
        name = digest("block", [settings, place, _content_digest(table)])
        records = partial(unparsed.parse, reader.columns, table)
        cases = partial(reader.cases, first_row=first_row)
        yield Block(
            name,
            is_alone,
            partial(_tables, dataset.dataset_id, records, cases),
        )
        first_row += table.num_rows
    if not first_row:
        raise reader.no_cases()


def _tables(
    dataset_id: str,
    records: Callable[[], Iterator[Record]],
    cases: Callable[[Iterator[Record]], Iterator[CaseTexts]],
) -> Iterator[pa.Table]:
    return tables_of(dataset_id, cases(records()))


def _contents(table: pa.Table) -> list[pa.ChunkedArray]:
    columns: list[pa.ChunkedArray] = table.drop_columns([NUMBER]).columns
    return columns


def _content_digest(table: pa.Table) -> str:
    """Return the digest of unparsed rows, whatever their numbers and chunks."""
    columns = [_copied(column) for column in _contents(table)]
    names = list(map(str, range(len(columns))))
    rows = pa.RecordBatch.from_arrays(columns, names)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_batch(rows)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _copied(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in buffers of its own: those of a slice hold what is around it."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    first = column.chunk(0)
    return pa.concat_arrays([*column.chunks, first.slice(0, 0)])


def _with_alone(items: Iterable[_Item]) -> Iterator[tuple[_Item, bool]]:
    """Yield the items, each with whether there is no other."""
    items = iter(items)
    for first in items:
        second = next(items, None)
        yield first, second is None
        if second is not None:
            yield second, False
        break
    for item in items:
        yield item, False
