"""Shards of cases, each stored as a part that any stage, on any machine, can read."""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.protocols import case_columns
from themis_lib.data.blocks import Block, blocks_of
from themis_lib.data.borders import cut_by_content
from themis_lib.data.cut_record import CASES_DIRECTORY, CutRecord, CutRecords
from themis_lib.data.datasets import IdRegistry, case_tables
from themis_lib.data.marks import Repetitions, row_marks
from themis_lib.data.part_files import PartFiles
from themis_lib.errors import StoreError
from themis_lib.identity.digests import digest, row_keys, set_digest
from themis_lib.identity.part import Part
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import CASES, column_digests

#: Rows of outputs in the first shards.
_FIRST_SHARD_ROWS = 4096
#: The same where each file of a shard takes requests.
_FIRST_REMOTE_ROWS = 16_384
#: The same where shards are spread over processes, so that also a small dataset has
#: some for each.
_FIRST_SPREAD_ROWS = 256
#: Shards double in size up to this one, each size used for the rows of so many: results
#: come early, 60,000 rows take a tenth more memory than 5,000, and a large dataset has
#: few files.
_LARGEST_SHARD_ROWS = 32_768
_SHARDS_OF_A_SIZE = 16
#: Text of a shard's cases, counted once for each sample: the most a stage may hold in
#: memory at once.
_LARGEST_SHARD_BYTES = 128 * 2**20
#: How canonical JSON of a content part says what it is; of other JSON, too, but then
#: rows are looked up one by one for nothing.
_PART_TYPES = '"type":"(text|image|audio|file|image_url|(in|out)put_[a-z]+)"'
#: The columns that hold canonical JSON text already.
_JSON_COLUMNS = ("input", "expected_output", "metadata")


@dataclass(frozen=True)
class Cut:
    """The settings that decide how datasets are cut.

    `reads` is what the generator reads of a case: cases that agree in it are counted as
    occurrences, unless the generator is `deterministic`. `shard_size` is the cases of a
    shard; without it, the first shards have `first_rows` rows of outputs, `samples` for
    each case. `fields` are the names of the prompt's template: they may hold parts.
    """

    reads: tuple[str, ...]
    samples: int
    shard_size: int | None
    deterministic: bool
    first_rows: int = _FIRST_SHARD_ROWS
    fields: tuple[str, ...] = ()


def first_rows(
    store: RunStore,
    *,
    spread: bool,
) -> int:
    """Return the rows of the first shards: few where they are `spread` over processes,
    many in a store behind requests.
    """
    if spread:
        return _FIRST_SPREAD_ROWS
    if store.local or store.in_memory:
        return _FIRST_SHARD_ROWS
    return _FIRST_REMOTE_ROWS


def shards_of(
    datasets: Sequence[AnyDataset],
    store: RunStore,
    cut: Cut,
) -> Iterator[Shard]:
    """Yield the shards of all datasets in order, each written to the store before.

    Local files that were cut like this before are not parsed again: the store records
    their shards under the digest of their content. Of a file that was edited, blocks
    that it had before are not. Raises `DatasetError` if a case id appears twice.
    """
    records = CutRecords(store, datasets, asdict(cut))
    recorded = records.find()
    if recorded is not None:
        yield from recorded.shards
        return
    cutting = _Cutting(store, cut, records)
    for dataset in datasets:
        yield from cutting.shards(dataset)
    # Only a complete cut is recorded: a run that stops early never gets here.
    records.keep(cutting.record())


def keep_cases(
    store: RunStore,
    cases: pa.Table,
) -> Part:
    """Write the cases of a shard under the name of their content, unless they are there."""
    name = digest("cases", column_digests(cases))
    return store.keep_part(f"{CASES_DIRECTORY}/{name}.parquet", cases.combine_chunks())


def content_digest(table: pa.Table) -> str:
    """Return the digest of the cases in a table, whatever their order and ids."""
    columns = [table[name].to_pylist() for name in _JSON_COLUMNS]
    return set_digest(key.hex() for key in row_keys("case", zip(*columns, strict=True)))


def data_digests(shards: Iterable[Shard]) -> dict[str, str]:
    """Return the digest of each dataset's cases, however they are cut and ordered.

    A shard that an earlier version recorded, without its digest, counts for nothing.
    """
    digests: defaultdict[str, list[str]] = defaultdict(list)
    for shard in shards:
        if shard.content is not None:
            digests[shard.dataset_id].append(shard.content)
    return {name: set_digest(items) for name, items in digests.items()}


