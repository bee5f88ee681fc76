"""Datasets cut into shards of cases, each kept as a part that any stage, on any machine, can read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from themis_lib.core.datasets import AnyDataset, IdRegistry, case_tables
from themis_lib.core.identity import canonical_json, digest, row_keys
from themis_lib.core.shards import case_columns
from themis_lib.core.stage import Shard
from themis_lib.core.store import RunStore
from themis_lib.core.tables import CASES, column_digests

_FIRST_SHARD_ROWS = 4096
_LARGEST_SHARD_ROWS = 32_768
_SHARDS_OF_A_SIZE = 8
_JSON_COLUMNS = {"input", "expected_output", "metadata"}


def shards_of(
    datasets: Sequence[AnyDataset], store: RunStore, *, reads: Sequence[str], samples: int,
    shard_size: int | None, deterministic: bool,
) -> Iterator[Shard]:  # fmt: skip
    """The shards of all datasets in order, written to the store one at a time.

    `reads` are the columns the generator reads: cases that agree in them are counted as occurrences, unless the
    generator is deterministic. Raises `DatasetError` when a case id appears twice.
    """
    index = 0
    occurrences = _Occurrences(case_columns(reads), deterministic=deterministic)
    ids = IdRegistry()
    for dataset in datasets:
        start = 0
        for table in _cut(case_tables(dataset), _sizes(shard_size, samples)):
            ids.add_all(dataset.dataset_id, table["case_id"])
            table = table.append_column(CASES.field("occurrence"), occurrences.count(table)).cast(CASES)
            name = digest("cases", column_digests(table))
            part = store.keep_part(f"rows/cases/{name}.parquet", table.combine_chunks())
            yield Shard(index=index, start=start, dataset_id=dataset.dataset_id, cases=part)
            index, start = index + 1, start + table.num_rows


def _sizes(shard_size: int | None, samples: int) -> Iterator[int]:
    """Cases in each shard. Sizes depend on the position alone, so that a dataset that grows keeps its shards."""
    size = _FIRST_SHARD_ROWS
    while True:
        for _ in range(_SHARDS_OF_A_SIZE):
            yield shard_size or max(size // samples, 1)
        size = min(2 * size, _LARGEST_SHARD_ROWS)


def _cut(tables: Iterable[pa.Table], sizes: Iterator[int]) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    rows, size = 0, next(sizes)
    for table in tables:
        held.append(table)
        rows += table.num_rows
        while rows >= size:
            whole = pa.concat_tables(held)
            yield whole.slice(0, size)
            held, rows = [whole.slice(size)], rows - size
            size = next(sizes)
    if rows:
        yield pa.concat_tables(held)


class _Occurrences:
    """Counts, for each case, the earlier cases of the run that the generator cannot tell from it."""

    def __init__(self, reads: Sequence[str], *, deterministic: bool) -> None:
        self._reads = reads
        self._deterministic = deterministic
        self._seen: defaultdict[bytes, int] = defaultdict(int)

    def count(self, table: pa.Table) -> pa.Array:
        if self._deterministic:
            return pa.array(np.zeros(table.num_rows, dtype=np.int32))
        texts = [
            column if name in _JSON_COLUMNS else map(canonical_json, column)
            for name, column in ((name, table[name].to_pylist()) for name in self._reads)
        ]
        counts = []
        for key in row_keys("content", zip(*texts, strict=True) if texts else [()] * table.num_rows):
            counts.append(self._seen[key])
            self._seen[key] += 1
        return pa.array(counts, pa.int32())
