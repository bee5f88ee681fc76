"""Datasets cut into shards of cases, each kept as a part that any stage, on any
machine, can read.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.config import DatasetFile
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.protocols import case_columns
from themis_lib.core.secrets import resolve_references
from themis_lib.data.datasets import IdRegistry, case_tables
from themis_lib.errors import InputError
from themis_lib.identity.digests import canonical_json, digest, row_keys
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import CASES, column_digests

#: Raised when the same file would be cut into other tables than before.
CASES_VERSION = 1
_DIRECTORY = "rows/cases"
_FIRST_SHARD_ROWS = 4096
#: The same where each file of a shard takes requests.
_FIRST_REMOTE_ROWS = 16_384
#: The same where shards are spread over processes, so that also a small dataset has
#: some for each.
_FIRST_SPREAD_ROWS = 256
_LARGEST_SHARD_ROWS = 32_768
_SHARDS_OF_A_SIZE = 8
#: Text of a shard's cases, counted once for each sample: what a stage may hold in
#: memory at once.
_LARGEST_SHARD_BYTES = 128 * 2**20
_JSON_COLUMNS = {"input", "expected_output", "metadata"}


@dataclass(frozen=True)
class Cut:
    """How datasets are cut: what the generator reads, the samples of a case, and the
    cases of a shard if fixed.

    Cases that agree in what the generator reads are counted as occurrences, unless it
    is deterministic. Where their number is not fixed, the first shards have
    `first_rows` rows of outputs.
    """

    reads: tuple[str, ...]
    samples: int
    shard_size: int | None
    deterministic: bool
    first_rows: int = _FIRST_SHARD_ROWS


def first_rows(
    store: RunStore,
    *,
    spread: bool,
) -> int:
    """The rows of the first shards: few to `spread` them over processes, many in a
    store that is asked by requests.
    """
    if spread:
        return _FIRST_SPREAD_ROWS
    return _FIRST_SHARD_ROWS if store.local or store.in_memory else _FIRST_REMOTE_ROWS


def shards_of(
    datasets: Sequence[AnyDataset],
    store: RunStore,
    cut: Cut,
) -> Iterator[Shard]:
    """The shards of all datasets in order, written to the store one at a time.

    Local files that were cut like this before are not parsed again: their shards are on
    record under the digest of their content. Raises `DatasetError` when a case id
    appears twice.
    """
    name = _record_name(datasets, cut)
    recorded = _recorded_shards(store, name) if name else None
    if recorded is not None:
        yield from recorded
        return
    shards = []
    for shard in _cut_datasets(datasets, store, cut):
        shards.append(shard.to_json())
        yield shard
    if name:
        store.replace(name, json.dumps(shards).encode())


def _record_name(
    datasets: Sequence[AnyDataset],
    cut: Cut,
) -> str | None:
    """Where the shards of these files are on record; null unless every dataset is a
    local file that can be read.
    """
    contents = []
    for dataset in datasets:
        if not isinstance(dataset, DatasetFile):
            return None
        content = _file_digest(dataset)
        if content is None:
            return None  # cutting it says what is wrong
        settings = dataset.model_dump(
            mode="json",
            exclude={"path", "storage_options"},
        )
        contents.append([content, PurePath(dataset.path).suffixes, settings])
    return f"{_DIRECTORY}/{digest('cut', [CASES_VERSION, contents, asdict(cut)])}.json"


def _file_digest(dataset: DatasetFile) -> str | None:
    try:
        path = Path(
            resolve_references(dataset.path, where="path").removeprefix("file://")
        ).expanduser()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, InputError):
        return None


def _recorded_shards(
    store: RunStore,
    name: str,
) -> list[Shard] | None:
    try:
        shards = [
            Shard.from_json(shard) for shard in json.loads(store.read_bytes(name))
        ]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return (
        shards if _are_present(store, [shard.cases.path for shard in shards]) else None
    )


def _are_present(
    store: RunStore,
    paths: Sequence[str],
) -> bool:
    if len(paths) == 1:
        return (
            store.read_table(paths[0]) is not None
        )  # which the run will read: no request more
    present = store.list(_DIRECTORY)
    return all(PurePath(path).name in present for path in paths)


def _cut_datasets(
    datasets: Sequence[AnyDataset],
    store: RunStore,
    cut: Cut,
) -> Iterator[Shard]:
    index = 0
    ids = IdRegistry()
    occurrences = _Occurrences(case_columns(cut.reads), deterministic=cut.deterministic)
    for dataset in datasets:
        start = 0
        for table in _cut_tables(
            case_tables(dataset),
            _shard_sizes(cut),
            most_bytes=_LARGEST_SHARD_BYTES // cut.samples,
        ):
            ids.add_all(dataset.dataset_id, table["case_id"])
            table = table.append_column(
                CASES.field("occurrence"), occurrences.count(table)
            ).cast(CASES)
            name = digest("cases", column_digests(table))
            part = store.keep_part(
                f"{_DIRECTORY}/{name}.parquet", table.combine_chunks()
            )
            yield Shard(
                index=index,
                start=start,
                dataset_id=dataset.dataset_id,
                cases=part,
            )
            index, start = index + 1, start + table.num_rows


def _shard_sizes(cut: Cut) -> Iterator[int]:
    """Cases in each shard. Sizes depend on the position alone, so that a dataset that
    grows keeps its shards.
    """
    size = cut.first_rows
    while True:
        for _ in range(_SHARDS_OF_A_SIZE):
            yield cut.shard_size or max(size // cut.samples, 1)
        size = min(2 * size, _LARGEST_SHARD_ROWS)


def _cut_tables(
    tables: Iterable[pa.Table],
    sizes: Iterator[int],
    *,
    most_bytes: int,
) -> Iterator[pa.Table]:
    """Tables of the given sizes; where rows are large, of as many rows as fit into
    `most_bytes`.
    """
    held: list[pa.Table] = []
    rows, size = 0, next(sizes)
    for table in tables:
        held.append(table)
        rows += table.num_rows
        while rows >= size or sum(item.nbytes for item in held) > most_bytes:
            whole = pa.concat_tables(held)
            taken = min(size, _rows_within(whole, most_bytes), rows)
            if taken == rows < size:
                break  # large, but not more than fits
            yield whole.slice(0, taken)
            held, rows = [whole.slice(taken)], rows - taken
            size = next(sizes) if taken == size else size
    if rows:
        yield pa.concat_tables(held)


def _rows_within(
    table: pa.Table,
    most_bytes: int,
) -> int:
    """How many of the first rows hold at most so many bytes of text; at least one."""
    lengths = sum(
        pc.fill_null(pc.binary_length(table[name].combine_chunks()), 0)
        .to_numpy()
        .astype(np.int64)
        for name in ("input", "expected_output", "metadata")
    )
    return max(int(np.searchsorted(np.cumsum(lengths), most_bytes, side="right")), 1)


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
        self._seen: defaultdict[bytes, int] = defaultdict(int)

    def count(self, table: pa.Table) -> pa.Array:
        if self._deterministic:
            return pa.array(np.zeros(table.num_rows, dtype=np.int32))
        texts = [
            column if name in _JSON_COLUMNS else map(canonical_json, column)
            for name, column in (
                (name, table[name].to_pylist()) for name in self._reads
            )
        ]
        counts = []
        for key in row_keys(
            "content", zip(*texts, strict=True) if texts else [()] * table.num_rows
        ):
            counts.append(self._seen[key])
            self._seen[key] += 1
        return pa.array(counts, pa.int32())