class _Cutting:
    """A cut under way: what it made so far, over all datasets.

    The generator does not know which dataset a case is of.
    """

    def __init__(
        self,
        store: RunStore,
        cut: Cut,
        records: CutRecords,
    ) -> None:
        self._store = store
        self._cut = cut
        self._records = records
        self._files = PartFiles(cut.fields)
        self._ids = IdRegistry()
        self._reads = () if cut.deterministic else case_columns(cut.reads)
        self._occurrences = _Occurrences(self._reads, deterministic=cut.deterministic)
        self._most_bytes = _LARGEST_SHARD_BYTES // cut.samples
        self._shards: list[Shard] = []
        self._blocks: list[tuple[str, int, int]] = []
        self._kept_blocks: set[str] = set()
        self._start = 0

    def shards(self, dataset: AnyDataset) -> Iterator[Shard]:
        """Yield the shards of the next dataset, each written to the store before."""
        self._start = 0
        if self._cut.shard_size is not None:
            tables = case_tables(dataset, files=self._files)
            sizes = itertools.repeat(self._cut.shard_size)
            yield from self._written(dataset, self._cut_by_size(tables, sizes))
            return
        with blocks_of(
            dataset,
            self._files,
            size_at=self._size_at,
            most_bytes=self._most_bytes,
        ) as blocks:
            if blocks is not None:
                for block in blocks:
                    yield from self._shards_of_block(dataset, block)
                return
        tables = cut_by_content(
            case_tables(dataset, files=self._files),
            self._size_at,
            most_bytes=self._most_bytes,
            marked=_marked_columns,
        )
        yield from self._written(dataset, tables)

    def record(self) -> CutRecord:
        """Return the record of the cut, once all of its shards are made."""
        named = {(*place, sha256) for place, sha256 in self._files.named.items()}
        if self._kept_blocks:
            named |= set(self._records.named_of_blocks())
        return CutRecord(self._shards, sorted(named), self._blocks)

    def _shards_of_block(
        self,
        dataset: AnyDataset,
        block: Block,
    ) -> Iterator[Shard]:
        first = len(self._shards)
        kept = None
        # Of a file of one block nothing else could be as it was, and a block that comes
        # twice repeats its ids.
        if not block.is_alone and block.name not in self._kept_blocks:
            kept = self._kept_shards(block)
        if kept is not None:
            self._kept_blocks.add(block.name)
            yield from kept
        else:
            # Of any size in rows, but text of cases may take more bytes than the rows did.
            tables = self._cut_by_size(block.tables(), itertools.repeat(sys.maxsize))
            yield from self._written(dataset, tables)
        self._blocks.append((block.name, first, len(self._shards) - first))

    def _written(
        self,
        dataset: AnyDataset,
        tables: Iterable[pa.Table],
    ) -> Iterator[Shard]:
        for table in tables:
            self._ids.add_all(dataset.dataset_id, table["case_id"])
            counts = self._occurrences.count(table)
            cases = table.append_column("occurrence", counts)
            cases = cases.cast(CASES)
            self._files.keep(cases["input"], self._store)
            yield self._numbered(
                Shard(
                    index=0,
                    start=0,
                    dataset_id=dataset.dataset_id,
                    cases=keep_cases(self._store, cases),
                    content=content_digest(table),
                    has_lists=_any_input(table, r"^\["),
                    has_parts=_any_input(table, _PART_TYPES),
                )
            )

    def _kept_shards(self, block: Block) -> Iterator[Shard] | None:
        """Return the shards that a block became before; `None` if they cannot be had."""
        shards = self._records.shards_of_block(block.name)
        if shards is None:
            return None
        columns = list(dict.fromkeys(["case_id", "occurrence", *self._reads]))
        tables = []
        for shard in shards:
            table = self._store.read_columns(shard.cases.path, columns)
            if table is None:
                return None
            tables.append(table)
        return self._kept(shards, tables)

    def _kept(
        self,
        shards: Sequence[Shard],
        tables: Sequence[pa.Table],
    ) -> Iterator[Shard]:
        for shard, table in zip(shards, tables, strict=True):
            self._ids.add_kept(shard.dataset_id, table["case_id"])
            counts = self._occurrences.count(table)
            kept = shard
            # An equal case in front of it came or went.
            if not counts.equals(table["occurrence"].combine_chunks()):
                kept = replace(shard, cases=self._recounted(shard, counts))
            yield self._numbered(kept)

    def _recounted(
        self,
        shard: Shard,
        counts: pa.Array,
    ) -> Part:
        cases = self._store.read_table(shard.cases.path)
        if cases is None:
            uri = self._store.uri(shard.cases.path)
            raise StoreError(f"{uri}: was removed while it was read; run again")
        index = cases.column_names.index("occurrence")
        cases = cases.set_column(index, "occurrence", counts)
        return keep_cases(self._store, cases.cast(CASES))

    def _numbered(self, shard: Shard) -> Shard:
        """Return a shard with its place among all shards and cases, and note it."""
        numbered = replace(shard, index=len(self._shards), start=self._start)
        self._start += shard.cases.rows
        self._shards.append(numbered)
        return numbered

    def _cut_by_size(
        self,
        tables: Iterable[pa.Table],
        sizes: Iterator[int],
    ) -> Iterator[pa.Table]:
        return _cut_tables(tables, sizes, most_bytes=self._most_bytes)

    def _size_at(self, position: int) -> int:
        """Return the cases of a shard from the position of its first case in its dataset.

        Not from the shards before: one more of them moves no border.
        """
        rows = self._cut.first_rows
        while rows < _LARGEST_SHARD_ROWS:
            position -= _SHARDS_OF_A_SIZE * max(rows // self._cut.samples, 1)
            if position < 0:
                break
            rows = min(2 * rows, _LARGEST_SHARD_ROWS)
        return max(rows // self._cut.samples, 1)


def _marked_columns(table: pa.Table) -> list[pa.ChunkedArray]:
    # Ids may be numbers of rows, which an edit moves.
    return [table[name] for name in _JSON_COLUMNS]


def _any_input(
    table: pa.Table,
    pattern: str,
) -> bool:
    found = pc.match_substring_regex(table["input"], pattern)
    return bool(pc.any(found).as_py())


def _cut_tables(
    tables: Iterable[pa.Table],
    sizes: Iterator[int],
    *,
    most_bytes: int,
) -> Iterator[pa.Table]:
    """Yield tables of the given sizes; where rows are large, of as many rows as fit
    into `most_bytes`.
    """
    held: list[pa.Table] = []
    rows, size = 0, next(sizes)
    for table in tables:
        held.append(table)
        rows += table.num_rows
        while rows >= size or sum(item.nbytes for item in held) > most_bytes:
            whole = pa.concat_tables(held)
            fitting = _rows_within(whole, most_bytes)
            taken = min(size, fitting, rows)
            # `nbytes` counts more than text: all that is held may still fit.
            if taken == rows < size:
                break
            yield whole.slice(0, taken)
            held = [whole.slice(taken)]
            rows -= taken
            # A size cut short by its bytes is used again.
            if taken == size:
                size = next(sizes)
    if rows:
        yield pa.concat_tables(held)


def _rows_within(
    table: pa.Table,
    most_bytes: int,
) -> int:
    """Return how many of the first rows hold at most so many bytes of text; at least 1."""
    lengths = np.zeros(table.num_rows, dtype=np.int64)
    for name in ("input", "expected_output", "metadata"):
        column = table[name].combine_chunks()
        sizes = pc.fill_null(pc.binary_length(column), 0)
        lengths += sizes.to_numpy()
    totals = np.cumsum(lengths)
    fitting = np.searchsorted(totals, most_bytes, side="right")
    return max(int(fitting), 1)


class _Occurrences:
    """Counts, for each case, the earlier cases of the run that the generator cannot
    tell from it.
    """

    def __init__(
        self,
        reads: Sequence[str],
        *,
        deterministic: bool,
    ) -> None:
        self._reads = reads
        self._deterministic = deterministic
        self._seen = Repetitions()

    def count(self, table: pa.Table) -> pa.Array:
        # Equal cases of a deterministic generator share one key: computed once.
        if self._deterministic:
            zeros = np.zeros(table.num_rows, dtype=np.int32)
            return pa.array(zeros)
        # A generator that reads nothing cannot tell any case from another.
        marks = np.zeros(table.num_rows, dtype=np.uint64)
        if self._reads:
            # To a key, no expected output is the expected output null.
            marks = row_marks(
                [pc.fill_null(table[name], "null") for name in self._reads]
            )
        return pa.array(self._seen.count(marks), pa.int32())
